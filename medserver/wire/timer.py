"""The ARTIM and idle timers on a clock that nobody sets back (PS3.8 9.1.5)."""

from __future__ import annotations

import time

from pynetdicom.timer import Timer


class MonotonicTimer(Timer):
    """A `Timer` that does not notice when the wall clock jumps."""

    @property
    def remaining(self) -> float:
        """Return the seconds until the timer expires; 1 if it never does."""
        if self.timeout is None:
            return 1
        if self._start_time is None:
            return self.timeout
        end_time = time.monotonic() if self._end_time is None else self._end_time
        return self.timeout - (end_time - self._start_time)

    def start(self) -> None:
        """Reset the timer and let it run."""
        self._start_time = time.monotonic()
        self._end_time = None

    def stop(self) -> None:
        """Stop the timer: it will not expire any more until it is started again."""
        self._start_time = None
        self._end_time = None
