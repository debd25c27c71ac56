"""The request to stop, which comes as a signal."""

from __future__ import annotations

import signal

from medserver.server.hangup import Hangup
from medserver.server.signals import STOP_SIGNALS, wait_for_signal


class StopRequest:
    """Whether the process was asked to stop; from its making on, a stop signal does nothing else.

    The signals are blocked in this thread, so that it can wait for them. Libraries have threads of their own in
    which they are not (numpy's, for one): a signal that the system gives to one of those comes to the handler.

    Parameters
    ----------
    hangup : Hangup
        Told of a SIGHUP that comes while it is waited.
    """

    def __init__(self, hangup: Hangup) -> None:
        self._made = False
        self._hangup = hangup
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {signal.SIGCHLD, signal.SIGHUP})

    def wait(self, timeout_s: float) -> bool:
        """Wait for the request, or for the end of a process; tell whether there is a request."""
        number = wait_for_signal(STOP_SIGNALS | {signal.SIGCHLD, signal.SIGHUP}, timeout_s)
        if number == signal.SIGHUP:
            self._hangup.note()
        return self._made or number in STOP_SIGNALS

    def _note(self, number: int, frame: object) -> None:
        self._made = True
