"""Bring a data set into another transfer syntax. The job that worker processes do."""

from __future__ import annotations

import os
import resource
import tempfile
from typing import BinaryIO

from medserver.codecs.elements import Walker
from medserver.codecs.frames import DecodedFrames, image_of
from medserver.codecs.inflation import inflate
from medserver.region import BUFFER_SIZE_BYTES, open_region
from medserver.codecs.rewriter import Rewriter
from medserver.codecs.survey import Facts, survey
from medserver.codecs.syntaxes import encoding_of
from medserver.dicom.uids import transfer_syntax


def convert(
    source_descriptor: int,
    output_descriptor: int,
    offset: int,
    size_bytes: int,
    from_uid: str,
    to_uid: str,
    directory: str,
    size_max_bytes: int,
) -> None:
    """Write a data set in another transfer syntax to the file `output_descriptor`.

    Parameters
    ----------
    source_descriptor, output_descriptor : int
        Open files. Only the output's own position is used, and it is written from there.
    offset, size_bytes : int
        Where the data set lies in the source.
    from_uid, to_uid : str
        Transfer syntax UIDs; `to_uid` is uncompressed.
    directory : str
        Where the inflated form of a deflated data set rests meanwhile.
    size_max_bytes : int
        No file is made longer.

    Raises
    ------
    CannotTranscode
        If the data set is damaged or its pixels cannot be decoded.
    TransferSyntaxNotSupported
        If a transfer syntax is unknown.
    """
    # The kernel keeps the bound, however the bytes come about: a write beyond it fails with EFBIG.
    _, hard_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_max_bytes, hard_limit))
    with (
        open_region(source_descriptor, offset, size_bytes) as source,
        os.fdopen(output_descriptor, "wb", BUFFER_SIZE_BYTES, closefd=False) as output,
    ):
        if not transfer_syntax(from_uid).deflated:
            _rewrite(source_descriptor, offset, source, size_bytes, from_uid, to_uid, output)
            return
        with tempfile.TemporaryFile(dir=directory) as inflated:
            inflated_size_bytes = inflate(source, size_bytes, inflated, size_max_bytes)
            inflated.seek(0)
            _rewrite(inflated.fileno(), 0, inflated, inflated_size_bytes, from_uid, to_uid, output)


def _rewrite(
    descriptor: int,
    offset: int,
    source: BinaryIO,
    size_bytes: int,
    from_uid: str,
    to_uid: str,
    output: BinaryIO,
) -> None:
    """Survey the data set, then write it."""

    def decode(facts: Facts) -> DecodedFrames:
        start, length = facts.fragments or (0, 0)
        # The frames are read while the walk through the data set goes on: a stream of their own.
        fragments = open_region(descriptor, offset + start, length)
        return DecodedFrames(image_of(facts), from_uid, fragments)

    encoding = encoding_of(from_uid)
    facts = survey(source, size_bytes, encoding, transfer_syntax(from_uid).encapsulated)
    rewriter = Rewriter(source, encoding_of(to_uid), output, facts, decode)
    Walker(source, size_bytes, encoding, rewriter).walk()
