"""Storage Commitment Push Model: as SCP the request, as SCU the report (PS3.4 J.3).

What is asked is written down and answered; checking it is a job, see `medserver.commitment`. The result goes out on
the association of the request if that is still open then.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from datetime import timedelta

from medserver.commitment.plan import check_job
from medserver.commitment.report import make_report
from medserver.dicom import status, uids
from medserver.dicom.storage_commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    REFERENCE_SIZE_MAX_BYTES,
    REQUEST_STORAGE_COMMITMENT,
    Commitment,
    decode_commitment,
)
from medserver.errors import (
    InvalidArgument,
    NoSuchAction,
    NoSuchEventType,
    NoSuchInstance,
    OutOfResources,
    ResourceLimitation,
)
from medserver.index import NewCommitment
from medserver.log import Event
from medserver.node import Node
from medserver.services.reporting import EventReport
from medserver.services.request import Request, Response

READ_IN_MEMORY_BYTES = 256 * 1024
"""A longer data set waits in a file until all of it is there and it is its turn."""

SMALL_DATA_SET_BYTES = 4096
"""What a data set without a reference may take."""

CLAIM_MARGIN_S = 5.0

logger = logging.getLogger(__name__)

_turn = threading.BoundedSemaphore(2)
"""How many data sets are in memory at a time: the largest takes some fifty times of what an association takes."""


def request_commitment(request: Request, node: Node) -> Response:
    """Take over a request for storage commitment (N-ACTION, PS3.4 J.3.2): from now on it will be reported on.

    Raises
    ------
    NoSuchInstance, NoSuchAction
        It is not for the well-known instance, or is another action.
    InvalidArgument
        The data set is not what it should be.
    ResourceLimitation
        It names too many instances, or too many requests of this AE are unfinished, or there is no space.
    """
    command_set = request.message.command_set
    _check_instance(command_set.get("RequestedSOPInstanceUID"))
    if command_set.get("ActionTypeID") != REQUEST_STORAGE_COMMITMENT:
        raise NoSuchAction("storage commitment has action type 1 only")
    limits = node.config.current.limits
    with _Received(request, limits.commitment_references_max) as received, _turn:
        commitment = received.decode()
        new = NewCommitment(
            "scp",
            commitment.transaction_uid,
            request.association.requestor.ae_title.strip(),
            request.remote.name,
            commitment.references,
            held=True,
        )
        try:
            number, is_new = node.index.commitments.accept(
                new, lambda number: check_job(number, new.remote), limits.commitments_pending_max
            )
        except OutOfResources as error:
            raise ResourceLimitation(str(error)) from None
    if is_new:
        request.association.reports.append(CommitmentReport(request, node, number))
    count = len(commitment.references)
    logger.info(Event("commit", transaction=commitment.transaction_uid, instances=count, again=not is_new))
    return Response()


def receive_report(request: Request, node: Node) -> Response:
    """Take over what a peer reports of a commitment that we asked for (N-EVENT-REPORT, PS3.4 J.3.3).

    Raises
    ------
    NoSuchInstance, NoSuchEventType
        It is not from the well-known instance, or is another event.
    InvalidArgument
        The data set is not what it should be, or we have asked this AE for nothing under its Transaction UID.
    ResourceLimitation
        It names too many instances.
    """
    command_set = request.message.command_set
    _check_instance(command_set.get("AffectedSOPInstanceUID"))
    if command_set.get("EventTypeID") not in (ALL_COMMITTED, FAILURES_EXIST):
        raise NoSuchEventType("storage commitment has event types 1 and 2 only")
    ae_title = request.association.requestor.ae_title.strip()
    with _Received(request, node.config.current.limits.commitment_references_max) as received, _turn:
        commitment = received.decode()
        try:
            number = node.index.commitments.record_report(
                ae_title, commitment.transaction_uid, commitment.references
            )
        except OutOfResources as error:
            raise ResourceLimitation(str(error)) from None
    if number is None:
        raise InvalidArgument("there is no request with this Transaction UID")
    logger.info(Event("commitment reported", transaction=commitment.transaction_uid))
    return Response()


def _check_instance(sop_instance_uid: object) -> None:
    if sop_instance_uid != uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE:
        raise NoSuchInstance("storage commitment has one well-known SOP instance")


class _Received:
    """The data set of a request, received to its end; a context manager."""

    def __init__(self, request: Request, references_max: int) -> None:
        self._transfer_syntax_uid = request.context.transfer_syntax_uid
        self._references_max = references_max
        self._file = tempfile.SpooledTemporaryFile(READ_IN_MEMORY_BYTES)
        size_max_bytes = SMALL_DATA_SET_BYTES + references_max * REFERENCE_SIZE_MAX_BYTES
        try:
            for fragment in request.message.fragments():
                self._file.write(fragment)
                if self._file.tell() > size_max_bytes:
                    raise ResourceLimitation(f"more than {size_max_bytes} bytes")
        except OSError as error:
            self._file.close()
            raise ResourceLimitation(f"the data set cannot be kept: {error.strerror}") from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> _Received:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def decode(self) -> Commitment:
        """Return what the data set says."""
        self._file.seek(0)
        commitment = decode_commitment(self._file.read(), self._transfer_syntax_uid, self._references_max)
        if len(commitment.references) > self._references_max:
            raise ResourceLimitation(f"more than {self._references_max} instances in one request")
        return commitment


class CommitmentReport:
    """The result of a request, to be reported on its association (see `reporting.Report`)."""

    def __init__(self, request: Request, node: Node, number: int) -> None:
        self._node = node
        self._number = number
        self._context = request.context
        self._claim_s = request.association.limits.dimse_timeout_s + CLAIM_MARGIN_S

    def take(self) -> EventReport | bool:
        """Return the result if all instances have been read and nobody else has taken it over."""
        commitments = self._node.index.commitments
        state = commitments.state(self._number)
        if state == "pending":
            return True
        until = self._node.clock() + timedelta(seconds=self._claim_s)
        if state != "checked" or not commitments.claim(self._number, until):
            return False
        stored = commitments.get(self._number)
        if stored is None:
            return False
        event_type_id, information = make_report(self._node, stored, self._context.transfer_syntax_uid)
        return EventReport(
            self._context.context_id,
            uids.STORAGE_COMMITMENT_PUSH_MODEL,
            uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
            event_type_id,
            information,
        )

    def settle(self, code: int) -> None:
        """Note that the peer has acknowledged it, or leave it to an association of its own."""
        if code == status.SUCCESS:
            self._node.index.commitments.finish(self._number)
        else:
            logger.info(Event("commitment not acknowledged", status=f"{code:04X}"))
            self.abandon()

    def abandon(self) -> None:
        """Leave it to an association of its own."""
        self._node.index.commitments.let_go(self._number)
