"""Objects are deleted, on purpose and never otherwise: the jobs ``delete`` and ``remove``.

First the rows are gone for good (with the order, and the jobs are there that remove the files), then the tombstones
lie on the volumes, then the files are gone. A crash in between leaves files that nobody takes in. What is received
again before its row is gone withdraws the order for it; afterwards it is stored anew, and a worker that repeats a
deletion finds no order for it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from medserver.archive.follow_ups import removal_job
from medserver.archive.tombstones import write_tombstones
from medserver.crash import crash_point
from medserver.errors import DamagedObject
from medserver.index import Duplicate, Job, NewJob, StoredInstance, StoredLocation, Tombstone
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.index.objects.deletions import Key
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.presence import wait_until_removable
from medserver.store import Volume

DELETE = "delete"

OBJECTS_PER_JOB = 200
PATHS_PER_JOB = 200
RETRY_S = 5.0
UNKNOWN_VOLUME_RETRY_S = 3600.0

_OF_ORIGINALS = ("compression", "its compressed form has taken its place")
"""Who ordered the deletion of originals in earlier versions, and why. They are kept now, also where that waits."""

logger = logging.getLogger(__name__)

Stored = StoredInstance | StoredLocation | Duplicate


def order_deletion(node: Node, objects: Sequence[Stored], *, by: str, reason: str) -> list[Key]:
    """Have objects deleted by jobs, with every copy of them; return what was ordered, as `Deletions.order` does.

    Parameters
    ----------
    node : Node
        Where they are.
    objects : sequence of StoredInstance, StoredLocation or Duplicate
        What is deleted; with an instance all that is stored under its SOP Instance UID.
    by, reason : str
        Who wants it, and why.
    """

    def jobs_of(keys: Sequence[Key]) -> Iterator[NewJob]:
        for first in range(0, len(keys), OBJECTS_PER_JOB):
            some = [list(key) for key in keys[first : first + OBJECTS_PER_JOB]]
            yield NewJob(DELETE, {"objects": some, "by": by, "reason": reason})

    return node.index.deletions.order(objects, jobs_of)


def removal_jobs(copies: Iterable[StoredLocation], also_on: Iterable[str] = ()) -> Iterator[NewJob]:
    """Yield the jobs that remove the files of copies which the index forgets.

    Parameters
    ----------
    copies : iterable of StoredLocation
        The copies.
    also_on : iterable of str
        Volumes on which the same paths are removed though the index has no row for them. A power cut may have taken the
        rows of copies that had been made: of what is deleted on purpose nothing stays.
    """
    paths: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for copy in copies:
        for volume in (copy.volume, *also_on):
            paths[volume][copy.path] = None
    for volume, unique in paths.items():
        those = list(unique)
        for first in range(0, len(those), PATHS_PER_JOB):
            yield removal_job(volume, those[first : first + PATHS_PER_JOB])


def delete(node: Node, batch: Batch) -> None:
    """Delete what jobs of `order_deletion` are about.

    Raises
    ------
    StoreFailure
        No tombstone could be written. The job writes them when it comes again.
    """
    for job in batch:
        if (job.payload["by"], job.payload["reason"]) != _OF_ORIGINALS:
            _delete(node, job)


def _delete(node: Node, job: Job) -> None:
    ordered = [
        Tombstone(*key, deleted_at=job.created_at, deleted_by=job.payload["by"], reason=job.payload["reason"])
        for key in job.payload["objects"]
    ]
    deleted = node.index.deletions.perform(ordered, lambda copies: removal_jobs(copies, also_on=node.volumes))
    crash_point("rows deleted")
    for each in deleted:
        node.transcoder.forget(each.digest, each.transfer_syntax_uid)
        logger.warning(
            Event("deleted", sop_instance_uid=each.sop_instance_uid, digest=each.digest, by=each.deleted_by,
                  reason=each.reason)
        )  # fmt: skip
    unwritten = node.index.tombstones.unwritten(ordered)  # also those of an attempt that was interrupted
    if unwritten:
        write_tombstones(node, unwritten)
    crash_point("tombstones written")
    for each in ordered:
        if node.index.copies_of(each):
            logger.warning(
                Event("not deleted", sop_instance_uid=each.sop_instance_uid, digest=each.digest,
                      reason="it was received again after the deletion was ordered")
            )  # fmt: skip


def remove(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Remove the files that jobs of `removal_jobs` are about, on the volume `batch.destination`.

    Raises
    ------
    StoreFailure
        The volume is away, or cannot be written.
    """
    volume = node.volumes.get(batch.destination)
    if volume is None:
        for job in batch:
            yield failed(job, f"volume {batch.destination} is not configured", delay_s=UNKNOWN_VOLUME_RETRY_S)
        return
    if not wait_until_removable(volume, lambda: batch.should_stop):
        return
    for job in batch:
        if batch.should_stop:
            return
        left = [path for path in job.payload["paths"] if not _remove(node, volume, path)]
        problem = f"files in a journal that is being written: {len(left)}"
        yield failed(job, problem, delay_s=RETRY_S) if left else done(job)


def _remove(node: Node, volume: Volume, path: str) -> bool:
    """Remove a file unless the index has it again; False if it is still there."""
    if node.index.has_location(volume.name, path):
        return True
    volume.delete(path)
    crash_point("file deleted")
    try:
        volume.stat(path)
    except DamagedObject:
        return True
    return False


def asides_of(node: Node, instances: Iterable[Stored]) -> list[Duplicate]:
    """Return what was put aside because it has the SOP Instance UID of one of these."""
    uids = {one.sop_instance_uid for one in instances}
    return [one for one in node.index.duplicates() if one.sop_instance_uid in uids]
