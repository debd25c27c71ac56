"""The job `commit_report`: the result goes to the peer on a new association, until the peer acknowledges it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

from medserver.commitment.plan import REPORT, number_of
from medserver.commitment.report import make_report
from medserver.config import Remote
from medserver.dicom import status
from medserver.errors import MedserverError, RemoteError, UnknownRemote
from medserver.index import Job, NewJob, StoredCommitment
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.scu import commitment as scu
from medserver.scu.exchange import context_for
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, associate

LOOK_AGAIN_S = 2.0
"""After which time it is looked again whether the report succeeded on the association of the request."""

logger = logging.getLogger(__name__)


def deliver_reports(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Report transactions to one peer, all on one association."""
    association: Association | None = None
    try:
        for job in batch:
            stored = node.index.commitments.get(number_of(job))
            if stored is None or not node.index.commitments.take_over(stored.id):
                yield _not_ours(node, job)
                continue
            try:
                if association is None:
                    association = _associate(node, stored)
                _report(node, association, stored)
            except MedserverError as error:
                if association is not None and isinstance(error, RemoteError):
                    _end(association)
                    association = None
                yield failed(job, str(error))
            else:
                yield done(job)
    finally:
        if association is not None:
            association.release()


def _not_ours(node: Node, job: Job) -> Outcome:
    """Tell what becomes of a job if its report is acknowledged, or being made on the association of the request."""
    if node.index.commitments.state(number_of(job)) != "checked":
        return done(job)
    due_at = node.clock() + timedelta(seconds=LOOK_AGAIN_S)
    return done(job, NewJob(REPORT, job.payload, destination=job.destination, due_at=due_at))


def _report(node: Node, association: Association, stored: StoredCommitment) -> None:
    """Report one transaction.

    Raises
    ------
    RemoteError
        The peer did not acknowledge it.
    """
    context = context_for(association, scu.SOP_CLASS_UID)
    event_type_id, information = make_report(node, stored, context.transfer_syntax_uid)
    code = scu.send_report(association, context, event_type_id, information)
    if code != status.SUCCESS:
        raise RemoteError(f"{stored.ae_title} answered the N-EVENT-REPORT with {status.describe(code)}")
    node.index.commitments.finish(stored.id)
    logger.info(
        Event("committed", remote=stored.remote, transaction=stored.transaction_uid, safe=stored.safe,
              failed=stored.failed)
    )  # fmt: skip


def _associate(node: Node, stored: StoredCommitment) -> Association:
    """Open an association to the peer, in which we are the SCP.

    Raises
    ------
    RemoteError
        It cannot be opened, or the peer will not be the SCU.
    """
    config = node.config.current
    remote = _remote(node, stored)
    association = associate(
        Address.of(remote),
        [scu.REPORT_PROPOSAL],
        config.node.ae_title,
        WireLimits.from_options(config.limits),
    )
    try:
        scu.check_role(association)
    except RemoteError:
        _end(association)
        raise
    return association


def _remote(node: Node, stored: StoredCommitment) -> Remote:
    """Return where the peer is called now: by the entry of the request, or another one of the same AE title."""
    config = node.config.current
    remote = config.remote_by_name(stored.remote)
    if remote is None or remote.ae_title != stored.ae_title or not remote.is_destination:
        remote = config.destination(stored.ae_title)
    if remote is None:
        raise UnknownRemote(f"no entry [ae ...] has an address with a port for {stored.ae_title}")
    return remote


def _end(association: Association) -> None:
    association.abort()
    association.dul.finish()
