"""A journal segment: records one behind the other in a file of fixed size.

A record holds one object as it will lie in the volume, the path that it will have, and what tells whether it is
whole. What lies behind the last record is zeros, or the torn beginning of a record that nobody was told about.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medserver.store import paths

# magic, kind, length of the path, of the meta information, of the data set, generation, SHA-256 of the data set
_FIELDS = struct.Struct("<4sBxHIQQ32s")
_CHECKSUM = struct.Struct("<I")
HEADER_BYTES = _FIELDS.size + _CHECKSUM.size

_MAGIC = b"MSJ1"
_OBJECT = 1
_DROPPED = 2
_PATH_BYTES_MAX = 256
_META_BYTES_MAX = 64 * 1024
_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a segment.

    Attributes
    ----------
    path : str
        Where the object will lie.
    dropped : bool
        Whether the record takes back an object instead of holding one.
    start, offset : int
        Where the record and where the object begins in the segment [bytes].
    meta_size_bytes, size_bytes : int
        Length of what stands before the data set, and of the data set.
    digest : str
        SHA-256 of the data set.
    """

    path: str
    dropped: bool
    start: int
    offset: int
    meta_size_bytes: int
    size_bytes: int
    digest: str

    @property
    def end(self) -> int:
        """Return where the next record begins."""
        return self.offset + self.meta_size_bytes + self.size_bytes


def object_record(path: str, generation: int, file_meta: bytes, digest: bytes, size_bytes: int) -> bytes:
    """Return what stands before the data set in the record of an object.

    Parameters
    ----------
    generation : int
        The number of the segment, so that no other's records are taken for its own.
    digest : bytes, length 32
        SHA-256 of the data set.
    """
    return _record(_OBJECT, path, generation, file_meta, digest, size_bytes)


def dropped_record(path: str, generation: int) -> bytes:
    """Return the record that takes an object back."""
    return _record(_DROPPED, path, generation, b"", bytes(32), 0)


def record_size(path: str, meta_size_bytes: int, size_bytes: int) -> int:
    """Return the length of the record of an object, its data set included."""
    return HEADER_BYTES + len(path) + meta_size_bytes + size_bytes


def _record(kind: int, path: str, generation: int, file_meta: bytes, digest: bytes, size_bytes: int) -> bytes:
    name = path.encode("ascii")
    fields = _FIELDS.pack(_MAGIC, kind, len(name), len(file_meta), size_bytes, generation, digest)
    checksum = zlib.crc32(file_meta, zlib.crc32(name, zlib.crc32(fields)))
    return fields + _CHECKSUM.pack(checksum) + name + file_meta


def entries(descriptor: int, generation: int, start: int = 0) -> Iterator[Entry]:
    """Yield the records of a segment from an offset on, up to the first that is not one.

    Only the headers are read: whether the data set of the last record is whole, `is_whole` tells.
    """
    size = os.fstat(descriptor).st_size
    offset = start
    while offset + HEADER_BYTES <= size:
        entry = _entry(descriptor, generation, offset)
        if entry is None or entry.end > size:
            return
        yield entry
        offset = entry.end


def _entry(descriptor: int, generation: int, offset: int) -> Entry | None:
    header = os.pread(descriptor, HEADER_BYTES, offset)
    if len(header) < HEADER_BYTES or not header.startswith(_MAGIC):
        return None
    fields = header[: _FIELDS.size]
    _, kind, path_bytes, meta_bytes, size_bytes, found, digest = _FIELDS.unpack(fields)
    if found != generation or path_bytes > _PATH_BYTES_MAX or meta_bytes > _META_BYTES_MAX:
        return None
    text = os.pread(descriptor, path_bytes + meta_bytes, offset + HEADER_BYTES)
    path = text[:path_bytes].decode("ascii", "replace")
    (checksum,) = _CHECKSUM.unpack_from(header, _FIELDS.size)
    if zlib.crc32(text, zlib.crc32(fields)) != checksum or not paths.is_object_path(path):
        return None
    begin = offset + HEADER_BYTES + path_bytes
    return Entry(path, kind == _DROPPED, offset, begin, meta_bytes, size_bytes, digest.hex())


def is_whole(descriptor: int, entry: Entry) -> bool:
    """Tell whether the data set of a record is the one that was written, by its digest."""
    digest = hashlib.sha256()
    offset, remaining = entry.offset + entry.meta_size_bytes, entry.size_bytes
    while remaining:
        chunk = os.pread(descriptor, min(_READ_BYTES, remaining), offset)
        if not chunk:
            return False
        digest.update(chunk)
        offset, remaining = offset + len(chunk), remaining - len(chunk)
    return digest.hexdigest() == entry.digest


def pieces_size(pieces: Sequence[bytes | memoryview]) -> int:
    """Return the number of bytes in all pieces."""
    return sum(len(piece) for piece in pieces)
