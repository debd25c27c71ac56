"""Inflate a deflated data set, within bounds."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from medserver.dicom.uids import TransferSyntax
from medserver.errors import CannotTranscode

CHUNK_SIZE_BYTES = 256 * 1024
RATIO_MAX = 100
"""How much longer a data set may become. Deflate allows 1,032; images with much background stay below 30."""

SIZE_FREE_BYTES = 64 * 1024 * 1024
"""Up to this size any ratio is allowed: small data sets of one colour."""


def inflated_size_max_bytes(size_bytes: int) -> int:
    """Return how long a deflated data set of `size_bytes` may become."""
    return max(SIZE_FREE_BYTES, RATIO_MAX * size_bytes)


@contextmanager
def plain_data_set(
    source: BinaryIO, size_bytes: int, syntax: TransferSyntax, directory: Path | str, size_max_bytes: int
) -> Iterator[tuple[BinaryIO, int]]:
    """Give a data set as it is, or inflated into a file without a name, with its length; close it in the end.

    Parameters
    ----------
    source : BinaryIO
        The data set as it is stored, from its start.
    size_bytes : int
        Its length.
    syntax : TransferSyntax
        Its transfer syntax.
    directory : path
        Where it is inflated.
    size_max_bytes : int
        The most that is written.

    Raises
    ------
    CannotTranscode
        See `inflate`.
    """
    with source:
        if not syntax.deflated:
            yield source, size_bytes
            return
        with tempfile.TemporaryFile(dir=directory) as plain:
            yield plain, inflate(source, size_bytes, plain, size_max_bytes)


def inflate(source: BinaryIO, size_bytes: int, output: BinaryIO, size_max_bytes: int) -> int:
    """Write the inflated data set to `output` (PS3.5 A.5).

    Parameters
    ----------
    source : BinaryIO
        The deflated data set, from its start.
    size_bytes : int
        Its length.
    output : BinaryIO
        Where to write.
    size_max_bytes : int
        The most that is written.

    Returns
    -------
    int
        The length of the inflated data set.

    Raises
    ------
    CannotTranscode
        If the data are not a whole deflate stream, or inflate beyond the bounds.
    """
    limit = min(size_max_bytes, inflated_size_max_bytes(size_bytes))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    written = 0
    try:
        while not inflater.eof:
            data = inflater.unconsumed_tail or source.read(CHUNK_SIZE_BYTES)
            inflated = inflater.decompress(data, CHUNK_SIZE_BYTES)
            if not data and not inflated:
                raise CannotTranscode("the deflated data set ends too early")
            written += output.write(inflated)
            if written > limit:
                raise CannotTranscode(f"the deflated data set inflates to more than {limit} bytes")
    except zlib.error as error:
        raise CannotTranscode(f"the deflated data set is damaged: {error}") from error
    return written
