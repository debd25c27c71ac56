"""Every object gets a copy on every replica: the job ``replicate``, one for each object and volume."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from medserver import archive
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import GOOD, Job, StoredLocation
from medserver.jobs.batch import Batch
from medserver.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.safekeeping.drained import is_draining
from medserver.safekeeping.presence import let_others_go_first, require_present, wait_until_writable
from medserver.store import Volume

THREADS = 8
"""How many copies of a batch are made at a time: they wait for the disk together, and share commits of the index."""

_PAGE = 100

LOST = "there is no good copy of it any more"

logger = logging.getLogger(__name__)


def replicate(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Make the copies that a batch of jobs is about; all for the volume `batch.destination`.

    Raises
    ------
    OutOfResources, StoreFailure
        The volume takes nothing.
    """
    target = node.volumes.get(batch.destination)
    if target is None:  # when it comes back, `seeking` finds what it lacks
        logger.info("volume %s is not configured any more: %d copies are not made", batch.destination, len(batch))
        yield from map(done, batch)
        return
    if is_draining(node, target.name):
        yield from map(done, batch)
        return
    if not wait_until_writable(node, target, lambda: batch.should_stop):
        return
    let_others_go_first(node, lambda: batch.should_stop)
    with ThreadPoolExecutor(THREADS) as threads:
        copies = {job.id: threads.submit(_replicate_unless_stopped, node, batch, job, target) for job in batch}
        for job in batch:
            outcome = _outcome(node, job, target, copies[job.id])
            if outcome is not None:
                yield outcome


def _replicate_unless_stopped(node: Node, batch: Batch, job: Job, target: Volume) -> bool:
    if batch.should_stop:
        return False
    location = node.index.location(job.payload["volume"], job.payload["path"])
    if location is not None:  # else it was deleted meanwhile
        archive.copy_object(node, location, target)
    return True


def _outcome(node: Node, job: Job, target: Volume, copy: Future[bool]) -> Outcome | None:
    try:
        return done(job) if copy.result() else None
    except StoreFailure as error:
        # That of one object is its own affair; that of the volume is that of all.
        require_present(node, target)
        if isinstance(error, DamagedObject) and is_lost(node, job.payload):
            return failed(job, f"{job.payload['path']}: {LOST}", final=True)
        return failed(job, str(error))


def is_lost(node: Node, payload: dict) -> bool:
    """Tell whether the object of a copy has no good copy at all."""
    location = node.index.location(payload["volume"], payload["path"])
    return location is not None and not good_copies(node, location)


def good_copies(node: Node, location: StoredLocation) -> list[StoredLocation]:
    """Return the good copies of an object, on whichever volume."""
    return [copy for copy in node.index.copies_of(location) if copy.state == GOOD]


def copy_now(node: Node, locations: Iterable[StoredLocation], target: Volume) -> Iterator[str | None]:
    """Make copies in this process, several at a time.

    Parameters
    ----------
    node : Node
        Where the objects lie.
    locations : iterable of StoredLocation
        Any copy of each object.
    target : Volume
        Where the copies go.

    Yields
    ------
    str or None
        For each object, why it could not be copied; None if it was.

    Raises
    ------
    OutOfResources
        The volume is full.
    """

    def copy(location: StoredLocation) -> str | None:
        try:
            archive.copy_object(node, location, target)
        except StoreFailure as error:
            return f"{location.path}: {error}"
        return None

    left = iter(locations)
    with ThreadPoolExecutor(THREADS) as threads:
        while page := list(islice(left, _PAGE)):
            yield from threads.map(copy, page)
