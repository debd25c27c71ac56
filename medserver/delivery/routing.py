"""Which rules want what was not decided when it came: the job ``route``.

Usually it is decided then, by the attributes that the reception sees, and what follows is in the outbox in the same
transaction as the instance. This job reads the header of those whose attributes lie too far back for that, and of
those that came just before the node was killed. What was decided of an object that has been replaced while it waited
is decided anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from medserver import archive
from medserver.archive.follow_ups import ROUTE
from medserver.archive.payloads import ReceiptPayload
from medserver.dicom.dataset_values import value_of
from medserver.errors import StoreFailure
from medserver.index import Job, NewJob, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.routing.deliveries import Delivery, wanted_again
from medserver.routing.plan import Arrival, jobs_of

__all__ = ["ROUTE", "decided_anew", "is_of", "route"]

logger = logging.getLogger(__name__)


def route(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Put what the rules want of a batch of instances into the outbox."""
    found = node.index.instances([ReceiptPayload.of(job).sop_instance_uid for job in batch])
    for job in batch:
        if batch.should_stop:
            return
        receipt = ReceiptPayload.of(job)
        instance = found.get(receipt.sop_instance_uid)
        if instance is None or not is_of(node, receipt.digest, instance):  # deleted, or not the current object
            yield done(job)
            continue
        try:
            jobs = _jobs_of(node, instance, receipt.sender, job.created_at)
        except StoreFailure as error:
            yield failed(job, str(error))
            continue
        yield done(job, *jobs)


def decided_anew(node: Node, job: Job, delivery: Delivery, instance: StoredCopy) -> Outcome:
    """Return what becomes of a delivery that was decided by another object than the one which is current now.

    The rules may want that one, with other changes; if they do not, it must not go there.
    """
    try:
        jobs = _jobs_of(node, instance, delivery.sender, job.created_at)
    except StoreFailure as error:
        return failed(job, str(error))
    again = wanted_again(job, delivery, jobs)
    if again is not None:
        return again
    uid = delivery.sop_instance_uid
    logger.info(Event("not wanted", destination=job.destination, sop_instance_uid=uid, reason="it was replaced"))
    return done(job)


def is_of(node: Node, digest: str, instance: StoredCopy) -> bool:
    """Tell whether an instance is an object still: as it was received, or compressed since."""
    if digest == instance.digest:
        return True
    original = node.index.forms.original_of(instance.key)
    return original is not None and original.digest == digest


def _jobs_of(node: Node, instance: StoredCopy, sender: str, received_at: datetime) -> list[NewJob]:
    """Return what the rules want of an instance, by its header.

    Raises
    ------
    StoreFailure
        That cannot be read.
    """
    header = archive.read_header(node, instance)
    arrival = Arrival(
        instance.sop_instance_uid,
        instance.study_instance_uid,
        str(value_of(header, "SeriesInstanceUID") or ""),
        sender,
        received_at,
        instance.digest,
    )
    return list(jobs_of(node.config.current, node.index.rule_versions, arrival, header, node.clock()))
