"""An external program is run, under a `supervisor`, and its end told: by an exception if it was not a good one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from medserver.config import CommandType
from medserver.errors import CannotTranscode, CommandFailed, OutOfResources, TooLargeToProcess, WorkStopped
from medserver.processing.commands.invocation import Invocation, Place

LOOK_EVERY_S = 0.2
END_TIME_MAX_S = 30.0
"""How long is waited for the supervisor when nobody wants the result any longer; containers are removed meanwhile."""

ANSWER_SIZE_MAX_BYTES = 1024 * 1024
LINE_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program has ended.

    Parameters
    ----------
    end : str
        ``exit``; ``start`` (it could not be started), ``time``, ``files``, ``size`` (it broke a limit).
    code : int
        Its exit code, negative if a signal ended it; of ``start`` the number of the error.
    text : str
        Of ``start``, the error.
    output : str
        The last of what it has written to standard output, then to standard error.
    """

    end: str
    code: int
    text: str
    output: str

    @property
    def last_line(self) -> str:
        """The last line that says something, cut, and without control characters."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        text = lines[-1] if lines else ""
        return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:LINE_LENGTH_MAX]


def execute(entry: CommandType, how: Invocation, place: Place, unless: Callable[[], bool]) -> Ended:
    """Run a program and wait for its end.

    Parameters
    ----------
    entry : CommandType
        Its limits.
    how : Invocation
        How it is started.
    place : Place
        Its folders.
    unless : callable
        Asked several times a second whether nobody wants the result any longer; then all its processes are killed.

    Raises
    ------
    WorkStopped
        Nobody wants it any longer.
    CannotTranscode
        The supervisor died.
    OutOfResources
        It could not be started.
    """
    supervisor = _start()
    started: int | None = None
    assert supervisor.stdin is not None and supervisor.stdout is not None
    try:
        with suppress(BrokenPipeError):
            supervisor.stdin.write(json.dumps(_request(entry, how, place)).encode() + b"\n")
            supervisor.stdin.flush()
        answers = _Answers(supervisor.stdout.fileno())
        while (answer := answers.next(unless)) is not None:
            if "process" in answer:
                started = answer["process"]
            else:
                return Ended(answer["end"], answer["code"], answer["text"], "\n".join(answer["output"]))
        raise CannotTranscode("the process over the external program died")
    finally:
        _end(supervisor, started)


def check_end(entry: CommandType, ended: Ended) -> None:
    """Check that a program has done its work.

    Raises
    ------
    TooLargeToProcess
        It broke a limit.
    CommandFailed
        It could not be started, a signal ended it, or its exit code is not 0.
    """
    name, last = entry.name, f": {ended.last_line}" if ended.last_line else ""
    if ended.end == "start":
        program = entry.command[0] if entry.command and not entry.image else entry.image
        raise CommandFailed(f"{name}: {program} cannot be started: {ended.text}")
    if ended.end == "time" or ended.code == -signal.SIGXCPU:
        raise TooLargeToProcess(f"{name} took more than {entry.time_max_s:g} s")
    if ended.end == "size" or ended.code == -signal.SIGXFSZ:
        raise TooLargeToProcess(f"{name} wrote more than {entry.output_max_bytes} bytes")
    if ended.end == "files":
        raise TooLargeToProcess(f"{name} wrote more than {entry.files_max} files")
    if ended.code < 0:
        raise CommandFailed(f"{name} was ended by signal {-ended.code} ({signal.strsignal(-ended.code)}){last}")
    if ended.code:
        raise CommandFailed(f"{name} ended with code {ended.code}{last}")


class _Answers:
    """The lines that a supervisor writes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""

    def next(self, unless: Callable[[], bool]) -> dict[str, Any] | None:
        """Return the next line, None if there is none any more.

        Raises
        ------
        WorkStopped
            Nobody wants it any longer.
        """
        readable = select.poll()
        readable.register(self._descriptor, select.POLLIN)
        while b"\n" not in self._read:
            if not readable.poll(LOOK_EVERY_S * 1000):
                if unless():
                    raise WorkStopped("nobody wants it any longer")
                continue
            part = os.read(self._descriptor, ANSWER_SIZE_MAX_BYTES)
            if not part:
                return None
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)


def _start() -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
    }
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "medserver.processing.commands.supervisor"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise OutOfResources(f"no process can be started: {error.strerror}") from error


def _request(entry: CommandType, how: Invocation, place: Place) -> dict[str, Any]:
    limits = {
        "cpus": entry.cpus,
        "memory_max_bytes": entry.memory_max_bytes,
        "cpu_time_max_s": int(entry.time_max_s * entry.cpus) + 1,
        "file_size_max_bytes": entry.output_max_bytes,
    }
    return {
        "arguments": how.arguments,
        "environment": dict(how.environment),
        "afterwards": how.afterwards,
        "work": os.fspath(place.work),
        "written": [os.fspath(place.outputs), os.fspath(place.work)],
        "limits": limits if how.is_confined else None,
        "time_max_s": entry.time_max_s,
        "files_max": entry.files_max,
        "output_max_bytes": entry.output_max_bytes,
    }


def _end(supervisor: subprocess.Popen[bytes], started: int | None) -> None:
    """Let the supervisor kill what there is, and end; kill both if it does not."""
    assert supervisor.stdin is not None and supervisor.stdout is not None
    with suppress(BrokenPipeError):
        supervisor.stdin.close()
    try:
        is_well = supervisor.wait(END_TIME_MAX_S) == 0
    except subprocess.TimeoutExpired:
        is_well = False
        supervisor.kill()
        supervisor.wait()
    supervisor.stdout.close()
    if not is_well and started is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(started, signal.SIGKILL)
