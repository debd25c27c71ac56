"""What the volumes have got and lost since a backup was made is brought into the index that was made of it.

All paths of all volumes are compared with all rows: an object that was received long before the backup may have been
copied to a volume after it, and that copy may be the only one left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from medserver import archive
from medserver.archive import Finding, Problem
from medserver.archive.checking import pairs
from medserver.archive.follow_ups import removal_job
from medserver.archive.performed_steps import load_steps
from medserver.archive.receipts import records_in_order
from medserver.archive.tombstones import load_tombstones
from medserver.index import GOOD, InstanceRecord, JobFilter
from medserver.node import Node
from medserver.safekeeping.deletion import DELETE, removal_jobs
from medserver.safekeeping.seeking import restart_seeking
from medserver.store import Volume
from medserver.volumes import record_present

MARGIN = timedelta(days=1)
"""How far the clocks of those who deleted and those who made the backup may be apart."""

Progress = Callable[[int], None]


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
    load_tombstones(node)
    load_steps(node)
    _forget_deleted(node, made_at)
    _drop_done_deletions(node)
    for volume in node.volumes.values():
        if volume not in present:
            yield from _report_absence(node, volume)
    yield from _enter_all(node, present, progress)
    for name in node.volumes:
        restart_seeking(node, name)


def _forget_deleted(node: Node, made_at: datetime) -> None:
    """Forget what was deleted after the backup, and have its files removed where they are left."""
    for tombstone in node.index.tombstones.all():
        if tombstone.deleted_at < made_at - MARGIN:
            continue
        copies = [copy for copy in node.index.copies_of(tombstone) if archive.sealed_at(copy) <= tombstone.deleted_at]
        if copies:
            node.index.tombstones.add((), copies, removal_jobs(copies, also_on=node.volumes))


def _drop_done_deletions(node: Node) -> None:
    """Drop jobs that deleted after the backup what they are to delete: it may have been received again since."""
    jobs = node.index.jobs
    jobs.sweep({})  # those that were running are taken back
    waiting = list(jobs.list(JobFilter(DELETE)))
    if not waiting:
        return
    deleted_at = {
        (one.sop_instance_uid, one.digest, one.transfer_syntax_uid): one.deleted_at
        for one in node.index.tombstones.all()
    }
    jobs.drop([
        job.id
        for job in waiting
        if all((at := deleted_at.get(tuple(key))) and at >= job.created_at for key in job.payload["objects"])
    ])


def _report_absence(node: Node, volume: Volume) -> Iterator[Finding]:
    """Tell of a volume that cannot be looked at, if anything should be there."""
    if node.index.upkeep.has_good_objects(volume.name):
        condition = volume.condition()
        yield Finding(Problem.UNREADABLE, volume.name, "", f"the volume is {condition.state}: {condition.detail}")


def _enter_all(node: Node, volumes: Iterable[Volume], progress: Progress) -> Iterator[Finding]:
    """Enter what has no row, in the order of receipt over all volumes."""
    findings: list[Finding] = []
    walks = [(volume, _without_row(node, volume, progress, findings)) for volume in volumes]
    for record in records_in_order(walks, verify=False, report=findings.append):
        findings.extend(_enter(node, record))
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
    if node.index.tombstones.is_deleted(record):
        node.index.add_jobs([removal_job(record.volume, [record.path])])
        return
    added = node.index.add(record)
    if not added.file_needed:
        yield Finding(Problem.SURPLUS, record.volume, record.path, f"not needed: {added.outcome}")
