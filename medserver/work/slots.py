"""The slots of remote AEs: a thread for each lane of theirs, while there is something to do for it.

A remote AE may take a byte a second, or nothing for a minute. It holds up what is done for it by the same kind of job,
and nothing else: other kinds and other AEs have threads of their own, and so has the work of this node (`lanes`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from medserver.index import Lane

IDLE_S = 5.0
"""After this time without a lane a thread ends [s]."""

logger = logging.getLogger(__name__)


class Slots:
    """Lanes that may have jobs which are due, and the threads that perform them. Threads share it.

    Parameters
    ----------
    perform : callable
        Performs what is due in a lane, and does not raise. It is never called twice at a time for the same lane.
    threads_max : int
        How many threads there are at most; what is more has its turn when one of them is free.
    idle_s : float
        See `IDLE_S`.
    """

    def __init__(self, perform: Callable[[Lane], None], threads_max: int, idle_s: float = IDLE_S) -> None:
        self._perform = perform
        self._threads_max = threads_max
        self._idle_s = idle_s
        self._lanes: dict[Lane, None] = {}  # in the order in which they were added
        self._performed: set[Lane] = set()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._changed = threading.Condition()
        self._state = "not started"

    def start(self) -> None:
        """Begin: from now on threads are started."""
        with self._changed:
            self._state = "started"
            self._start_threads()

    def add(self, lanes: Iterable[Lane]) -> None:
        """Have lanes looked at; one that is performed now is looked at again afterwards."""
        with self._changed:
            for lane in lanes:
                self._lanes.setdefault(lane)
            self._start_threads()
            self._changed.notify_all()

    def performs(self, lane: Lane) -> bool:
        """Tell whether a lane is performed now."""
        with self._changed:
            return lane in self._performed

    def take_now(self) -> Lane | None:
        """Take a lane, None if there is none; for who performs it in the thread that calls."""
        with self._changed:
            lane = self._next()
            if lane is not None:
                del self._lanes[lane]
            return lane

    def close(self) -> None:
        """Perform no more lanes."""
        with self._changed:
            self._state = "closed"
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for the threads, until a moment of the monotonic clock at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._threads, max(0.0, deadline - time.monotonic()))

    def _next(self) -> Lane | None:
        return next((lane for lane in self._lanes if lane not in self._performed), None)

    def _start_threads(self) -> None:
        """Start a thread for each lane that nobody will take else."""
        if self._state != "started":
            return
        waiting = sum(lane not in self._performed for lane in self._lanes)
        for _ in range(min(waiting - self._idle, self._threads_max - len(self._threads))):
            thread = threading.Thread(target=self._run, name="slot", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the next sweep tries it again
                logger.warning("no thread for what waits for remote AEs: %s", error)
                return
            self._threads.add(thread)
            self._idle += 1  # until it takes its lane

    def _run(self) -> None:
        while (lane := self._take()) is not None:
            try:
                self._perform(lane)
            finally:
                with self._changed:
                    self._performed.discard(lane)
                    if lane in self._lanes:  # it has had its turn
                        del self._lanes[lane]
                        self._lanes[lane] = None
                    self._idle += 1
                    self._changed.notify_all()

    def _take(self) -> Lane | None:
        """Wait for a lane and take it, in a thread that counts as idle; None if the thread has to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._state == "closed" or self._next() is not None, self._idle_s)
            lane = self._next() if self._state == "started" else None
            self._idle -= 1
            if lane is None:
                self._threads.discard(threading.current_thread())
                self._changed.notify_all()
            else:
                del self._lanes[lane]
                self._performed.add(lane)
            return lane
