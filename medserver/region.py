"""A part of a file as a stream with a position of its own."""

from __future__ import annotations

import io
import os

BUFFER_SIZE_BYTES = 256 * 1024


class Region(io.RawIOBase):
    """The bytes `offset` to `offset + size_bytes` of an open file, read only.

    A descriptor that two processes hold has one position for both; a region never uses it.

    Parameters
    ----------
    descriptor : int
        An open, seekable file. It is closed with the region.
    offset, size_bytes : int
        Where the region starts and how long it is.
    """

    def __init__(self, descriptor: int, offset: int, size_bytes: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._offset = offset
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into `buffer` and return the number of bytes, 0 at the end of the region."""
        wanted = min(len(buffer), self._size_bytes - self._position)
        if wanted <= 0:
            return 0
        count = os.preadv(self._descriptor, [memoryview(buffer)[:wanted]], self._offset + self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position, 0 at the start of the region."""
        return self._position

    def close(self) -> None:
        """Close the region and its descriptor."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_region(
    descriptor: int, offset: int, size_bytes: int, buffer_size_bytes: int = BUFFER_SIZE_BYTES
) -> io.BufferedReader:
    """Return a buffered stream over a region of the file `descriptor`, which stays open for others.

    Parameters
    ----------
    descriptor, offset, size_bytes
        As for `Region`, but for the descriptor, which is not closed.
    buffer_size_bytes : int
        How much is read at once: little, for who passes over most of the region.
    """
    return io.BufferedReader(Region(os.dup(descriptor), offset, size_bytes), buffer_size_bytes)
