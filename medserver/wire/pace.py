"""How fast bytes go out, where that is limited: all associations with a remote AE share one pace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

BYTES_PER_MB = 1_000_000

INTERVAL_S = 0.1
"""How much is sent at once: the bytes of this time. The remote AE hears from us much sooner than it loses patience."""

CHUNK_MIN_BYTES = 1024
"""Less than this is never sent at once, however slow the pace: PDUs have a header."""


class Pace:
    """A limit of the bytes in a time. Threads share it.

    Parameters
    ----------
    bytes_per_s : float
        The limit [bytes/s], above 0.
    clock : callable
        Returns a monotonic time [s].
    """

    def __init__(self, bytes_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes_per_s = bytes_per_s
        self.clock = clock
        self._lock = threading.Lock()
        self._free_at = clock()

    @property
    def chunk_bytes(self) -> int:
        """Return how much is sent at once."""
        return max(CHUNK_MIN_BYTES, int(self.bytes_per_s * INTERVAL_S))

    def reserve(self, size_bytes: int) -> float:
        """Return the moment of the clock from which so many bytes may be sent, behind those of all others.

        What was not used while nothing was sent is not made up for.
        """
        with self._lock:
            begin_at = max(self._free_at, self.clock())
            self._free_at = begin_at + size_bytes / self.bytes_per_s
            return begin_at

    def left_s(self, moment: float) -> float:
        """Return how long it is until a moment [s]."""
        return moment - self.clock()


class Paces:
    """The paces of a process, one for each remote AE that has a limit. Threads share it."""

    def __init__(self) -> None:
        self._paces: dict[Hashable, Pace] = {}
        self._lock = threading.Lock()

    def of(self, key: Hashable, bytes_per_s: float) -> Pace | None:
        """Return the pace of a remote AE, which takes the limit of now; None if there is no limit.

        Parameters
        ----------
        key : hashable
            Which remote AE.
        bytes_per_s : float
            The limit [bytes/s]; 0 for none.
        """
        with self._lock:
            if not bytes_per_s:
                self._paces.pop(key, None)
                return None
            pace = self._paces.setdefault(key, Pace(bytes_per_s))
            pace.bytes_per_s = bytes_per_s
            return pace
