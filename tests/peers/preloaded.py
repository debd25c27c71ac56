"""The program `medserver` in a process that has imported it before: it starts in a tenth of the time.

Each process is forked from one that has done the imports and nothing else (multiprocessing's fork server), so it is as
new as one that is started from the command line. Where the interpreter itself matters (libraries that are loaded in
front of it, its memory, the entry point), a program is started as `tests.peers.process` does it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.peers.process import Completed, Server, wait_until

PROGRAM = (sys.executable, "-m", "medserver")

MODULES = (
    "medserver.cli.serve", "medserver.server", "tests.crash.power.recorder", "tests.peers.machines", __name__
)  # fmt: skip

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(MODULES))


class PreloadedProcess:
    """A running `medserver`, with the interface of `subprocess.Popen`.

    Parameters
    ----------
    arguments : sequence of str
        Those of the command line, without the name of the program.
    log : Path
        The file to which its standard output and standard error are appended.
    environment : mapping of str to str
        Its whole environment.
    directory : Path or None
        Its working directory; None for that of the tests.
    umask : int
        Its umask; -1 for that of the tests.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        directory: Path | None,
        umask: int = -1,
    ) -> None:
        self._process = _context.Process(
            target=_be_program, args=(tuple(arguments), log, dict(environment), directory, umask)
        )
        self._process.start()
        self.pid = self._process.pid
        wait_until(self._is_leader_or_ended, what="a process group of its own")

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for the signal that ended it; None while it runs."""
        return self._process.exitcode

    def _is_leader_or_ended(self) -> bool:
        """Tell whether signals to its process group reach it."""
        with suppress(ProcessLookupError):
            return os.getpgid(self.pid) == self.pid
        return True

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; raise `subprocess.TimeoutExpired` when it does not come."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("medserver", timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


class PreloadedServer(Server):
    """A server whose command line begins with `PROGRAM`."""

    def _started(
        self, environment: Mapping[str, str], directory: Path | None, umask: int
    ) -> PreloadedProcess:
        assert self.arguments[: len(PROGRAM)] == PROGRAM
        return PreloadedProcess(self.arguments[len(PROGRAM) :], self.log, environment, directory, umask)


def run(
    arguments: Sequence[str | Path], *, timeout_s: float = 120, environment: Mapping[str, str] | None = None
) -> Completed:
    """Run `medserver` to its end, as `tests.peers.process.run` does a program; its exit code is negative for a signal.

    Raises
    ------
    subprocess.TimeoutExpired
        It did not end in time; it has been killed.
    """
    texts = tuple(map(str, arguments))
    with tempfile.NamedTemporaryFile() as output:
        process = PreloadedProcess(texts, Path(output.name), {**os.environ, **(environment or {})}, None)
        try:
            exit_code = process.wait(timeout_s)
        finally:
            process.kill()
        return Completed(("medserver", *texts), exit_code, Path(output.name).read_text(errors="replace"))


def _be_program(
    arguments: tuple[str, ...], log: Path, environment: dict[str, str], directory: Path | None, umask: int
) -> None:
    """Run the program as a process group of its own (the body of the forked process)."""
    os.setsid()
    with log.open("ab", buffering=0) as output, open(os.devnull, "rb") as nothing:
        for source, descriptor in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(source.fileno(), descriptor)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(environment)
    if umask != -1:
        os.umask(umask)
    if directory is not None:
        os.chdir(directory)
    from tests.crash.power.recorder import record_if_wanted
    from tests.peers.machines import enter_if_wanted

    enter_if_wanted()
    record_if_wanted()
    from medserver.cli import main

    main(arguments, prog_name="medserver")
