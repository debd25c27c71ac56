"""The process that an external program runs under, a program of its own: nothing of what it starts outlives it.

Its standard input has one line of JSON, which `execution` writes, and stays open for as long as anybody wants the
result: if whoever asked is killed, it is closed too. It answers with two lines of JSON: the number of the process that
it has started, and how that has ended. Processes that the program leaves behind, also in sessions of their own, become
children of this one, which kills them (PR_SET_CHILD_SUBREAPER, prctl(2)); if this one is killed, the program is
(PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

LOOK_EVERY_S = 0.25
OUTPUT_MAX_BYTES = 64 * 1024
"""How much is kept of what the program writes to its standard output, and to its standard error: the last of it."""

AFTERWARDS_TIME_MAX_S = 20.0
OPEN_FILES_MAX = 1024
MORE_LIKELY_KILLED = b"500"  # of a host without memory, before the node (proc_pid_oom_score_adj(5))

_LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run the program that is asked for."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    request = json.loads(_first_line(0))
    _LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    answer = _Run(request).ended()
    print(json.dumps(answer), flush=True)


def _first_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(descriptor, 64 * 1024)
        if not part:
            raise SystemExit(1)
        line += part
    return line


class _Run:
    """The program, from its start to its end.

    Parameters
    ----------
    request : dict
        What is asked for.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._said: dict[int, bytes] = {}  # by the number of the pipe

    def ended(self) -> dict[str, Any]:
        """Start it, wait for its end, and return what was that."""
        request = self._request
        try:
            process = subprocess.Popen(
                request["arguments"],
                env=request["environment"],
                cwd=request["work"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=self._confine,  # noqa: PLW1509 - there is one thread
            )
        except OSError as error:
            return self._answer("start", error.errno or 0, os.strerror(error.errno or 0))
        except subprocess.SubprocessError as error:  # a limit above that of this process
            return self._answer("start", 0, str(error))
        print(json.dumps({"process": process.pid}), flush=True)
        pipes = [pipe.fileno() for pipe in (process.stdout, process.stderr) if pipe is not None]
        for pipe in pipes:
            os.set_blocking(pipe, False)
        try:
            end = self._wait(process, pipes)
        finally:
            self._kill_all(process)
        for pipe in pipes:
            self._read(pipe)
        end = end or self._too_much()
        return self._answer(end or "exit", process.returncode)

    def _confine(self) -> None:
        """Limit what the program can use; in its process, before it begins."""
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(MORE_LIKELY_KILLED)
        limits = self._request["limits"]
        _limit(resource.RLIMIT_CORE, 0)
        if not limits:  # a container has its own
            return
        with suppress(OSError):
            os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-limits["cpus"] :]))
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES_MAX)
        _limit(resource.RLIMIT_FSIZE, limits["file_size_max_bytes"])
        _limit(resource.RLIMIT_CPU, limits["cpu_time_max_s"])
        _limit(resource.RLIMIT_AS, limits["memory_max_bytes"])

    def _wait(self, process: subprocess.Popen[bytes], pipes: list[int]) -> str:
        """Return when the program has ended, "", or why it is not to go on."""
        ended = os.pidfd_open(process.pid)
        deadline = time.monotonic() + self._request["time_max_s"]
        events = select.poll()
        events.register(0, select.POLLIN)
        events.register(ended, select.POLLIN)
        for pipe in pipes:
            events.register(pipe, select.POLLIN)
        try:
            while True:
                ready = dict(events.poll(LOOK_EVERY_S * 1000))
                for pipe in ready.keys() & set(pipes):
                    if not self._read(pipe):
                        events.unregister(pipe)
                if ended in ready:
                    return ""
                if 0 in ready:
                    return "unwanted"
                if time.monotonic() > deadline:
                    return "time"
                if too_much := self._too_much():
                    return too_much
        finally:
            os.close(ended)

    def _read(self, pipe: int) -> bool:
        """Take what the program has said; False if nobody can say more."""
        while True:
            try:
                part = os.read(pipe, OUTPUT_MAX_BYTES)
            except BlockingIOError:
                return True
            if not part:
                return False
            self._said[pipe] = (self._said.get(pipe, b"") + part)[-OUTPUT_MAX_BYTES:]

    def _too_much(self) -> str:
        """Return which limit the files break that the program has written, "" if none."""
        count = size_bytes = 0
        for each in _sizes(self._request["written"]):
            count, size_bytes = count + 1, size_bytes + each
        if count > self._request["files_max"]:
            return "files"
        return "size" if size_bytes > self._request["output_max_bytes"] else ""

    def _kill_all(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the program and all that it has started, and wait for their ends."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for command in self._request["afterwards"]:
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    command, env=self._request["environment"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, check=False, timeout=AFTERWARDS_TIME_MAX_S,
                )  # fmt: skip
        with suppress(ChildProcessError):  # there is none left
            while True:
                for child in _children(os.getpid()):
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                os.waitpid(-1, 0)

    def _answer(self, end: str, code: int, text: str = "") -> dict[str, Any]:
        said = [self._said[pipe].decode(errors="replace") for pipe in sorted(self._said)]
        return {"end": end, "code": code, "text": text, "output": said}


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    highest = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (highest, highest))


def _sizes(folders: list[str]) -> Iterator[int]:
    """Yield the size of each file below some folders."""
    for folder in folders:
        for directory, _, files in os.walk(folder):
            for name in files:
                with suppress(OSError):
                    yield os.lstat(os.path.join(directory, name)).st_size


def _children(parent: int) -> Iterator[int]:
    """Yield the processes that have a parent."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                if int(fields[1]) == parent:
                    yield int(name)


if __name__ == "__main__":
    main()
    sys.exit(0)
