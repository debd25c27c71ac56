"""Which rules want what was not decided when it came: the job ``route``.

Usually it is decided then, by the attributes that the reception sees, and what follows is in the outbox in the same
transaction as the instance. This job reads the header of those whose attributes lie too far back for that, and of
those that came just before the node was killed.
"""

from __future__ import annotations

from collections.abc import Iterator

from medserver import archive
from medserver.archive.follow_ups import ROUTE
from medserver.dicom.dataset_values import value_of
from medserver.errors import StoreFailure
from medserver.index import Job, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.routing.plan import Arrival, jobs_of

__all__ = ["ROUTE", "route"]


def route(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Put what the rules want of a batch of instances into the outbox."""
    config = node.config.current
    found = node.index.instances([job.payload["sop_instance_uid"] for job in batch])
    for job in batch:
        if batch.should_stop:
            return
        instance = found.get(job.payload["sop_instance_uid"])
        if instance is None or not _is_meant(node, job, instance):  # it was deleted, or put aside
            yield done(job)
            continue
        try:
            header = archive.read_header(node, instance)
        except StoreFailure as error:
            yield failed(job, str(error))
            continue
        arrival = Arrival(
            instance.sop_instance_uid,
            instance.study_instance_uid,
            str(value_of(header, "SeriesInstanceUID") or ""),
            job.payload["from"],
            job.created_at,
        )
        yield done(job, *jobs_of(config, arrival, header, node.clock()))


def _is_meant(node: Node, job: Job, instance: StoredCopy) -> bool:
    """Tell whether what was received is the instance: received as it is, or compressed since."""
    digest = job.payload["digest"]
    if digest == instance.digest:
        return True
    original = node.index.forms.original_of(instance.key)
    return original is not None and original.digest == digest
