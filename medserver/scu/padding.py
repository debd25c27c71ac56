"""Data sets of odd length, as some devices make them, are sent with a byte more: fragments are even (PS3.8 E.1)."""

from __future__ import annotations

import io
from typing import BinaryIO

from medserver.wire.association import Association


class PaddedFile(io.RawIOBase):
    """A file with a null byte behind it, to be read from the first byte to the last.

    Parameters
    ----------
    file : BinaryIO
        The file.
    size_bytes : int
        Its length.
    """

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._left_bytes = size_bytes + 1

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` as far as the file goes, and return the number of bytes: fewer if the file ends early."""
        view = memoryview(buffer)[: self._left_bytes]
        ends = len(view) == self._left_bytes > 0
        wanted = len(view) - ends
        count = self._file.readinto(view[:wanted]) if wanted else 0
        if ends and count == wanted:
            view[count] = 0
            count += 1
        self._left_bytes -= count
        return count


def send_data_set(
    association: Association, context_id: int, command_set: bytes, data_set: BinaryIO, size_bytes: int
) -> None:
    """Send a message whose data set is the next `size_bytes` of a file, and a null byte if that is odd.

    DCMTK ends the association at a fragment of odd length. Receivers pass over a byte behind the last element, or take
    it for its padding.

    Raises
    ------
    AssociationAborted, StoreFailure, OSError
        As `Association.send_file` does.
    """
    if size_bytes % 2:
        data_set, size_bytes = PaddedFile(data_set, size_bytes), size_bytes + 1
    association.send_file(context_id, command_set, data_set, size_bytes)
