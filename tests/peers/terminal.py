"""A terminal: a shell in which one command is typed after the other."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.peers import PeerFailed
from tests.peers.process import Completed

END = "-- end of the command: "


class Terminal:
    """A bash that keeps folder and variables between commands, and knows nothing but what it is given.

    Parameters
    ----------
    environment : mapping of str to str
        Its whole environment.
    directory : Path
        Where it begins.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            text=True,
            errors="replace",
        )

    def type(self, command: str, *, timeout_s: float = 60) -> Completed:
        """Run a command, and return what it has written.

        Raises
        ------
        PeerFailed
            It did not end in time, or ended the shell.
        """
        with self._killed_after(timeout_s):
            self._process.stdin.write(f"{{ {command}\n}} </dev/null\necho '{END}'$?\n")
            self._process.stdin.flush()
            output = ""
            for line in self._process.stdout:
                before, end, exit_code = line.partition(END)
                output += before
                if end:
                    return Completed((command,), int(exit_code), output)
        raise PeerFailed(f"{command}: ended the shell, or no end after {timeout_s} s\n{output[-4000:]}")

    @contextmanager
    def _killed_after(self, timeout_s: float):
        timer = threading.Timer(timeout_s, self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the shell."""
        with self._process:
            self._process.stdin.close()
            self._process.kill()
