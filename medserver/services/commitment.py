"""Storage Commitment Push Model: as SCP the request, as SCU the report (PS3.4 J.3).

What is asked is written down and answered; checking it is a job, see `medserver.commitment`. The result goes out on
the association of the request if that is still open then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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
    DataSetTooLarge,
    InvalidArgument,
    NoSuchAction,
    NoSuchEventType,
    NoSuchInstance,
)
from medserver.index import NewCommitment
from medserver.index.commitments.commitments import Accepted
from medserver.log import Event
from medserver.node import Node
from medserver.services.received import received_data_set
from medserver.services.reporting import EventReport
from medserver.services.request import Request, Response

SMALL_DATA_SET_BYTES = 4096
"""What a data set without a reference may take."""

CLAIM_MARGIN_S = 5.0

logger = logging.getLogger(__name__)


def request_commitment(request: Request, node: Node) -> Response:
    """Take over a request for storage commitment (N-ACTION, PS3.4 J.3.2): from now on it will be reported on.

    Raises
    ------
    NoSuchInstance, NoSuchAction
        It is not for the well-known instance, or is another action.
    InvalidArgument
        The data set is not what it should be.
    DataSetTooLarge
        It names too many instances.
    OutOfResources
        Too many requests of this AE are unfinished, or there is no space.
    """
    command_set = request.message.command_set
    _check_instance(command_set.get("RequestedSOPInstanceUID"))
    if command_set.get("ActionTypeID") != REQUEST_STORAGE_COMMITMENT:
        raise NoSuchAction("storage commitment has action type 1 only")
    limits = node.config.current.limits
    with _received(request, limits.commitment_references_max) as commitment:
        new = NewCommitment(
            "scp",
            commitment.transaction_uid,
            request.association.requestor.ae_title.strip(),
            request.remote.name,
            commitment.references,
            held=True,
        )
        accepted = node.index.commitments.accept(
            new, lambda number: check_job(number, new.remote), limits.commitments_pending_max
        )
    reports = request.association.reports
    if not any(isinstance(one, CommitmentReport) and one.number == accepted.number for one in reports):
        reports.append(CommitmentReport(request, node, accepted))
    count = len(commitment.references)
    logger.info(Event("commit", transaction=commitment.transaction_uid, instances=count, again=not accepted.is_new))
    return Response()


def receive_report(request: Request, node: Node) -> Response:
    """Take over what a peer reports of a commitment that we asked for (N-EVENT-REPORT, PS3.4 J.3.3).

    Raises
    ------
    NoSuchInstance, NoSuchEventType
        It is not from the well-known instance, or is another event.
    InvalidArgument
        The data set is not what it should be, or we have asked this AE for nothing under its Transaction UID.
    DataSetTooLarge
        It names too many instances.
    OutOfResources
        There is no space.
    """
    command_set = request.message.command_set
    _check_instance(command_set.get("AffectedSOPInstanceUID"))
    if command_set.get("EventTypeID") not in (ALL_COMMITTED, FAILURES_EXIST):
        raise NoSuchEventType("storage commitment has event types 1 and 2 only")
    ae_title = request.association.requestor.ae_title.strip()
    with _received(request, node.config.current.limits.commitment_references_max) as commitment:
        number = node.index.commitments.record_report(ae_title, commitment.transaction_uid, commitment.references)
    if number is None:
        raise InvalidArgument("there is no request with this Transaction UID")
    logger.info(Event("commitment reported", transaction=commitment.transaction_uid))
    return Response()


def _check_instance(sop_instance_uid: object) -> None:
    if sop_instance_uid != uids.STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE:
        raise NoSuchInstance("storage commitment has one well-known SOP instance")


@contextmanager
def _received(request: Request, references_max: int) -> Iterator[Commitment]:
    """Give what the data set of a request says, while it is the turn of that.

    Raises
    ------
    InvalidArgument
        It is not what it should be.
    DataSetTooLarge
        It names too many instances.
    OutOfResources
        There is no space for it.
    """
    size_max_bytes = SMALL_DATA_SET_BYTES + references_max * REFERENCE_SIZE_MAX_BYTES
    with received_data_set(request, size_max_bytes) as raw:
        commitment = decode_commitment(raw, request.context.transfer_syntax_uid, references_max)
        if len(commitment.references) > references_max:
            raise DataSetTooLarge(f"more than {references_max} instances in one request")
        yield commitment


class CommitmentReport:
    """The result of a request, to be reported on its association (see `reporting.Report`).

    Parameters
    ----------
    request : Request
        The request.
    node : Node
        Where it was made.
    accepted : Accepted
        Its transaction. That of an earlier request is taken over from the association of that one: the peer waits on
        this one now, and may not listen for others.
    """

    def __init__(self, request: Request, node: Node, accepted: Accepted) -> None:
        self._node = node
        self.number, self._is_first = accepted
        self._context = request.context
        self._claim_s = request.association.limits.dimse_timeout_s + CLAIM_MARGIN_S

    def take(self) -> EventReport | bool:
        """Return the result if all instances have been read and nobody else has taken it over."""
        commitments = self._node.index.commitments
        state = commitments.state(self.number)
        if state == "pending":
            return True
        if state != "checked" or not self._reserve():
            return False
        stored = commitments.get(self.number)
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

    def _reserve(self) -> bool:
        """Keep others from reporting meanwhile; False if that was done already, or is being done."""
        if not self._is_first:
            return self._node.index.commitments.take_over(self.number)
        return self._node.index.commitments.claim(self.number, self._node.clock() + timedelta(seconds=self._claim_s))

    def settle(self, code: int) -> None:
        """Note that the peer has acknowledged it, or leave it to an association of its own."""
        if code == status.SUCCESS:
            self._node.index.commitments.finish(self.number)
        else:
            logger.info(Event("commitment not acknowledged", status=f"{code:04X}"))
            self.abandon()

    def abandon(self) -> None:
        """Leave it to an association of its own."""
        self._node.index.commitments.let_go(self.number)
