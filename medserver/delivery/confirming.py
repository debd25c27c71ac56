"""Delivered means committed: the job ``confirm``, one for each instance that an AE has taken which has to commit to it.

The AE is asked for storage commitment (PS3.4 J) of a batch of them. It may report at once or later, on the association
of the request or on one of its own to the running node. What it does not commit to is sent again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from medserver.commitment.asking import Inquiry
from medserver.config import Remote
from medserver.destinations import destination_of, given_up, no_destination, session_with
from medserver.dicom import status
from medserver.dicom.storage_commitment import Reference
from medserver.errors import RemoteError
from medserver.index import Job, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, changed, done, failed
from medserver.node import Node
from medserver.routing.deliveries import CONFIRM, DELIVER, Delivery, delivered
from medserver.scu.commitment import PROPOSAL
from medserver.wire.association import Association

SENDS_MAX = 5
"""So often an instance is sent to an AE that does not commit to it; then an administrator is wanted."""

SEND_AGAIN_S = 60.0
"""How long it waits before it is sent again; twice as long each time."""

REPORT_WAIT_S = 3.0
"""So long the association of a request is left open for the report."""

LOOK_AGAIN_S, LOOK_AGAIN_LONGEST_S = 1.0, 60.0
"""How soon it is looked for a report, and how seldom at last."""

ASK_AGAIN_AFTER = timedelta(hours=4)
"""A report that has not come after so long will not come: the AE is asked again."""


def confirm(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Find out which of the instances that were sent to `batch.destination` are safe there."""
    remote = destination_of(node, batch)
    if remote is None:
        yield from no_destination(batch)
        return
    reports = _Reports(node)
    to_ask: list[Job] = []
    deliveries = {job.id: Delivery.of(job) for job in batch}
    for job in batch:
        delivery = deliveries[job.id]
        number = delivery.commitment
        if not remote.must_commit:  # not any more
            yield done(job, delivered=delivered(delivery, remote.name, delivery.digest, is_committed=False))
        elif number is None or job.last_error or reports.is_lost(number):
            to_ask.append(job)
        else:
            yield _seen(node, job, delivery, reports, number)
    found = node.index.instances([deliveries[job.id].sop_instance_uid for job in to_ask])
    yield from (done(job) for job in to_ask if deliveries[job.id].sop_instance_uid not in found)  # deleted
    to_ask = [job for job in to_ask if deliveries[job.id].sop_instance_uid in found]
    if not to_ask or batch.should_stop:
        return
    with session_with(node, remote, [PROPOSAL]) as session:
        try:
            ask = partial(_ask, node, remote, found.values())
            number = session.perform(ask, repeats=False)  # it may have arrived: the report would come all the same
        except RemoteError as error:
            problem = str(error)
            yield from given_up(node, session.standing, to_ask) if session.is_paused else (
                failed(job, problem) for job in to_ask
            )
            return
    yield from (_seen(node, job, deliveries[job.id], reports, number) for job in to_ask)


class _Reports:
    """What is known of transactions, each looked up once."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lost: dict[int, bool] = {}
        self._reasons: dict[int, Mapping[str, int] | None] = {}

    def is_lost(self, number: int) -> bool:
        """Tell whether there will be no report."""
        if number not in self._lost:
            self._lost[number] = self._look_for(number)
        return self._lost[number]

    def _look_for(self, number: int) -> bool:
        stored = self._node.index.commitments.get(number)
        if stored is None or stored.state == "refused":
            return True
        return stored.state != "reported" and self._node.clock() - stored.requested_at > ASK_AGAIN_AFTER

    def reasons(self, number: int) -> Mapping[str, int] | None:
        """Return the Failure Reason of each instance, 0 for one that is safe; None if there is no report yet.

        One that the report does not mention has no success: PROCESSING_FAILURE.
        """
        if number not in self._reasons:
            self._reasons[number] = self._read(number)
        return self._reasons[number]

    def _read(self, number: int) -> Mapping[str, int] | None:
        if self._node.index.commitments.state(number) != "reported":
            return None
        return {
            one.sop_instance_uid: one.reason if is_known else status.PROCESSING_FAILURE
            for one, is_known in self._node.index.commitments.instances(number)
        }


def _ask(node: Node, remote: Remote, instances: Iterable[StoredCopy], association: Association) -> int:
    """Ask for commitment, wait a little for the report, and return the number of the transaction.

    Raises
    ------
    RemoteError
        The AE does not take the request, or the association broke.
    """
    references = [Reference(one.sop_class_uid, one.sop_instance_uid) for one in instances]
    inquiry = Inquiry(node.index, association, remote.ae_title, remote.name)
    inquiry.ask(references)
    inquiry.wait(REPORT_WAIT_S)
    [number] = inquiry.numbers
    return number


def _seen(node: Node, job: Job, delivery: Delivery, reports: _Reports, number: int) -> Outcome:
    """Return what becomes of a delivery: it is done, waits for the report, or the instance is sent again."""
    reasons = reports.reasons(number)
    if reasons is None:
        return _looked_again(node, job, delivery, number)
    reason = reasons.get(delivery.sop_instance_uid, status.PROCESSING_FAILURE)
    if reason == status.SUCCESS:
        return done(job, delivered=delivered(delivery, job.destination, delivery.digest, is_committed=True))
    is_revived = job.last_error is not None and job.attempts == 1  # it was given up, and somebody says again
    sends = 0 if is_revived else delivery.sends
    if sends >= SENDS_MAX:
        return failed(job, f"sent {sends} times, and not committed to: {status.describe(reason)}", final=True)
    due_at = node.clock() + timedelta(seconds=SEND_AGAIN_S * 2 ** max(0, sends - 1))
    again = replace(delivery, commitment=None, looks=0, sends=sends)
    return changed(job, DELIVER, again, due_at, answer=f"not committed to: {status.describe(reason)}")


def _looked_again(node: Node, job: Job, delivery: Delivery, number: int) -> Outcome:
    """Return that it is looked for the report later."""
    looks = delivery.looks + 1 if delivery.commitment == number else 0
    delay_s = min(LOOK_AGAIN_S * 2 ** min(looks, 32), LOOK_AGAIN_LONGEST_S)
    due_at = node.clock() + timedelta(seconds=delay_s)
    return changed(job, CONFIRM, replace(delivery, commitment=number, looks=looks), due_at)
