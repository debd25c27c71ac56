"""Reception: an instance comes in, fragment by fragment, and is safe when `Reception.commit` returns.

The order is the promise: the bytes are flushed, the file has its path, the directory is flushed, the row is
committed; then, and only then, success may be answered. A crash in between leaves a file without a row, which
`reconcile` adopts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC
from types import TracebackType

from medserver.archive.follow_ups import compression_job, replication_jobs, route_job_of
from medserver.archive.header import Header, HeaderReader, check_identity
from medserver.archive.safekeeping import require_copies
from medserver.crash import crash_point
from medserver.dicom.conditions import SingleValue
from medserver.dicom.part10 import FileMeta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.dicom.uids import is_valid_uid
from medserver.errors import (
    DamagedObject,
    DuplicateInstance,
    IndexUnavailable,
    InvalidObjectInstance,
    MedserverError,
    OutOfResources,
    StoreFailure,
    UnknownOutcome,
)
from medserver.index import BAD, Added, InstanceRecord, NewJob, StoredLocation
from medserver.log import Event
from medserver.node import Node
from medserver.routing.plan import Arrival, jobs_of
from medserver.routing.rules import tags_of
from medserver.store import ObjectWriter, StoredObject

logger = logging.getLogger(__name__)


def receive(
    node: Node,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    calling_ae_title: str,
    compress_to: str = "",
) -> Reception:
    """Start to receive an instance.

    Parameters
    ----------
    node : Node
        Where it goes.
    sop_class_uid, sop_instance_uid : str
        As the command announces them.
    transfer_syntax_uid : str
        The encoding of the data set, as negotiated.
    calling_ae_title : str
        Who sends it.
    compress_to : str
        The transfer syntax that it is brought into later, if it is uncompressed; empty to leave it as it is.

    Returns
    -------
    Reception
        To be used in a ``with`` block: without `Reception.commit` nothing is kept.

    Raises
    ------
    InvalidObjectInstance
        The SOP Instance UID or the SOP Class UID is not a UID.
    TransferSyntaxNotSupported
        The transfer syntax is not known.
    OutOfResources, StoreFailure
        The volume takes nothing.
    IndexUnavailable
        The index is known to be away: nothing that is received could be entered.
    """
    node.index.check_available()
    for uid, name in ((sop_instance_uid, "SOP Instance UID"), (sop_class_uid, "SOP Class UID")):
        if not is_valid_uid(uid):
            raise InvalidObjectInstance(f"the {name} is not a valid UID")
    syntax = transfer_syntax(transfer_syntax_uid)
    file_meta = FileMeta(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        source_ae_title=calling_ae_title,
        received_at=node.clock().astimezone(UTC),
        duplicates=node.config.current.store.duplicates,
    )
    return Reception(node, file_meta, "" if syntax.encapsulated or syntax.deflated else compress_to)


class Reception:
    """One instance on its way into the archive, see `receive`. Used by one thread.

    Attributes
    ----------
    study_instance_uid : str
        Its study; empty before `commit`.
    """

    def __init__(self, node: Node, file_meta: FileMeta, compress_to: str = "") -> None:
        self._node = node
        self._compress_to = compress_to
        self.study_instance_uid = ""
        self._file_meta = file_meta
        self._config = node.config.current
        self._size_max_bytes = self._config.limits.object_size_max_bytes
        self._header_reader = HeaderReader(transfer_syntax(file_meta.transfer_syntax_uid))
        self._volume = node.primary_volume
        self._writer: ObjectWriter = self._volume.create(file_meta.encode())

    def __enter__(self) -> Reception:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.abandon()

    def write(self, fragment: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set; the buffer may be reused afterwards.

        Raises
        ------
        OutOfResources
            The data set is longer than is allowed, or the volume is full.
        StoreFailure
            The volume failed.
        """
        if self._writer.size_bytes + len(fragment) > self._size_max_bytes:
            raise OutOfResources(f"the data set is longer than {self._size_max_bytes} bytes")
        if not self._header_reader.has_enough:
            self._header_reader.feed(fragment)
        self._writer.write(fragment)

    def take(self, fragments: Iterable[bytes | bytearray | memoryview]) -> str:
        """Take the whole data set, and `commit` it; the errors are those of `write` and `commit`."""
        for fragment in fragments:
            self.write(fragment)
        return self.commit()

    def commit(self) -> str:
        """Check the instance, make it durable and enter it into the index.

        Returns
        -------
        str
            What became of it: ``stored``, ``same``, ``aside`` or ``replaced`` (see `index.Added`).

        Raises
        ------
        CannotUnderstand, DataSetMismatch
            The data set is none, or not the announced one.
        DuplicateInstance
            Another object with this SOP Instance UID is stored and the configuration says that it stays
            alone.
        OutOfResources, StoreFailure, IndexFailure
            It could not be made durable or entered, and nothing is kept; or there are too few copies of it, see
            `safekeeping`.
        """
        header = self._header_reader.header()
        check_identity(header, self._file_meta.sop_class_uid, self._file_meta.sop_instance_uid)
        self.study_instance_uid = header.values["study_instance_uid"] or ""
        crash_point("object received")
        stored = self._writer.seal(self._node.clock())
        crash_point("object sealed")
        record = record_of(self._file_meta, header, stored)
        added = self._enter(record)
        crash_point("row committed")
        if added.outcome == "same" and self._forget_damaged(record):
            added = self._enter(record)
        if not added.file_needed:
            self._discard(stored.path)
        if added.outcome == "rejected":
            raise DuplicateInstance("another instance with this SOP Instance UID is stored")
        require_copies(self._node, record)
        return added.outcome

    def _enter(self, record: InstanceRecord) -> Added:
        jobs = replication_jobs(self._node, record.volume, record.path)
        if self._compress_to:
            jobs.append(compression_job(record.volume, record.path, self._compress_to))
        try:
            added = self._node.index.add(record, jobs, self._routed(record))
        except UnknownOutcome:
            logger.warning("%s:%s is left to the next start: it may have been entered", record.volume, record.path)
            raise
        except MedserverError:
            self._take_back(record)
            raise
        for kind in added.conflicts:  # whose they are is in the index: no names of patients in the log
            instance, caller = record.sop_instance_uid, record.calling_ae_title
            logger.warning(Event("conflict", kind=kind, sop_instance_uid=instance, calling_ae_title=caller))
        return added

    def _routed(self, record: InstanceRecord) -> list[NewJob]:
        """Return what the rules want done with the instance, or what decides that later."""
        if not self._config.routes:
            return []
        attributes = self._header_reader.attributes(tags_of(self._config.routes))
        if attributes is None:
            return [route_job_of(record)]
        now = self._node.clock()
        arrival = Arrival(
            record.sop_instance_uid,
            record.values["study_instance_uid"] or "",
            record.values["series_instance_uid"] or "",
            self._file_meta.source_ae_title,
            now,
        )
        return list(jobs_of(self._config, arrival, attributes, now))

    def _forget_damaged(self, record: InstanceRecord) -> bool:
        """Remove the row of a stored instance whose file is gone, cut or known to be bad: the new one replaces it.

        Success for an instance that is stored already is a promise about the file that was stored then.
        """
        forgotten = False
        for instance in self._node.index.select([SingleValue("SOPInstanceUID", record.sop_instance_uid)]):
            for present in self._node.index.copies_of(instance):
                if present.volume != record.volume or present.digest != record.digest:
                    continue
                if self._is_whole(present, record):
                    continue
                logger.error(
                    "%s:%s was damaged, and is replaced by what was received", present.volume, present.path
                )
                forgotten = self._node.index.remove_location(present.volume, present.path)
        return forgotten

    def _is_whole(self, present: StoredLocation, record: InstanceRecord) -> bool:
        if present.state == BAD:
            return False
        if (present.volume, present.path) == (record.volume, record.path):
            return (
                present.meta_digest == record.meta_digest
            )  # else its path was free for ours, so it was gone
        try:
            size_bytes = self._node.volume(present.volume).stat(present.path).size_bytes
        except DamagedObject:
            return False
        return size_bytes == present.data_set_offset + present.size_bytes

    def _discard(self, path: str) -> None:
        """Remove a file that the index does not need; if that fails it is surplus, and nothing is lost."""
        try:
            self._volume.delete(path)
        except StoreFailure as error:
            logger.warning("%s:%s is surplus: %s", self._volume.name, path, error)

    def _take_back(self, record: InstanceRecord) -> None:
        """Remove a file that the index did not take, unless somebody else has entered it."""
        try:
            with suppress(IndexUnavailable):  # then nobody could enter it
                if self._node.index.has_location(record.volume, record.path):
                    return
            self._volume.delete(record.path)
        except MedserverError as error:
            logger.warning("%s:%s is left to the next start: %s", record.volume, record.path, error)


def record_of(file_meta: FileMeta, header: Header, stored: StoredObject) -> InstanceRecord:
    """Return the row of an object: the same from a reception and from the file that it left."""
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
