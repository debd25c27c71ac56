"""What the acceptor processes of a node know of each other: how many connections each one serves, and whose.

The table lies in memory that all of them share, made before they are. Each process writes its own rows only, so no
lock is needed and a process that dies leaves nothing locked; `forget` clears its rows.
"""

from __future__ import annotations

import mmap
import struct
import zlib

from medserver.wire.minute_counts import MinuteCounts, ProcessMinuteCounts

HESITATION_S = 0.002
"""How long a process leaves a new connection to others that serve fewer."""

_COUNT = struct.Struct("<I")
_ROW = struct.Struct("<III")  # 1 if taken, checksum of the AE title, checksum of the address


class Roster:
    """The connections and associations of all processes of a node.

    Parameters
    ----------
    processes : int
        How many acceptor processes there are.
    rows : int
        How many associations one process can have.
    """

    def __init__(self, processes: int, rows: int) -> None:
        self.rows = rows
        self._processes = processes
        self._process_bytes = _COUNT.size + self.rows * _ROW.size
        self._shared = mmap.mmap(-1, processes * self._process_bytes)
        self.minute_counts = MinuteCounts(processes)

    def place(self, index: int) -> RosterPlace:
        """Return the place of one process, from 0."""
        return RosterPlace(self, index)

    def forget(self, index: int) -> None:
        """Clear the rows of a process that has ended."""
        start = index * self._process_bytes
        self._shared[start : start + self._process_bytes] = bytes(self._process_bytes)

    def connections(self) -> list[int]:
        """Return how many connections each process serves."""
        return [
            _COUNT.unpack_from(self._shared, index * self._process_bytes)[0] for index in range(self._processes)
        ]

    def established(self) -> list[tuple[int, int]]:
        """Return checksums of AE title and address of every established association."""
        found = []
        for index in range(self._processes):
            start = index * self._process_bytes + _COUNT.size
            rows = self._shared[start : start + self.rows * _ROW.size]
            found += [(title, address) for taken, title, address in _ROW.iter_unpack(rows) if taken]
        return found

    def set_connections(self, index: int, count: int) -> None:
        """Note how many connections a process serves."""
        _COUNT.pack_into(self._shared, index * self._process_bytes, count)

    def write(self, index: int, row: int, taken: bool, ae_title: str = "", address: str = "") -> None:
        """Write one row of a process."""
        offset = index * self._process_bytes + _COUNT.size + row * _ROW.size
        _ROW.pack_into(self._shared, offset, int(taken), checksum(ae_title), checksum(address))


class RosterPlace:
    """The roster as one process sees it; used under the lock of its `Admission`.

    Parameters
    ----------
    roster : Roster
        The table.
    index : int
        Which process this is.

    Attributes
    ----------
    minute_counts : ProcessMinuteCounts
        How many associations began in this minute.
    """

    def __init__(self, roster: Roster, index: int) -> None:
        self._roster = roster
        self._index = index
        self.minute_counts = ProcessMinuteCounts(roster.minute_counts, index)
        self._associations: list[object | None] = [None] * roster.rows  # by row

    def add(self, association: object, ae_title: str, address: str) -> bool:
        """Note an established association; False if the table is full."""
        if None not in self._associations:
            return False
        row = self._associations.index(None)
        self._associations[row] = association  # first: whatever fails behind it, `remove` finds the row
        self._roster.write(self._index, row, True, ae_title, address)
        self.minute_counts.note(checksum(ae_title), checksum(address))
        return True

    def remove(self, association: object) -> None:
        """Forget an association that has ended."""
        if association in self._associations:
            row = self._associations.index(association)
            self._roster.write(self._index, row, False)
            self._associations[row] = None

    def set_connections(self, count: int) -> None:
        """Note how many connections this process serves."""
        self._roster.set_connections(self._index, count)

    def established(self) -> list[tuple[int, int]]:
        """Return checksums of AE title and address of the associations of all processes."""
        return self._roster.established()

    def hesitation_s(self) -> float:
        """Return how long to leave a new connection to others: not at all, if nobody serves fewer."""
        connections = self._roster.connections()
        return HESITATION_S if connections[self._index] > min(connections) else 0.0


def checksum(text: str) -> int:
    """Return the number that stands for a text in the table."""
    return zlib.crc32(text.encode("utf-8", "replace"))
