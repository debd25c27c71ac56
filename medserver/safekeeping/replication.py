"""Every object gets a copy on every replica: the job ``replicate``, one for each object and volume."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from medserver import archive
from medserver.errors import DamagedObject, MedserverError, StoreFailure
from medserver.archive.payloads import FilePayload
from medserver.index import GOOD, Job, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.safekeeping.drained import is_draining
from medserver.safekeeping.presence import let_others_go_first, require_present, wait_until_writable
from medserver.store import Volume

THREADS = 4
"""How many objects of a batch are read and written at a time."""

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
    if not wait_until_writable(target, lambda: batch.should_stop):
        return
    let_others_go_first(node, lambda: batch.should_stop)
    files = [(job, FilePayload.of(job)) for job in batch]
    found = [(job, node.index.location(file.volume, file.path)) for job, file in files]
    wanted = [(job, location) for job, location in found if location is not None]
    yield from (done(job) for job, location in found if location is None)  # it was deleted meanwhile
    with ThreadPoolExecutor(THREADS) as threads:
        problems = list(archive.copy_objects(node, [location for _, location in wanted], target, threads))
    for (job, location), problem in zip(wanted, problems, strict=True):
        yield done(job) if problem is None else _failure(node, job, location, target, problem)


def _failure(
    node: Node, job: Job, location: StoredCopy, target: Volume, problem: MedserverError
) -> Outcome:
    """Return that a copy was not made; raise if the reason is the volume and not the object."""
    if not isinstance(problem, StoreFailure):
        raise problem
    require_present(target)
    if isinstance(problem, DamagedObject) and not good_copies(node, location):
        return failed(job, f"{location.path}: {LOST}", final=True)
    return failed(job, str(problem))


def good_copies(node: Node, location: StoredCopy) -> list[StoredCopy]:
    """Return the good copies of an object, on whichever volume."""
    return [copy for copy in node.index.copies_of(location) if copy.state == GOOD]


def copy_now(node: Node, locations: Iterable[StoredCopy], target: Volume) -> Iterator[str | None]:
    """Make copies in this process, several at a time.

    Parameters
    ----------
    node : Node
        Where the objects lie.
    locations : iterable of StoredCopy
        Any copy of each object.
    target : Volume
        Where the copies go.

    Yields
    ------
    str or None
        For each object, why it could not be copied; None if it was.

    """
    left = iter(locations)
    with ThreadPoolExecutor(THREADS) as threads:
        while page := list(islice(left, _PAGE)):
            for location, problem in zip(page, archive.copy_objects(node, page, target, threads), strict=True):
                yield None if problem is None else f"{location.path}: {problem}"
