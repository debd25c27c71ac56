"""What the volumes have got and lost since a backup was made is brought into the index that was made of it.

All paths of all volumes are compared with all rows: an object that was received long before the backup may have been
copied to a volume after it, and that copy may be the only one left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, takewhile

from medserver import archive
from medserver.archive import Finding, Problem
from medserver.archive.adoption import adopt
from medserver.archive.checking import pairs
from medserver.archive.decisions import in_order, load_promotions, load_resolutions
from medserver.archive.follow_ups import removal_job
from medserver.archive.performed_steps import load_steps
from medserver.archive.promotion import enter_promotion
from medserver.archive.receipts import records_in_order
from medserver.archive.tombstones import load_tombstones
from medserver.index import GOOD, InstanceRecord, JobFilter, ObjectKey, Promotion
from medserver.node import Node
from medserver.safekeeping.deletion import DELETE, DeletionPayload, removal_jobs
from medserver.safekeeping.seeking import restart_seeking
from medserver.store import Volume
from medserver.volumes import record_present

MARGIN = timedelta(days=1)
"""How far the clocks of those who deleted and those who made the backup may be apart."""

Progress = Callable[[int], None]

logger = logging.getLogger(__name__)


def replay(node: Node, made_at: datetime, progress: Progress = lambda count: None) -> Iterator[Finding]:
    """Bring an index up to what the volumes hold. Nobody else writes meanwhile; again is harmless.

    Parameters
    ----------
    node : Node
        With the index as it was.
    made_at : datetime
        When that was.
    progress : callable
        Called with the number of files done since the last call.

    Yields
    ------
    Finding
        A file that is gone or cannot be entered, or a volume of which nothing is there. Nothing is deleted but what
        had been deleted on purpose after the backup.

    Raises
    ------
    StoreFailure, IndexFailure, OutOfResources
        A volume or the index does not work.
    """
    record_present(node.index, node.volumes.values())
    present = [volume for _, volume in sorted(node.volumes.items()) if volume.condition().is_present]
    last = node.index.tombstones.last()
    load_tombstones(node)
    load_steps(node)
    _forget_deleted(node, made_at, last)
    _drop_deletions(node)
    for volume in node.volumes.values():
        if volume not in present:
            yield from _report_absence(node, volume)
    yield from _enter_all(node, present, progress)
    load_resolutions(node)
    for name in node.volumes:
        restart_seeking(node, name)


def _forget_deleted(node: Node, made_at: datetime, last: int) -> None:
    """Forget what was deleted after the backup, and have its files removed where they are left.

    That is what the backup does not know, also if the clock was far ahead when it was made; and what was deleted
    shortly before, for who deletes comes to the files later.
    """
    recent = (one for one in node.index.tombstones.all() if one.deleted_at >= made_at - MARGIN)
    for tombstone in chain(recent, node.index.tombstones.all(last)):
        copies = [copy for copy in node.index.copies_of(tombstone) if tombstone.means(copy.path, copy.received_at)]
        if copies:
            node.index.release(copies, removal_jobs(copies, also_on=node.volumes))


def _drop_deletions(node: Node) -> None:
    """Drop the jobs that delete: what they are to delete may have been received again since, and no file tells that.

    What was deleted after the backup has its tombstones. Of the rest it is told that nobody deletes it any more.
    """
    jobs = node.index.jobs
    jobs.sweep({})  # those that were running are taken back
    waiting = list(jobs.list(JobFilter(DELETE)))
    jobs.drop([job.id for job in waiting])
    keys = [ObjectKey(*key) for job in waiting for key in DeletionPayload.of(job).objects]
    left = sum(map(bool, node.index.copies_of_each(keys))) if keys else 0
    if left:
        logger.warning("to be deleted when the backup was made, and stay until that is ordered again: %d objects", left)


def _report_absence(node: Node, volume: Volume) -> Iterator[Finding]:
    """Tell of a volume that cannot be looked at, if anything should be there."""
    if node.index.upkeep.has_good_objects(volume.name):
        condition = volume.condition()
        yield Finding(Problem.UNREADABLE, volume.name, "", f"the volume is {condition.state}: {condition.detail}")


def _enter_all(node: Node, volumes: Iterable[Volume], progress: Progress) -> Iterator[Finding]:
    """Enter what has no row, in the order of receipt over all volumes, and what was decided between objects."""
    findings: list[Finding] = []
    walks = [(volume, _without_row(node, volume, progress, findings)) for volume in volumes]
    records = records_in_order(walks, verify=False, report=findings.append)
    for record in in_order(load_promotions(node), records):
        is_promotion = isinstance(record, Promotion)
        findings.extend(enter_promotion(node, record) if is_promotion else _enter(node, record))
        yield from findings
        findings.clear()
    yield from findings


def _without_row(node: Node, volume: Volume, progress: Progress, findings: list[Finding]) -> Iterator[str]:
    """Yield the files that have no row, and note the rows that have no file."""
    locations = takewhile(lambda one: one.volume == volume.name, node.index.locations((volume.name, "")))
    for path, location, is_there in pairs(locations, volume.walk()):
        if location is None:
            yield path
        elif not is_there and location.state == GOOD:
            detail = "it was there when the backup was made"
            archive.report_damage(node, volume.name, path, f"{path} is missing: {detail}")
            findings.append(Finding(Problem.MISSING, volume.name, path, detail))
        progress(1)


def _enter(node: Node, record: InstanceRecord) -> Iterator[Finding]:
    added = adopt(node, record, in_bulk=True)
    if added.outcome == "deleted":
        node.index.add_jobs([removal_job(record.volume, [record.path])])
    elif not added.file_needed:
        yield Finding(Problem.SURPLUS, record.volume, record.path, f"not needed: {added.outcome}")
