"""Objects that lack a copy are found in the index, and get jobs: on a volume that is new, or has lost some."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from medserver.archive.follow_ups import REPAIR, REPLICATE, repair_job, replication_job
from medserver.archive.payloads import FilePayload
from medserver.index import Cursor, JobFilter, NewJob, StoredCopy
from medserver.node import Node

QUEUED_MAX = 10_000
"""No more jobs of a volume are queued than this; what else it lacks is found when they are done."""

logger = logging.getLogger(__name__)


def queue_missing(node: Node, volume: str) -> bool:
    """Queue the copies that a volume lacks, up to a limit; go on where the last call ended.

    Parameters
    ----------
    node : Node
        Whose volume.
    volume : str
        Its name.

    Returns
    -------
    bool
        Whether it came to the end; then the next call begins anew.
    """
    key = _key(volume)
    cursor: Cursor | None = Cursor.from_text(node.index.progress.get(key))
    if _count(node, volume) >= QUEUED_MAX:
        return False
    queued = {FilePayload.of(job).path for job in _jobs(node, REPLICATE, volume)}
    room, added = QUEUED_MAX - len(queued), 0
    while cursor is not None and room > added:
        found, cursor = node.index.upkeep.missing(volume, cursor)
        wanted = [one for one in found if one.path not in queued]
        node.index.add_jobs([replication_job(volume, one.volume, one.path) for one in wanted])
        added += len(wanted)
    node.index.progress.set(key, str(cursor) if cursor else None)
    if added:
        logger.info("volume %s: %d copies are missing, and queued", volume, added)
    return cursor is None


def restart_seeking(node: Node, volume: str) -> None:
    """Have the next search begin with the first object."""
    node.index.progress.set(_key(volume), None)


def missing_on(node: Node, volume: str) -> Iterator[StoredCopy]:
    """Yield a good copy of every object that a volume lacks."""
    cursor: Cursor | None = Cursor()
    while cursor is not None:
        found, cursor = node.index.upkeep.missing(volume, cursor)
        yield from found


def queue_repairs(node: Node) -> int:
    """Queue the repair of what is bad and has no job, not even a dead one; return how many those are."""
    bad = [one for one in node.index.upkeep.bad() if one.volume in node.volumes]
    queued = {(job.destination, FilePayload.of(job).path) for job in _jobs(node, REPAIR)} if bad else set()
    jobs: list[NewJob] = [repair_job(one.volume, one.path) for one in bad if (one.volume, one.path) not in queued]
    node.index.add_jobs(jobs)
    return len(jobs)


def _key(volume: str) -> str:
    return f"seek:{volume}"


def _count(node: Node, volume: str) -> int:
    """Return how many copies to a volume are queued."""
    counts = node.index.jobs.counts()
    return sum(one.count for one in counts if (one.kind, one.destination) == (REPLICATE, volume))


def _jobs(node: Node, kind: str, destination: str | None = None) -> Iterator:
    return node.index.jobs.list(JobFilter(kind, destination))
