"""The job `commit_report`: the result goes to the peer on a new association, until the peer acknowledges it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

from medserver.commitment.plan import CommitmentPayload, REPORT, number_of
from medserver.commitment.report import make_report
from medserver.config import Remote
from medserver.destinations import exchanged, session_with
from medserver.dicom import status
from medserver.errors import UnknownRemote
from medserver.index import Job, StoredCommitment
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, changed, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.scu import commitment as scu
from medserver.scu.exchange import context_for
from medserver.scu.session import Session
from medserver.wire.association import Association

GIVE_UP_AFTER = timedelta(days=3)
"""So long a report is kept for a peer that cannot be reached."""

LOOK_AGAIN_S = 2.0
"""After which time it is looked again whether the report succeeded on the association of the request."""

logger = logging.getLogger(__name__)


def deliver_reports(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Report transactions to one peer, all in one session."""
    sessions: dict[str, Session] = {}
    with ExitStack() as opened:
        for job in batch:
            if batch.should_stop:
                return
            stored = node.index.commitments.get(number_of(job))
            if stored is None or not node.index.commitments.take_over(stored.id):
                yield _not_ours(node, job)
                continue
            try:
                remote = _remote(node, stored)
            except UnknownRemote as error:
                yield failed(job, str(error))
                continue
            if remote.name not in sessions:
                sessions[remote.name] = opened.enter_context(session_with(node, remote, [scu.REPORT_PROPOSAL]))
            report = partial(_report, node, stored)
            session = sessions[remote.name]
            yield from exchanged(node, session, [job], report, GIVE_UP_AFTER, refusal_is_lasting=False)


def _not_ours(node: Node, job: Job) -> Outcome:
    """Tell what becomes of a job if its report is acknowledged, or being made on the association of the request."""
    if node.index.commitments.state(number_of(job)) != "checked":
        return done(job)
    due_at = node.clock() + timedelta(seconds=LOOK_AGAIN_S)
    return changed(job, REPORT, CommitmentPayload.of(job), due_at)


def _report(node: Node, stored: StoredCommitment, association: Association) -> str:
    """Report one transaction; return why the peer did not acknowledge it, empty if it did.

    Raises
    ------
    NoContextAccepted
        The peer will not be the SCU.
    """
    scu.check_role(association)
    context = context_for(association, scu.SOP_CLASS_UID)
    event_type_id, information = make_report(node, stored, context.transfer_syntax_uid)
    code = scu.send_report(association, context, event_type_id, information)
    if code != status.SUCCESS:
        return f"{stored.ae_title} answered the N-EVENT-REPORT with {status.describe(code)}"
    node.index.commitments.finish(stored.id)
    logger.info(
        Event("committed", remote=stored.remote, transaction=stored.transaction_uid, safe=stored.safe,
              failed=stored.failed)
    )  # fmt: skip
    return ""


def _remote(node: Node, stored: StoredCommitment) -> Remote:
    """Return where the peer is called now: by the entry of the request, or another one of the same AE title."""
    config = node.config.current
    remote = config.remote_by_name(stored.remote)
    if remote is None or remote.ae_title != stored.ae_title or not remote.is_destination:
        remote = config.destination(stored.ae_title)
    if remote is None:
        raise UnknownRemote(f"no entry [ae ...] has an address with a port for {stored.ae_title}")
    return remote
