"""Objects are deleted, on purpose and never otherwise: the jobs ``delete`` and ``remove``.

First the rows are gone for good (with the order, and the jobs are there that remove the files), then the tombstones
lie on the volumes, then the files are gone. A crash in between leaves files that nobody takes in. What is received
again before its row is gone withdraws the order for it; afterwards it is stored anew, and a worker that repeats a
deletion finds no order for it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from medserver import archive, trail
from medserver.archive.destruction import Ordered, Surplus, destroy
from medserver.archive.follow_ups import removal_job, retire_job
from medserver.archive.orders import DELETE as DELETE
from medserver.archive.orders import DeletionPayload
from medserver.archive.orders import order_deletion as order_deletion  # who deletes finds all of it here
from medserver.archive.payloads import RemovalPayload
from medserver.archive.tombstones import write_tombstones
from medserver.audit import Actor, AuditEvent, AuditRow, events
from medserver.crash import crash_point
from medserver.errors import DamagedObject
from medserver.index import Job, NewJob, ObjectKey, StoredCopy, Subject, Tombstone
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.presence import wait_until_removable
from medserver.store import Volume
from medserver.trail.subjects import by_patient

PATHS_PER_JOB = 200
RETRY_S = 5.0
UNKNOWN_VOLUME_RETRY_S = 3600.0

_OF_ORIGINALS = ("compression", "its compressed form has taken its place")
"""Who ordered the deletion of originals in earlier versions, and why. They are kept now, also where that waits."""

logger = logging.getLogger(__name__)


def removal_jobs(copies: Iterable[StoredCopy], also_on: Iterable[str] = ()) -> Iterator[NewJob]:
    """Yield the jobs that remove the files of copies which the index forgets.

    Parameters
    ----------
    copies : iterable of StoredCopy
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
        payload = DeletionPayload.of(job)
        if (payload.by, payload.reason) != _OF_ORIGINALS:
            carry_out(node, ordered_by(job))


def ordered_by(job: Job) -> list[Tombstone]:
    """Return what a job of `order_deletion` is about."""
    payload = DeletionPayload.of(job)
    return [
        Tombstone(*key, deleted_at=job.created_at, deleted_by=payload.by, reason=payload.reason)
        for key in payload.objects
    ]


def carry_out(node: Node, ordered: Sequence[Tombstone], withdrawn: Collection[str] = ()) -> None:
    """Delete objects as far as the orders for them still stand.

    Parameters
    ----------
    node : Node
        Where they are.
    ordered : sequence of Tombstone
        What was ordered, by one order.
    withdrawn : collection of str
        The instances of which it is known that they stay, and why.

    Raises
    ------
    StoreFailure
        No tombstone could be written. To be repeated: then they are.
    """
    who = Actor(process=ordered[0].deleted_by, address=trail.node_actor(node.config.current).address)
    deleted = node.index.deletions.perform(
        ordered,
        lambda copies: removal_jobs(copies, also_on=node.volumes),
        lambda subjects, gone: _told(node, who, subjects, gone),
    )
    crash_point("rows deleted")
    for each in deleted:
        node.transcoder.forget(each.digest, each.transfer_syntax_uid)
        logger.warning(
            Event("deleted", sop_instance_uid=each.sop_instance_uid, digest=each.digest, by=each.deleted_by,
                  reason=each.reason)
        )  # fmt: skip
    performed = node.index.tombstones.performed(ordered)  # also those of an attempt that was interrupted
    if performed:
        write_tombstones(node, performed)
    crash_point("tombstones written")
    for each in ordered:
        if each.sop_instance_uid not in withdrawn and node.index.copies_of(each):
            logger.warning(
                Event("not deleted", sop_instance_uid=each.sop_instance_uid, digest=each.digest,
                      reason="it was received again after the deletion was ordered")
            )  # fmt: skip


def _told(node: Node, who: Actor, subjects: Sequence[Subject], gone: Collection[str]) -> list[AuditRow]:
    """Return what the audit trail tells: of whole studies, and of parts of others (PS3.15 A.5.3.6, A.5.3.8)."""
    told: list[AuditEvent] = []
    for patient, studies in by_patient(subjects):
        whole = [each for each in studies if each.study_instance_uid in gone]
        parts = [each for each in studies if each.study_instance_uid not in gone]
        told += [events.study_deleted(who, patient, whole)] if whole else []
        told += [events.instances_accessed(who, "D", patient, parts)] if parts else []
    return trail.rows(node, told)


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
        left = [path for path, because in _files(job) if not _remove(node, volume, path, because)]
        problem = f"files in a journal that is being written: {len(left)}"
        yield failed(job, problem, delay_s=RETRY_S) if left else done(job)


def _files(job: Job) -> Iterator[tuple[str, Ordered | Surplus]]:
    """Yield the files that a job is about, and why each may go."""
    payload = RemovalPayload.of(job)
    for path in payload.paths:
        yield path, Ordered()
    for path, *key in payload.surplus:
        yield path, Surplus(ObjectKey(*key), payload.where)


def _remove(node: Node, volume: Volume, path: str, because: Ordered | Surplus) -> bool:
    """Remove a file; one that may not go is adopted again. False if it is still in the journal."""
    is_destroyed = destroy(node, volume, path, because=because)
    try:
        volume.stat(path)
    except DamagedObject:
        return True
    if is_destroyed:
        return False
    if isinstance(because, Ordered) or node.index.has_location(volume.name, path):
        return True
    if archive.adopt(node, archive.record_of_file(volume, path, verify=True)).outcome == "deleted":
        destroy(node, volume, path, because=Ordered())  # together with what was in its place
        return True
    node.index.add_jobs([retire_job(because.key)])
    logger.warning(Event("not removed", volume=volume.name, path=path, reason="there is nothing good in its place"))
    return True


def duplicates_of(node: Node, instances: Iterable[StoredCopy]) -> list[StoredCopy]:
    """Return the objects that are not current of some instances, a copy of each."""
    uids = {one.sop_instance_uid for one in instances}
    return [one.copies[0] for one in node.index.versions.duplicates_of(sorted(uids)) if one.copies]
