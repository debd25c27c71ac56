"""An object in a bucket as a file: read in ranges, each no longer than is needed soon."""

from __future__ import annotations

import io

from medserver.store.bucket.connection import BucketConnection

WINDOW_BYTES = 1024 * 1024
"""Most objects come with the first request."""


class BucketFile(io.RawIOBase):
    """An object of a bucket, read only.

    Parameters
    ----------
    connection : BucketConnection
        The way to the bucket.
    path : str
        The object.

    Raises
    ------
    DamagedObject, StoreFailure
        See `BucketConnection.asking`; reading raises them as well.
    """

    def __init__(self, connection: BucketConnection, path: str) -> None:
        super().__init__()
        self._connection = connection
        self._path = path
        self._position = 0
        self._window_start = 0
        self._window = memoryview(b"")
        self._size_bytes = 0
        self._begin()

    def _begin(self) -> None:
        """Read the size of the object and its first bytes."""
        import obstore

        with self._connection.asking("read an object", self._path) as store:
            self._size_bytes = obstore.head(store, self._path)["size"]
        if self._size_bytes:
            self._fetch(WINDOW_BYTES)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` as far as the object goes, and return the number of bytes."""
        target = memoryview(buffer)
        wanted = max(min(len(target), self._size_bytes - self._position), 0)
        count = 0
        while count < wanted and self._position < self._size_bytes:
            start = self._position - self._window_start
            if not 0 <= start < len(self._window):
                self._fetch(max(wanted - count, WINDOW_BYTES))
                start = 0
            piece = self._window[start : start + wanted - count]
            target[count : count + len(piece)] = piece
            count += len(piece)
            self._position += len(piece)
        return count

    def _fetch(self, size_bytes: int) -> None:
        import obstore

        length = min(size_bytes, 4 * WINDOW_BYTES, self._size_bytes - self._position)
        with self._connection.asking("read an object", self._path) as store:
            content = obstore.get_range(store, self._path, start=self._position, length=length)
        self._window, self._window_start = memoryview(content), self._position
        if not len(self._window):
            self._size_bytes = self._position  # it has become shorter: that is its end

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position, 0 at the first byte."""
        return self._position
