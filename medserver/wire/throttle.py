"""Saying a thing now and then instead of each time, so that a peer cannot fill a log or a table."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Hashable

INTERVAL_S = 60.0
KEYS_MAX = 50


class Throttle:
    """Allows each key a few times in an interval, and only so many keys; may be used from any thread.

    The bound on the keys holds against a peer that changes its name each time: what comes after them in the
    same interval is not allowed at all.

    Parameters
    ----------
    interval_s : float
        How long an interval is.
    times_max : int
        How often a key is allowed in an interval.
    keys_max : int
        How many different keys are allowed in an interval.
    """

    def __init__(
        self, interval_s: float = INTERVAL_S, times_max: int = 1, keys_max: int = KEYS_MAX
    ) -> None:
        self._interval_s = interval_s
        self._times_max = times_max
        self._keys_max = keys_max
        self._lock = threading.Lock()
        self._began_at = 0.0
        self._allowed: Counter[Hashable] = Counter()

    def allows(self, key: Hashable) -> bool:
        """Tell whether this is the time to do what the key stands for."""
        with self._lock:
            now = time.monotonic()
            if now - self._began_at >= self._interval_s:
                self._began_at = now
                self._allowed.clear()
            known = key in self._allowed
            if self._allowed[key] >= self._times_max if known else len(self._allowed) >= self._keys_max:
                return False
            self._allowed[key] += 1
            return True
