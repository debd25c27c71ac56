"""Deflate a data set while it is written."""

from __future__ import annotations

import zlib
from typing import BinaryIO


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
        self._size_bytes = 0

    def write(self, data: bytes) -> int:
        """Deflate data; return how much it was."""
        self._put(self._compressor.compress(data))
        return len(data)

    def finish(self) -> None:
        """Write the end of the stream, padded to an even length."""
        self._put(self._compressor.flush())
        self._put(bytes(self._size_bytes % 2))

    def _put(self, deflated: bytes) -> None:
        self._output.write(deflated)
        self._size_bytes += len(deflated)
