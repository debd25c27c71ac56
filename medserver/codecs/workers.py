"""A few processes with limits, in which the work on pixels and on peers' data sets is done.

What a job does wrong (crash, loop, eat memory) ends that job and at most its process; the next job gets a new
one. The child's side is in `worker`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from medserver.codecs.worker import MESSAGE_SIZE_MAX_BYTES
from medserver.errors import (
    CannotProcess,
    CannotRender,
    CannotTranscode,
    NoFrameTimes,
    NoSuchFrames,
    NotMultiFrame,
    OutOfResources,
    TransferSyntaxNotSupported,
    WorkerDied,
    WorkStopped,
    WorkTooLong,
)

_LOGGER = logging.getLogger(__name__)

WALL_TIME_FACTOR = 5
"""How much longer than its CPU time a job may take: a worker may wait for a disk or for its turn."""

START_TIME_MAX_S = 60.0
END_TIME_MAX_S = 2.0
LOOK_EVERY_S = 0.2
"""How often is looked whether work is still wanted."""

_ERRORS = {
    each.__name__: each
    for each in (
        CannotProcess, *CannotProcess.__subclasses__(), CannotRender, CannotTranscode, NoFrameTimes,
        NoSuchFrames, NotMultiFrame, OutOfResources, TransferSyntaxNotSupported,
    )
}  # fmt: skip


class Workers:
    """Worker processes, started when first needed and replaced when they die.

    Safe to use from any number of threads; more jobs than workers wait for their turn.

    Parameters
    ----------
    count : int
        The most processes at once.
    memory_max_bytes : int
        The address space that a job may use, on top of what an idle worker has.
    time_max_s : float
        The CPU time that a job may use [s].
    """

    def __init__(self, count: int = 2, memory_max_bytes: int = 2**30, time_max_s: float = 120.0) -> None:
        self.count = count
        self._time_max_s = time_max_s
        self._closed = False
        self._closing = threading.Lock()
        self._workers = [Worker(memory_max_bytes) for _ in range(count)]
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()  # the last used has its caches warm
        for each in reversed(self._workers):
            self._idle.put(each)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        function: Callable | str,
        *arguments: Any,
        files: Sequence[int] = (),
        unless: Callable[[], bool] | None = None,
    ) -> Any:
        """Call a function in a worker process and wait for it.

        Parameters
        ----------
        function : callable or str
            A function at the top level of a module that the worker can import, or its name, as ``module:function``.
        *arguments
            What JSON can hold.
        files : sequence of int
            Open files, which become the first arguments as descriptors of the worker's own.
        unless : callable, optional
            Asked several times a second whether nobody wants it any longer; then the process is killed.

        Returns
        -------
        object
            What the function returned; what JSON can hold.

        Raises
        ------
        CannotTranscode
            If the function raised anything but those below.
        WorkerDied, WorkTooLong
            If its process died, or the time was over.
        OutOfResources
            If there was no space on the disk, or no process could be started.
        CannotProcess, CannotRender, NoFrameTimes, NoSuchFrames, NotMultiFrame, TransferSyntaxNotSupported
            If the function raised it, or a class of CannotProcess.
        WorkStopped
            Nobody wanted it any longer.
        """
        name = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
        request = {
            "function": name,
            "arguments": arguments,
            "time_max_s": self._time_max_s,
        }
        worker = self._wait_for_idle(unless)
        try:
            if self._closed:
                raise CannotTranscode("the worker processes are stopped")
            answer = worker.ask(json.dumps(request).encode(), files, self._time_max_s, unless)
        finally:
            self._idle.put(worker)
        if "error" in answer:
            raise _ERRORS.get(answer["error"], CannotTranscode)(answer["text"])
        return answer["value"]

    def _wait_for_idle(self, unless: Callable[[], bool] | None) -> Worker:
        """Take a worker that has nothing to do.

        Raises
        ------
        WorkStopped
            Nobody wants it any longer.
        """
        while unless is not None:
            try:
                return self._idle.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                if unless():
                    raise WorkStopped("nobody wants it any longer") from None
        return self._idle.get()

    def close(self) -> None:
        """Stop all workers. Jobs under way fail, and so do later ones."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for each in self._workers:
            each.kill()
        for each in [self._idle.get() for _ in self._workers]:  # once the jobs under way have failed
            each.close()
            self._idle.put(each)


class Worker:
    """One worker process, or the place for one.

    Parameters
    ----------
    memory_max_bytes : int
        The address space that a job may use, on top of what the idle worker has.
    """

    def __init__(self, memory_max_bytes: int) -> None:
        self._memory_max_bytes = memory_max_bytes
        self._process: subprocess.Popen | None = None
        self._connection: socket.socket | None = None
        self._closed = False
        self._lock = threading.Lock()  # start and end of the process; not held while a job is done

    def ask(
        self, message: bytes, files: Sequence[int], time_max_s: float, unless: Callable[[], bool] | None = None
    ) -> dict:
        """Send a job to the process, starting one if need be, and return its answer; parameters as for `Workers.run`.

        Raises
        ------
        CannotTranscode
            If the answer is none.
        WorkerDied, WorkTooLong
            If the process dies or takes too long.
        OutOfResources
            If no process can be started.
        WorkStopped
            If nobody wanted it any longer.
        """
        connection = self._started()
        connection.settimeout(START_TIME_MAX_S + WALL_TIME_FACTOR * time_max_s)
        try:
            socket.send_fds(connection, [message], files)
            if unless is not None:
                _wait_for_answer(connection, unless)
            answer = connection.recv(MESSAGE_SIZE_MAX_BYTES)
        except (TimeoutError, WorkStopped) as error:
            _LOGGER.warning("worker process %d is stopped: %s", self._process.pid, error or "it does not answer")
            self._process.kill()
            self._end()
            if isinstance(error, WorkStopped):
                raise
            raise WorkTooLong("the work took too long") from None
        except OSError:  # its end is closed: it is dead
            answer = b""
        if not answer:
            raise _end_of(self._end(), time_max_s)
        return _checked(answer)

    def kill(self) -> None:
        """Stop the process and start none again. Its job, if it has one, fails."""
        with self._lock:
            self._closed = True
            if self._process:
                self._process.kill()

    def close(self) -> None:
        """Stop the process and let go of it. Not while it has a job."""
        self.kill()
        if self._process:
            self._end()

    def _started(self) -> socket.socket:
        """Return the connection to a process that lives."""
        with self._lock:
            if self._closed:
                raise CannotTranscode("the worker processes are stopped")
            if self._process and self._process.poll() is not None:
                self._discard()
            if self._connection is None:
                self._start()
            return self._connection

    def _start(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
            # Threads and malloc arenas reserve address space, which is limited, and do not help here.
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", "-m", "medserver.codecs.worker"]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(self._memory_max_bytes)],
                    pass_fds=[theirs.fileno()],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,  # decoders print what they like, patients' names too
                    stderr=subprocess.DEVNULL,
                )
            except OSError as error:
                ours.close()
                raise OutOfResources(f"no worker process can be started: {error.strerror}") from error
        self._connection = ours
        _LOGGER.debug("worker process %d started", self._process.pid)

    def _end(self) -> int:
        """Wait until the process is dead, and return its exit code, negative if a signal ended it."""
        with self._lock:
            try:
                code = self._process.wait(timeout=END_TIME_MAX_S)
            except subprocess.TimeoutExpired:  # it closed its socket and lives on
                self._process.kill()
                code = self._process.wait()
            _LOGGER.debug("worker process %d ended with code %d", self._process.pid, code)
            self._discard()
        return code

    def _discard(self) -> None:
        self._connection.close()
        self._connection = self._process = None


def _wait_for_answer(connection: socket.socket, unless: Callable[[], bool]) -> None:
    """Return when something can be read from a socket, or its other end is closed.

    Raises
    ------
    TimeoutError
        That takes longer than the socket waits.
    WorkStopped
        Nobody wants it any longer.
    """
    deadline = time.monotonic() + (connection.gettimeout() or 0.0)
    readable = select.poll()
    readable.register(connection, select.POLLIN)
    while not readable.poll(LOOK_EVERY_S * 1000):
        if unless():
            raise WorkStopped("nobody wants it any longer")
        if time.monotonic() > deadline:
            raise TimeoutError


def _end_of(code: int, time_max_s: float) -> CannotTranscode:
    """Return why a process that ended with `code` gave no answer."""
    if code == -signal.SIGPROF:
        return WorkTooLong(f"the work took more than {time_max_s:g} s of CPU time")
    _LOGGER.warning("a worker process died with code %d in a job", code)
    return WorkerDied(f"the worker process died with code {code}")


def _checked(answer: bytes) -> dict:
    """Return an answer. Hostile data may have taken the worker over, so that it is not trusted either."""
    try:
        content = json.loads(answer)
        if "value" in content or isinstance(content["error"] + content["text"], str):
            return content
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise CannotTranscode("the worker process gave no proper answer")
