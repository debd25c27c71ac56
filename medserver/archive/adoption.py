"""From a file in a volume to its rows: the same function for reception, start, rebuild and restore. It deletes nothing.

Its record is made by the reception, or read from the file that one has left: it is the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import BinaryIO

from medserver.archive.follow_ups import compression_job, repair_job, replication_jobs, retire_job
from medserver.archive.header import Header, HeaderReader, check_identity
from medserver.dicom.part10 import FileMeta, read_file_meta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.errors import DamagedObject, NotPart10, RequestError, TransferSyntaxNotSupported
from medserver.index import UNNEEDED, Added, Counted, InstanceRecord, NewJob, StoredCopy, Transfer
from medserver.log import Event
from medserver.node import Node
from medserver.store import StoredObject, Volume, paths
from medserver.store.failures import translating

logger = logging.getLogger(__name__)

ACTIONS = {"stored": "C", "kept": "C", "replaced": "U", "same": "R"}
"""The EventActionCode of what became of an object that was received (PS3.15 A.5.3.7)."""

_READ_SIZE_BYTES = 1024 * 1024


def adopt(
    node: Node,
    record: InstanceRecord,
    *,
    routed: Iterable[NewJob] = (),
    compress_to: str = "",
    is_receipt: bool = False,
    made_from: StoredCopy | None = None,
    in_bulk: bool = False,
    must_keep: bool = False,
    transfer: Transfer | None = None,
) -> Added:
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
    is_receipt, made_from, must_keep
        As for `Index.add`.
    transfer : Transfer, optional
        As for `ingest.receive`.
    in_bulk : bool
        Whether it is one of all the files of the volumes: the jobs that look for missing copies come to it anyway, what
        was let go needs no job for that, and conflicts stand in the index alone, not in a line of the log each.

    Returns
    -------
    Added
        What became of it.

    Raises
    ------
    IndexFailure, OutOfResources
        The index does not work. The file stays, and is adopted by the next start.
    """
    if in_bulk and node.index.tombstones.is_deleted(record):  # to roll back a transaction for each takes longer
        return Added("deleted", file=UNNEEDED)
    jobs = [] if in_bulk else replication_jobs(node, record.volume, record.path)
    if compress_to:
        jobs.append(compression_job(record.volume, record.path, compress_to))
    if record.original is not None and (not in_bulk or _has_original(node, record)):
        jobs.append(retire_job(record.key))

    def jobs_of(added: Added) -> Iterator[NewJob | Counted]:
        """Yield what sees to the bad copies, what lets go of an original when its form is good again, and the count."""
        yield from (repair_job(volume, path) for volume, path in added.bad)
        yield from map(retire_job, added.forms)
        if transfer is not None and added.outcome in ACTIONS:
            yield counted(transfer, record.sop_class_uid, record.values, ACTIONS[added.outcome])

    added = node.index.add(
        record, jobs, routed, jobs_of=jobs_of, is_receipt=is_receipt, made_from=made_from, must_keep=must_keep
    )
    if not in_bulk:
        warn_of_conflicts(record, added.conflicts)
    return added


def counted(transfer: Transfer, sop_class_uid: str, values: Mapping[str, str | None], action: str) -> Counted:
    """Return what the audit trail counts of an object that has come over an association."""
    study, *patient = (values.get(name) or "" for name in ("study_instance_uid", "patient_id", "patient_name"))
    return Counted(transfer, study, sop_class_uid, action, *patient)


def _has_original(node: Node, record: InstanceRecord) -> bool:
    """Tell whether what a form was made from is stored too: in the order of receipt it is entered before its form."""
    original = record.original_key
    return original is not None and bool(node.index.copies_of(original))


def warn_of_conflicts(record: InstanceRecord, kinds: Iterable[str]) -> None:
    """Log the conflicts that an object has revealed."""
    for kind in kinds:  # whose they are is in the index: no names of patients in the log
        instance, caller = record.sop_instance_uid, record.calling_ae_title
        logger.warning(Event("conflict", kind=kind, sop_instance_uid=instance, calling_ae_title=caller))


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
