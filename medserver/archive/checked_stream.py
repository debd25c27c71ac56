"""A data set that is compared with its digest while it is read: a bad one is never read to its end."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import BinaryIO

from medserver.errors import DamagedObject, StoreFailure
from medserver.store.failures import translated


class CheckedStream(io.RawIOBase):
    """A data set, to be read once from its first byte to its last.

    Where a copy ends early or cannot be read any further, the next one takes over at the same byte. What has been
    read cannot be taken back: if the digest is wrong in the end, the last bytes are not given.

    Parameters
    ----------
    file : BinaryIO
        A copy, at the first byte of its data set.
    size_bytes : int
        The length of the data set.
    digest : str
        Its SHA-256, hexadecimal.
    take_over : callable
        Takes the error that ended a copy and the number of bytes that have been read, and returns another copy at
        that byte. Raises if there is none.
    on_mismatch : callable
        Called when the digest is wrong, before that is raised.
    """

    def __init__(
        self,
        file: BinaryIO,
        size_bytes: int,
        digest: str,
        take_over: Callable[[StoreFailure, int], BinaryIO],
        on_mismatch: Callable[[], None],
    ) -> None:
        super().__init__()
        self._file = file
        self._size_bytes = size_bytes
        self._digest = digest
        self._take_over = take_over
        self._on_mismatch = on_mismatch
        self._hash = hashlib.sha256()
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` as far as the data set goes, and return the number of bytes.

        Raises
        ------
        DamagedObject
            These would be the last bytes, and the data set is not what was stored.
        StoreFailure
            No copy can be read any further.
        """
        view = memoryview(buffer)[: self._size_bytes - self._position]
        self._fill(view)
        self._hash.update(view)
        self._position += len(view)
        if len(view) and self._position == self._size_bytes and self._hash.hexdigest() != self._digest:
            self._on_mismatch()
            raise DamagedObject("the data set is not what was stored")
        return len(view)

    def _fill(self, view: memoryview) -> None:
        count = 0
        while count < len(view):
            try:
                taken = self._file.readinto(view[count:])
                if not taken:
                    raise DamagedObject(f"the copy ends after {self._position + count} bytes")
                count += taken
            except OSError as error:
                self._replace(translated(error, "read on"), self._position + count)
            except StoreFailure as error:
                self._replace(error, self._position + count)

    def _replace(self, error: StoreFailure, position: int) -> None:
        self._file.close()
        self._file = self._take_over(error, position)

    def close(self) -> None:
        """Close the copy that is being read."""
        if not self.closed:
            self._file.close()
        super().close()
