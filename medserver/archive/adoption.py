"""From a file in a volume to its rows: the same function for reception, start, rebuild and restore. It deletes nothing.

Its record is made by the reception, or read from the file that one has left: it is the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable
from datetime import datetime
from typing import BinaryIO

from medserver.archive.follow_ups import compression_job, replication_jobs
from medserver.archive.header import Header, HeaderReader, check_identity
from medserver.dicom.part10 import FileMeta, read_file_meta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import DamagedObject, NotPart10, RequestError, TransferSyntaxNotSupported
from medserver.index import Added, InstanceRecord, NewJob, StoredCopy
from medserver.node import Node
from medserver.store import StoredObject, Volume, paths
from medserver.store.failures import translating

_READ_SIZE_BYTES = 1024 * 1024


def adopt(
    node: Node,
    record: InstanceRecord,
    *,
    routed: Iterable[NewJob] = (),
    compress_to: str = "",
    is_receipt: bool = False,
    made_from: StoredCopy | None = None,
) -> Added | None:
    """Enter a file, with the jobs that follow from that.

    Parameters
    ----------
    node : Node
        Where it lies.
    record : InstanceRecord
        What it is.
    routed : iterable of NewJob
        What the rules want done with the instance.
    compress_to : str
        The transfer syntax that it is brought into later; empty to leave it as it is.
    is_receipt, made_from
        As for `Index.add`.

    Returns
    -------
    Added or None
        What became of it; None if it was deleted on purpose. Nobody needs the file then.

    Raises
    ------
    IndexFailure, OutOfResources
        The index does not work. The file stays, and is adopted by the next start.
    """
    if not is_receipt and made_from is None and node.index.tombstones.is_deleted(record):
        return None
    jobs = replication_jobs(node, record.volume, record.path)
    if compress_to:
        jobs.append(compression_job(record.volume, record.path, compress_to))
    return node.index.add(record, jobs, routed, is_receipt=is_receipt, made_from=made_from)


def record_of(file_meta: FileMeta, header: Header, stored: StoredObject) -> InstanceRecord:
    """Return the record of an object: the same from a reception and from the file that it left."""
    return InstanceRecord(
        sop_class_uid=file_meta.sop_class_uid,
        sop_instance_uid=file_meta.sop_instance_uid,
        transfer_syntax_uid=file_meta.transfer_syntax_uid,
        values=header.values,
        received_at=file_meta.received_at,
        calling_ae_title=file_meta.source_ae_title or None,
        volume=stored.volume,
        path=stored.path,
        data_set_offset=stored.data_set_offset,
        size_bytes=stored.size_bytes,
        digest=stored.digest,
        meta_digest=stored.meta_digest,
        duplicates=file_meta.duplicates or "keep",
        original=file_meta.original,
    )


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
