"""Reading an object to its end and comparing it with what was sealed, the same for every kind of volume."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from medserver.errors import DamagedObject
from medserver.store.volume import StoredObject

_READ_SIZE_BYTES = 1024 * 1024
_AT_ONCE_MAX_BYTES = 1024 * 1024


def verify(file: BinaryIO, stored: StoredObject) -> None:
    """Compare sizes and digests of an object.

    Parameters
    ----------
    file : BinaryIO
        The object, at its first byte.
    stored : StoredObject
        What it should be.

    Raises
    ------
    DamagedObject
        It is not.
    """
    where = f"{stored.volume}:{stored.path}"
    if stored.data_set_offset + stored.size_bytes <= _AT_ONCE_MAX_BYTES and _is_as_sealed(file, stored):
        return
    meta_size_bytes, meta_digest = _measure(file, stored.data_set_offset)
    size_bytes, digest = _measure(file, None)
    if (meta_size_bytes, size_bytes) != (stored.data_set_offset, stored.size_bytes):
        expected = stored.data_set_offset + stored.size_bytes
        raise DamagedObject(f"{where} has {meta_size_bytes + size_bytes} bytes instead of {expected}")
    if meta_digest != stored.meta_digest:
        raise DamagedObject(f"{where}: the file meta information is not what was stored")
    if digest != stored.digest:
        raise DamagedObject(f"{where}: the data set is not what was stored")


def _is_as_sealed(file: BinaryIO, stored: StoredObject) -> bool:
    """Read a small object at once and tell whether it is right; else leave the file at its first byte."""
    expected_bytes = stored.data_set_offset + stored.size_bytes
    raw = memoryview(file.read(expected_bytes + 1))
    meta, data_set = raw[: stored.data_set_offset], raw[stored.data_set_offset :]
    if (
        len(raw) == expected_bytes
        and hashlib.sha256(data_set).hexdigest() == stored.digest
        and hashlib.sha256(meta).hexdigest() == stored.meta_digest
    ):
        return True
    file.seek(0)
    return False


def _measure(file: BinaryIO, size_bytes: int | None) -> tuple[int, str]:
    """Read so many bytes, or all (None); return how many there were and their SHA-256."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_READ_SIZE_BYTES))
    count = 0
    while size_bytes is None or count < size_bytes:
        wanted = _READ_SIZE_BYTES if size_bytes is None else min(_READ_SIZE_BYTES, size_bytes - count)
        taken = file.readinto(buffer[:wanted])
        if not taken:
            break
        digest.update(buffer[:taken])
        count += taken
    return count, digest.hexdigest()
