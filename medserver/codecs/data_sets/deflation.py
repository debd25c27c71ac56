"""Deflate a data set while it is written."""

from __future__ import annotations

import zlib
from typing import BinaryIO

from medserver.codecs.data_sets.inflation import inflated_size_max_bytes
from medserver.errors import CannotTranscode


class Deflater:
    """What is written to it goes deflated to a file (PS3.5 A.5).

    Parameters
    ----------
    output : BinaryIO
        The file.
    """

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        self._size_bytes = self._inflated_size_bytes = 0

    def write(self, data: bytes) -> int:
        """Deflate data; return how much it was."""
        self._inflated_size_bytes += len(data)
        self._put(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        """Write the end of the stream, padded to an even length.

        Raises
        ------
        CannotTranscode
            The stream inflates to more than `inflation.inflate` takes.
        """
        self._put(self._compressor.flush())
        if self._inflated_size_bytes > inflated_size_max_bytes(self._size_bytes):
            sizes = f"{self._inflated_size_bytes} bytes become {self._size_bytes}"
            raise CannotTranscode(f"deflated, the data set would be taken for a bomb: {sizes}")
        self._put(bytes(self._size_bytes % 2))

    def _put(self, deflated: bytes) -> None:
        self._output.write(deflated)
        self._size_bytes += len(deflated)
