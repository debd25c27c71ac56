"""Which transfer syntaxes a stored object can be brought into: uncompressed ones, and compressed ones without loss."""

from __future__ import annotations

from functools import lru_cache

from medserver.codecs.table import codec_of, lossless_encodings
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from medserver.errors import TransferSyntaxNotSupported

UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
"""What is produced, in order of preference."""


@lru_cache(maxsize=256)
def targets(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the uncompressed transfer syntaxes that an object can be brought into.

    Parameters
    ----------
    transfer_syntax_uid : str
        The transfer syntax that the object is stored in.

    Returns
    -------
    tuple of str
        In order of preference, without `transfer_syntax_uid` itself. Empty if its pixel data cannot be
        decoded here, or if the transfer syntax is unknown.
    """
    try:
        encapsulated = transfer_syntax(transfer_syntax_uid).encapsulated
    except TransferSyntaxNotSupported:
        return ()
    codec = codec_of(transfer_syntax_uid)
    if encapsulated and not (codec and codec.decodes):
        return ()
    return tuple(uid for uid in UNCOMPRESSED if uid != transfer_syntax_uid)


@lru_cache(maxsize=256)
def compressions(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the lossless compressed transfer syntaxes that an object can be brought into.

    Parameters
    ----------
    transfer_syntax_uid : str
        The transfer syntax that the object is stored in.

    Returns
    -------
    tuple of str
        In order of preference, without `transfer_syntax_uid` itself. Empty if its pixel data cannot be decoded here, or
        if the transfer syntax is unknown. Whether an object can be brought into one, its pixels decide.
    """
    if not targets(transfer_syntax_uid):
        return ()
    return tuple(
        uid for uid in (*lossless_encodings(), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) if uid != transfer_syntax_uid
    )
