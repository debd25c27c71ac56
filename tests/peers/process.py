"""Programs: run one to its end, or start one as a server, wait until it is ready, stop it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.peers import Address, PeerFailed, find_program, starts_programs

POLL_INTERVAL_S = 0.02

T = TypeVar("T")


@dataclass(frozen=True)
class Completed:
    """What a program that ran to its end has left behind."""

    arguments: tuple[str, ...]
    exit_code: int
    output: str
    """Standard output and standard error, as they came."""

    def check(self) -> Completed:
        """Return itself, raise `PeerFailed` with the output when the exit code is not 0."""
        if self.exit_code != 0:
            raise PeerFailed(f"{' '.join(self.arguments)}: exit code {self.exit_code}\n{self.output[-4000:]}")
        return self


def command_line(arguments: Sequence[str | Path]) -> tuple[str, ...]:
    """Return the arguments as text, the program with its path.

    Raises
    ------
    PeerFailed
        The program is not installed.
    """
    starts_programs()
    program = find_program(str(arguments[0]))
    if program is None:
        raise PeerFailed(f"{arguments[0]} is not installed")
    return program, *map(str, arguments[1:])


def run(
    arguments: Sequence[str | Path], *, timeout_s: float = 120, environment: Mapping[str, str] | None = None
) -> Completed:
    """Run a program to its end.

    Parameters
    ----------
    arguments : sequence of str or Path
        The program and its arguments.
    timeout_s : float
        The program is killed after this time.
    environment : mapping of str to str, optional
        Added to the environment of the tests.

    Raises
    ------
    PeerFailed
        The program is not installed or did not end in time.
    """
    command = command_line(arguments)
    try:
        process = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        raise PeerFailed(f"{' '.join(command)}: no end after {timeout_s} s\n{output[-4000:]}") from None
    return Completed(command, process.returncode, process.stdout.decode(errors="replace"))


def wait_until(condition: Callable[[], T], *, deadline_s: float = 20, what: str = "condition") -> T:
    """Poll until a condition holds.

    Parameters
    ----------
    condition : callable
        Called without arguments until it returns something true.
    deadline_s : float
        How long to wait.
    what : str
        What is waited for, for the message.

    Returns
    -------
    object
        What the condition returned.

    Raises
    ------
    PeerFailed
        The condition did not hold before the deadline.
    """
    deadline = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (outcome := condition()):
        if time.monotonic() > deadline:
            raise PeerFailed(f"{what}: not after {deadline_s} s")
        pause.wait(POLL_INTERVAL_S)
    return outcome


class Server:
    """A program that runs until it is stopped.

    Parameters
    ----------
    arguments : sequence of str or Path
        The program and its arguments.
    log : Path
        The file that takes its standard output and standard error.
    environment : mapping of str to str, optional
        Added to the environment of the tests.
    directory : Path, optional
        Its working directory.
    umask : int
        Its umask; -1 for that of the tests.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        umask: int = -1,
    ) -> None:
        self.arguments = command_line(arguments)
        self.log = log
        self.process = self._started({**os.environ, **(environment or {})}, directory, umask)

    def _started(
        self, environment: Mapping[str, str], directory: Path | None, umask: int
    ) -> subprocess.Popen:
        # A file and not a pipe: nobody need read it for the program to go on. Appended to, as a restarted
        # server does.
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=directory,
                umask=umask,
                start_new_session=True,  # a process group of its own, so that `kill` reaches its children
            )

    @property
    def output(self) -> str:
        """What the program has written so far, str."""
        return self.log.read_text(errors="replace")

    def is_running(self) -> bool:
        """Tell whether the program has not ended."""
        return self.process.poll() is None

    def wait_for(self, condition: Callable[[], object], *, deadline_s: float = 20, what: str) -> None:
        """Wait until a condition holds, as `wait_until`; fail at once when the program ends."""

        def holds_or_ended() -> bool:
            return bool(condition()) or not self.is_running()

        try:
            wait_until(holds_or_ended, deadline_s=deadline_s, what=what)
        except PeerFailed as error:
            raise self.failure(str(error)) from None
        if not condition():
            raise self.failure(f"ended with exit code {self.process.returncode} before {what}")

    def wait_for_port(self, address: Address, *, deadline_s: float = 20) -> None:
        """Wait until the program accepts connections."""

        def accepts() -> bool:
            with suppress(OSError), socket.create_connection((address.host, address.port), timeout=1):
                return True
            return False

        self.wait_for(accepts, deadline_s=deadline_s, what=f"listening on port {address.port}")

    def wait_for_line(self, pattern: str, *, deadline_s: float = 20) -> re.Match[str]:
        """Wait until the output contains a regular expression, and return the match."""
        self.wait_for(
            lambda: re.search(pattern, self.output), deadline_s=deadline_s, what=f"{pattern!r} in its output"
        )
        match = re.search(pattern, self.output)
        assert match is not None
        return match

    def stop(self, *, timeout_s: float = 20) -> int:
        """Send SIGTERM, wait for the end, and return the exit code. A program that has ended stays ended.

        Raises
        ------
        PeerFailed
            The program did not end in time; it has been killed.
        """
        if self.is_running():
            self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self.failure(f"did not end within {timeout_s} s of SIGTERM") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the program and its children, and wait for the end of all: they share its sockets."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(self._is_alone, what="the end of the children")

    def _is_alone(self) -> bool:
        """Tell whether the process group has no living thread; what waits to be reaped holds nothing."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
                if int(group) != self.process.pid:
                    continue
                threads = len(list((stat.parent / "task").iterdir()))
                if state != "Z" or threads > 1:
                    return False
        return True

    def failure(self, text: str) -> PeerFailed:
        """Return an exception that shows the command line and the end of the output."""
        return PeerFailed(f"{' '.join(self.arguments)}: {text}\n{self.output[-4000:]}")
