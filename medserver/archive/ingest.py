"""Reception: an instance comes in, fragment by fragment, and is safe when `Reception.commit` returns.

The order is the promise: the bytes are flushed, the file has its path, the directory is flushed, the row is
committed; then, and only then, success may be answered. A crash in between leaves a file without a row, which
`reconcile` adopts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from medserver.archive.adoption import adopt, record_of
from medserver.archive.copies import copies_that_stand_for
from medserver.archive.destruction import NotEntered, destroy
from medserver.archive.follow_ups import route_job_of
from medserver.archive.header import Header, HeaderReader, check_identity
from medserver.archive.receiving_again import find_good_copy, is_received_again
from medserver.archive.safekeeping import require_copies
from medserver.config import Config
from medserver.crash import crash_point
from medserver.dicom.part10 import FileMeta
from medserver.dicom.transfer_syntaxes import transfer_syntax
from medserver.dicom.uids import uid_problem
from medserver.errors import (
    DuplicateInstance,
    InvalidObjectInstance,
    MedserverError,
    OutOfResources,
    UnknownOutcome,
)
from medserver.index import Added, InstanceRecord, NewJob, ObjectKey, Transfer
from medserver.log import Event
from medserver.node import Node
from medserver.routing.plan import Arrival, jobs_of
from medserver.routing.rules import tags_of
from medserver.store import ObjectWriter, paths

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LATER = timedelta(microseconds=2)
"""What is made from an object is a microsecond behind it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A Part 10 file that was made to become an object.

    Parameters
    ----------
    path : str
        Where it is, absolute.
    data_set_offset : int
        Where its data set begins.
    """

    path: str
    data_set_offset: int


def receive(
    node: Node,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    calling_ae_title: str,
    compress_to: str = "",
    follow_ups: Callable[[InstanceRecord], Iterable[NewJob]] = lambda record: (),
    transfer: Transfer | None = None,
    file: HeldFile | None = None,
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
    follow_ups : callable
        Returns what follows besides from a new object, in the transaction that enters it.
    transfer : Transfer, optional
        The association over which it comes: it is counted for the audit message at the end of that.
    file : HeldFile, optional
        A file that holds the data set which will be written, and is not needed any longer: it becomes the object itself
        where the volume can have it, and is gone from where it was.

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
        if problem := uid_problem(name, uid):
            raise InvalidObjectInstance(problem)
    syntax = transfer_syntax(transfer_syntax_uid)
    received_at, is_known = _moment_of(node, sop_instance_uid)
    config = node.config.current
    file_meta = FileMeta(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        source_ae_title=calling_ae_title,
        received_at=received_at,
        duplicates=config.store.duplicates,
    )
    compress_to = "" if syntax.encapsulated or syntax.deflated else compress_to
    return Reception(
        node, config, file_meta,
        is_known=is_known, compress_to=compress_to, follow_ups=follow_ups, transfer=transfer, file=file,
    )


def _moment_of(node: Node, sop_instance_uid: str) -> tuple[datetime, bool]:
    """Return the present, or, if another clock is or was ahead, what is later than all that is known of an instance;
    and whether anything is.

    The order of receipt decides which object is the current one, and what was received before a deletion is deleted,
    also in an index that is made anew.
    """
    now = node.clock().astimezone(UTC)
    moment, path = node.index.last_known(sop_instance_uid)
    if moment is None:
        return now, False
    known = [moment]
    if path:
        known.append(paths.sealed_minute(path))
    return max([now, *(each + _LATER for each in known)]), True


class Reception:
    """One instance on its way into the archive, see `receive`. Used by one thread.

    Attributes
    ----------
    study_instance_uid : str
        Its study; empty before `commit`.
    """

    def __init__(
        self,
        node: Node,
        config: Config,
        file_meta: FileMeta,
        *,
        is_known: bool,
        compress_to: str = "",
        follow_ups: Callable[[InstanceRecord], Iterable[NewJob]] = lambda record: (),
        transfer: Transfer | None = None,
        file: HeldFile | None = None,
    ) -> None:
        self._node = node
        self._transfer = transfer
        self._follow_ups = follow_ups
        self._is_known = is_known
        self._compress_to = compress_to
        self.study_instance_uid = ""
        self._file_meta = file_meta
        self._config = config
        self._size_max_bytes = self._config.limits.object_size_max_bytes
        self._header_reader = HeaderReader(transfer_syntax(file_meta.transfer_syntax_uid))
        self._header: Header | None = None
        self._attributes: Dataset | None = None  # for the rules, once it is prepared
        self._is_prepared = False
        self._volume = node.primary_volume
        self._writer: ObjectWriter = self._taken(file) or self._volume.create(file_meta.encode())

    def _taken(self, file: HeldFile | None) -> ObjectWriter | None:
        if file is None:
            return None
        try:
            head = self._file_meta.encode(file.data_set_offset)
        except ValueError:  # there is no room for it in the file
            return None
        return self._volume.take(head, file.path)

    def __enter__(self) -> Reception:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Keep nothing of what has not been committed. Harmless afterwards, and when repeated."""
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
            fragment = bytes(fragment)  # one copy for both of them
            self._header_reader.feed(fragment)
        self._writer.write(fragment)

    def take(self, fragments: Iterable[bytes | bytearray | memoryview]) -> str:
        """Take the whole data set, and `commit` it; the errors are those of `write` and `commit`."""
        for fragment in fragments:
            self.write(fragment)
        return self.commit()

    def prepare(self) -> Header:
        """Check the instance and flush its bytes, of which nobody knows before `commit`; that takes little time then.

        Returns
        -------
        Header
            What it is.

        Raises
        ------
        CannotUnderstand, DataSetMismatch, OutOfResources, StoreFailure
            As for `commit`.
        """
        header = self.header()
        self._attributes = self._header_reader.attributes(tags_of(self._config.rules))
        self._header_reader.forget()
        self._is_prepared = True
        self._writer.flush()
        return header

    def header(self) -> Header:
        """Return what the data set, which is complete, says of itself; it is the announced instance.

        Raises
        ------
        CannotUnderstand, DataSetMismatch
            The data set is none, or not the announced one.
        """
        if self._header is None:
            header = self._header_reader.header()
            check_identity(header, self._file_meta.sop_class_uid, self._file_meta.sop_instance_uid)
            self._header = header
        return self._header

    def is_another(self) -> bool:
        """Tell whether another object is stored under the SOP Instance UID. The data set is complete."""
        uid = self._file_meta.sop_instance_uid
        if not self._is_known or uid not in self._node.index.instances([uid]):
            return False
        key = ObjectKey(uid, self._writer.digest, self._file_meta.transfer_syntax_uid)
        return not copies_that_stand_for(self._node, key)

    def commit(self) -> str:
        """Check the instance, make it durable and enter it into the index.

        Returns
        -------
        str
            What became of it: ``stored``, ``same``, ``kept`` or ``replaced`` (see `index.Added`).

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
        header = self.header()
        self.study_instance_uid = header.values["study_instance_uid"] or ""
        crash_point("object received")
        # What others have entered since this began is found to be the same where this one is entered.
        if self._is_known and is_received_again(self._node, self._file_meta, self._writer, header, self._transfer):
            return "same"
        stored = self._writer.seal(max(self._node.clock(), self._file_meta.received_at))
        crash_point("object sealed")
        record = record_of(self._file_meta, header, stored)
        added = self._enter(record)
        crash_point("row committed")
        if not added.file_needed:
            destroy(self._node, self._volume, record.path, because=NotEntered())
        if added.outcome == "deleted":
            raise OutOfResources("it was deleted while it was received, and must be sent again")
        if added.outcome == "rejected":
            raise DuplicateInstance("another instance with this SOP Instance UID is stored")
        require_copies(self._node, self._config, record)
        return added.outcome

    def _enter(self, record: InstanceRecord) -> Added:
        """Enter the file; if another one is said to be enough, that is read before it is believed."""
        try:
            added = self._adopt(record)
            if added.outcome == "same" and not added.file_needed and not find_good_copy(self._node, record.key):
                added = self._adopt(record, must_keep=True)
        except UnknownOutcome:
            logger.warning("%s:%s is left to the next start: it may have been entered", record.volume, record.path)
            raise
        except MedserverError:
            destroy(self._node, self._volume, record.path, because=NotEntered())
            raise
        if added.outcome in ("kept", "replaced"):
            uid, caller = record.sop_instance_uid, record.calling_ae_title
            logger.warning(Event("duplicate", outcome=added.outcome, sop_instance_uid=uid, calling_ae_title=caller))
        return added

    def _adopt(self, record: InstanceRecord, *, must_keep: bool = False) -> Added:
        routed = [*self._routed(record), *self._follow_ups(record)]
        return adopt(
            self._node, record, routed=routed, compress_to=self._compress_to, is_receipt=True, must_keep=must_keep,
            transfer=self._transfer,
        )  # fmt: skip

    def _routed(self, record: InstanceRecord) -> list[NewJob]:
        """Return what the rules want done with the instance, or what decides that later."""
        is_outdated = self._is_prepared and self._config is not self._node.config.current
        if not (self._node.config.current if is_outdated else self._config).rules:
            return []
        attributes = self._attributes
        if not self._is_prepared:
            attributes = self._header_reader.attributes(tags_of(self._config.rules))
        if attributes is None or is_outdated:
            return [route_job_of(record)]
        now = self._node.clock()
        arrival = Arrival(
            record.sop_instance_uid,
            record.values["study_instance_uid"] or "",
            record.values["series_instance_uid"] or "",
            self._file_meta.source_ae_title,
            now,
            record.digest,
        )
        return list(jobs_of(self._config, self._node.index.rule_versions, arrival, attributes, now))
