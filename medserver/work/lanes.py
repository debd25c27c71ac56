"""The lanes that a worker has to look at, each in its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from medserver.index import Lane


class HotLanes:
    """Lanes that may have jobs which are due. Threads share it."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, None] = {}  # in the order in which they were added
        self._changed = threading.Condition()
        self._idle = 0
        self._closed = False

    def add(self, lanes: Iterable[Lane]) -> None:
        """Have lanes looked at."""
        with self._changed:
            for lane in lanes:
                self._lanes.setdefault(lane)
            self._changed.notify_all()

    def take(self) -> Lane | None:
        """Wait for a lane and take it; None when there will be none any more."""
        with self._changed:
            self._idle += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: self._lanes or self._closed)
            finally:
                self._idle -= 1
            return None if self._closed else self._first()

    def take_now(self) -> Lane | None:
        """Take a lane, None if there is none."""
        with self._changed:
            return self._first() if self._lanes else None

    def _first(self) -> Lane:
        lane = next(iter(self._lanes))
        del self._lanes[lane]
        return lane

    def wait_for_idle(self, unless: Callable[[], bool] = lambda: False) -> bool:
        """Wait until a thread waits for a lane; False when there will be none any more.

        Who is busy must not take a message that an idle worker elsewhere could act upon.

        Parameters
        ----------
        unless : callable
            Tells whether there is no need to wait, for there is no other worker.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or unless() or self._idle > len(self._lanes))
            return not self._closed

    def close(self) -> None:
        """Let all who wait go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
