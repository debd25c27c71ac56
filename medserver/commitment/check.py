"""The job `commit`: every instance that a peer named is read in full (PS3.4 J.3.3.1.2)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from medserver.archive.follow_ups import note_complete
from medserver.commitment.plan import check_job, number_of, report_job
from medserver.commitment.safety import failure_reason
from medserver.dicom import status
from medserver.index import StoredCommitment
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node

NOTE_INTERVAL_S = 2.0
"""How often it is written down which instances are done: so much is done again after a crash."""

COPIES_INTERVAL_S = 10.0
COPIES_WAIT_S = 3600.0
"""So long after the request it is waited for copies that are still to be made, before they count as missing."""


def check_commitments(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Find out which instances of a transaction are safe, and have it reported.

    It goes on where it was interrupted. Reading takes as long as it takes: the lease is extended meanwhile.
    """
    for job in batch:
        number = number_of(job)
        stored = node.index.commitments.get(number)
        if stored is None or stored.state == "reported":
            yield done(job)
            continue
        if stored.state == "pending":
            missing, studies = _decide_all(node, batch, stored)
            # Who asks for it has sent everything that the request names.
            note_complete(node, "commitment", studies, stored.requested_at)
            if batch.should_stop:
                return
            if missing:
                due_at = node.clock() + timedelta(seconds=COPIES_INTERVAL_S)
                yield done(job, check_job(number, stored.remote, due_at))
                continue
            node.index.commitments.finish_check(number)
            stored = node.index.commitments.get(number) or stored  # the association may have ended meanwhile
        yield done(job, report_job(stored, node.clock()))


def _decide_all(node: Node, batch: Batch, stored: StoredCommitment) -> tuple[int, set[str]]:
    """Decide on all instances that are undecided.

    Returns
    -------
    missing, studies : int, set of str
        For how many of them copies may still come, and the studies of those that are here.
    """
    commitments, after, missing = node.index.commitments, -1, 0
    studies: set[str] = set()
    may_wait = node.clock() < stored.requested_at + timedelta(seconds=COPIES_WAIT_S)
    while page := commitments.undecided(stored.id, after):
        after = max(page)
        known = node.index.instances([one.sop_instance_uid for one in page.values()])
        studies.update(one.study_instance_uid for one in known.values())
        reasons: dict[int, int] = {}
        noted_at = time.monotonic()
        for position, reference in page.items():
            if batch.should_stop:
                commitments.decide(stored.id, reasons)
                return missing, studies
            reason = failure_reason(node, reference, known.get(reference.sop_instance_uid))
            if reason is None and may_wait:
                missing += 1
                continue
            reasons[position] = status.RESOURCE_LIMITATION if reason is None else reason
            if time.monotonic() > noted_at + NOTE_INTERVAL_S:
                commitments.decide(stored.id, reasons)
                reasons, noted_at = {}, time.monotonic()
        commitments.decide(stored.id, reasons)
    return missing, studies
