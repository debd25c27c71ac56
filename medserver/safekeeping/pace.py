"""A limit on how much is read in a second, so that those who wait for an answer come first."""

from __future__ import annotations

import threading
import time

_PAUSE_MIN_S = 0.01


class Pace:
    """A limit of bytes per second; used by one thread.

    Parameters
    ----------
    rate_max_bytes : float or None
        Bytes per second; None is without limit.
    """

    def __init__(self, rate_max_bytes: float | None) -> None:
        self._rate = rate_max_bytes
        self._free_at = time.monotonic()

    def spend(self, size_bytes: int) -> None:
        """Wait as long as so many bytes take."""
        if not self._rate:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now - 1.0) + size_bytes / self._rate
        if self._free_at - now > _PAUSE_MIN_S:
            threading.Event().wait(self._free_at - now)
