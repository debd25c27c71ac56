"""Encoded data sets that no library would write: nested too deeply, with lengths that lie, longer than they seem."""

from __future__ import annotations

import struct
import zlib

from medserver.dicom import uids

EXPLICIT, IMPLICIT = uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN
DEFLATED = uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

UNDEFINED_LENGTH = 0xFFFFFFFF
LONG_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})

PATIENT_NAME, STUDY_INSTANCE_UID, ROWS = 0x00100010, 0x0020000D, 0x00280010
REQUEST_ATTRIBUTES_SEQUENCE, CONTENT_SEQUENCE = 0x00400275, 0x0040A730
PRIVATE, PIXEL_DATA = 0x00091010, 0x7FE00010


def element(tag: int, vr: str, value: bytes, length: int | None = None, *, syntax: str = EXPLICIT) -> bytes:
    """Encode an element, with a length that may lie."""
    group, number = tag >> 16, tag & 0xFFFF
    length = len(value) if length is None else length
    if syntax == IMPLICIT:
        return struct.pack("<HHI", group, number, length) + value
    if vr in LONG_VRS:
        return struct.pack("<HH2sHI", group, number, vr.encode(), 0, length) + value
    return struct.pack("<HH2sH", group, number, vr.encode(), length) + value


def item(value: bytes, length: int | None = None) -> bytes:
    """Encode an item."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(value) if length is None else length) + value


ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def nested(
    depth: int,
    *,
    tag: int = REQUEST_ATTRIBUTES_SEQUENCE,
    defined: bool = True,
    closed: bool = True,
    innermost: bytes = b"",
    syntax: str = EXPLICIT,
) -> bytes:
    """Encode a sequence that holds itself so many times.

    Parameters
    ----------
    defined : bool
        Whether sequences and items have a length, or a delimiter at their end.
    closed : bool
        Whether all that is there at the end: the delimiters, or all bytes that the lengths announce.
    innermost : bytes
        What is in the innermost item.
    """
    if not defined:
        opening = element(tag, "SQ", b"", UNDEFINED_LENGTH, syntax=syntax) + item(b"", UNDEFINED_LENGTH)
        return opening * depth + innermost + (ITEM_END + SEQUENCE_END) * (depth if closed else 0)
    missing = 0 if closed else 8
    value = innermost
    for _ in range(depth):
        items = item(value, len(value) + missing)
        value = element(tag, "SQ", items, len(items) + missing, syntax=syntax)
    return value


def query(level: str, *encoded: bytes, syntax: str = EXPLICIT) -> bytes:
    """Encode an identifier of a level with these elements behind it, which have greater tags than (0008,0052)."""
    padded = level + " " * (len(level) % 2)
    return element(0x00080052, "CS", padded.encode(), syntax=syntax) + b"".join(encoded)


def deflated(data_set: bytes) -> bytes:
    """Deflate a data set as far as it can be (PS3.5 A.5)."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return compressor.compress(data_set) + compressor.flush()


def inflated(data_set: bytes) -> bytes:
    """Inflate a data set that is known to be harmless."""
    return zlib.decompress(data_set, wbits=-zlib.MAX_WBITS)
