"""From a file in a volume to its row: what a reception would have entered, read from the file that it
left."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from datetime import datetime
from typing import BinaryIO

from medserver.archive.header import HeaderReader, check_identity
from medserver.archive.ingest import record_of
from medserver.dicom.part10 import FileMeta, read_file_meta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import DamagedObject, NotPart10, RequestError, TransferSyntaxNotSupported
from medserver.index import InstanceRecord
from medserver.store import StoredObject, Volume, paths
from medserver.store.failures import translating

_READ_SIZE_BYTES = 1024 * 1024


def record_of_file(volume: Volume, path: str, *, verify: bool) -> InstanceRecord:
    """Read an object and return the row that it is to have.

    Parameters
    ----------
    volume : Volume
        Where it lies.
    path : str
        Its path.
    verify : bool
        Read the whole data set and compare it with the digest in its name. Else the name is believed
        and only the header is read.

    Raises
    ------
    DamagedObject
        It is missing, is no DICOM file, or is not what its name and its file meta information say.
    StoreFailure
        It cannot be read.
    """
    where = f"{volume.name}:{path}"
    try:
        with volume.open(path) as file, translating(f"read {where}"):
            return _record(file, volume.name, path, verify)
    except (NotPart10, RequestError, TransferSyntaxNotSupported) as error:
        raise DamagedObject(f"{where}: {error}") from error


def received_at(volume: Volume, path: str) -> datetime:
    """Return when an object was received.

    Raises
    ------
    DamagedObject, StoreFailure
        As for `record_of_file`.
    """
    where = f"{volume.name}:{path}"
    try:
        with volume.open(path) as file, translating(f"read {where}"):
            return _with_receipt(read_file_meta(file), path).received_at
    except NotPart10 as error:
        raise DamagedObject(f"{where}: {error}") from error


def _record(file: BinaryIO, volume: str, path: str, verify: bool) -> InstanceRecord:
    file_meta = read_file_meta(file)
    file.seek(0)
    before = file.read(file_meta.data_set_offset)
    reader = HeaderReader(transfer_syntax(file_meta.transfer_syntax_uid))
    size_bytes, digest = _feed(file, reader, verify)
    if verify and digest != paths.digest_of(path):
        raise DamagedObject(f"{volume}:{path}: the data set is not what was stored")
    header = reader.header()
    check_identity(header, file_meta.sop_class_uid, file_meta.sop_instance_uid)
    stored = StoredObject(
        volume=volume,
        path=path,
        data_set_offset=len(before),
        size_bytes=size_bytes,
        digest=paths.digest_of(path),
        meta_digest=hashlib.sha256(before).hexdigest(),
    )
    return record_of(_with_receipt(file_meta, path), header, stored)


def _feed(file: BinaryIO, reader: HeaderReader, verify: bool) -> tuple[int, str]:
    """Read the data set as far as needed; return its size, and its SHA-256 if it was read to the end."""
    digest = hashlib.sha256()
    start = file.tell()
    while verify or not reader.has_enough:
        block = file.read(_READ_SIZE_BYTES if verify else reader.wanted_bytes)
        if not block:
            break
        reader.feed(block)
        digest.update(block)
    return file.seek(0, os.SEEK_END) - start, digest.hexdigest()


def _with_receipt(file_meta: FileMeta, path: str) -> FileMeta:
    """Return the file meta information; a foreign file gets the time of its path as the time of receipt."""
    if file_meta.received_at is not None:
        return file_meta
    return dataclasses.replace(file_meta, received_at=paths.sealed_minute(path))
