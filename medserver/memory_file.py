"""Bytes in memory as a file, from which they can be sent without a copy."""

from __future__ import annotations

import io


class MemoryFile(io.RawIOBase):
    """A file to be read from its first byte to its last.

    Parameters
    ----------
    content : memoryview
        The bytes.
    """

    def __init__(self, content: memoryview) -> None:
        super().__init__()
        self._left = content

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Copy the next bytes into `buffer` and return how many, 0 at the end."""
        taken = self.take(len(buffer))
        buffer[: len(taken)] = taken
        return len(taken)

    def take(self, size_bytes: int) -> memoryview:
        """Return the next bytes, not more than `size_bytes`, where they lie."""
        taken, self._left = self._left[:size_bytes], self._left[size_bytes:]
        return taken
