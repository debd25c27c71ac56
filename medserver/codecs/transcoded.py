"""A data set in its new transfer syntax."""

from __future__ import annotations

import os
from typing import BinaryIO

from medserver.region import open_region


class Transcoded:
    """A data set in its new transfer syntax, in a file that may have no name.

    Parameters
    ----------
    descriptor : int
        The file. It is the maker's to close; streams that were opened before stay open.
    offset : int
        Where the data set begins in it; it goes on to the end.
    pixel_digest : str, optional
        SHA-256 of the native frames, if they were just encoded or decoded: see `conversion.convert`.

    Attributes
    ----------
    size_bytes : int
        The length of the data set.
    """

    def __init__(self, descriptor: int, offset: int = 0, pixel_digest: str | None = None) -> None:
        self.descriptor = descriptor
        self.pixel_digest = pixel_digest
        self._offset = offset
        self.size_bytes = os.fstat(descriptor).st_size - offset

    def open(self) -> BinaryIO:
        """Return a new stream at the start of the data set. It is the caller's to close, at any time."""
        return open_region(self.descriptor, self._offset, self.size_bytes)
