"""How many associations began in this minute, and whose, counted over all acceptor processes of a node.

As in `roster`, each process writes only its own rows of a table in memory that all of them share.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable

INTERVAL_S = 60

ROWS = 256
"""How many pairs of AE title and address a process counts in a minute. Only configured AEs come so far."""

_ROW = struct.Struct("<IIII")  # number of the minute, checksums of AE title and address, associations


class MinuteCounts:
    """The associations that began in all processes of a node, by minute.

    Parameters
    ----------
    processes : int
        How many acceptor processes there are.
    """

    def __init__(self, processes: int) -> None:
        self._shared = mmap.mmap(-1, processes * ROWS * _ROW.size)

    def write(self, index: int, row: int, values: tuple[int, int, int, int]) -> None:
        """Write one row of a process."""
        _ROW.pack_into(self._shared, (index * ROWS + row) * _ROW.size, *values)

    def begun(self, minute: int) -> list[tuple[int, int, int]]:
        """Return checksums of AE title and address, and the number of associations, of every row of a minute."""
        return [row[1:] for row in _ROW.iter_unpack(self._shared[:]) if row[0] == minute]


class ProcessMinuteCounts:
    """The counts as one process sees them; used under the lock of its `Admission`.

    Parameters
    ----------
    minute_counts : MinuteCounts
        The table.
    index : int
        Which process this is, from 0.
    clock : callable
        The monotonic time [s]; it is the same in all processes.
    """

    def __init__(self, minute_counts: MinuteCounts, index: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._minute_counts = minute_counts
        self._index = index
        self._clock = clock
        self._minute = 0
        self._counts: dict[tuple[int, int], int] = {}  # in the order of the rows

    def begun(self) -> list[tuple[int, int, int]]:
        """Return checksums of AE title and address, and how many associations of theirs began in this minute."""
        return self._minute_counts.begun(self._now())

    def note(self, title_sum: int, address_sum: int) -> None:
        """Count an association; it is let pass uncounted when there is no row for it."""
        minute = self._now()
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        pair = (title_sum, address_sum)
        if pair not in self._counts and len(self._counts) == ROWS:
            return
        self._counts[pair] = self._counts.get(pair, 0) + 1
        row = list(self._counts).index(pair)
        self._minute_counts.write(self._index, row, (minute, *pair, self._counts[pair]))

    def _now(self) -> int:
        # From 1: the rows of a new table say 0.
        return int(self._clock() // INTERVAL_S) + 1
