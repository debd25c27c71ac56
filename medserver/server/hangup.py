"""SIGHUP: the configuration is read anew. It also comes when the terminal of a node in the foreground is closed."""

from __future__ import annotations

import signal

from medserver.config import ConfigFile


class Hangup:
    """Whether SIGHUP has come; from its making on it ends neither this process nor those that it forks.

    Parameters
    ----------
    config_file : ConfigFile
        What is read anew, in each process when it looks at it the next time.
    """

    def __init__(self, config_file: ConfigFile) -> None:
        self._config_file = config_file
        self._has_come = False
        signal.signal(signal.SIGHUP, lambda number, frame: self.note())  # where a thread has it that does not block it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    def take(self) -> bool:
        """Tell whether it has come since the last time."""
        has_come, self._has_come = self._has_come, False
        return has_come

    def note(self) -> None:
        """Note that it has come."""
        self._has_come = True
        self._config_file.read_again()
