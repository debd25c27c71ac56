"""A bad copy becomes a good one: the job ``repair``, added where the damage is found."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from medserver import archive
from medserver.errors import DamagedObject, StoreFailure
from medserver.archive.payloads import FilePayload
from medserver.index import GOOD, Job, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.safekeeping.presence import require_present, wait_until_writable
from medserver.safekeeping.replication import LOST, good_copies
from medserver.store import Volume

logger = logging.getLogger(__name__)


def repair(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Repair the copies that a batch of jobs is about; all on the volume `batch.destination`.

    Raises
    ------
    OutOfResources, StoreFailure
        The volume takes nothing.
    """
    volume = node.volumes.get(batch.destination)
    if volume is None:
        yield from map(done, batch)
        return
    if not wait_until_writable(volume, lambda: batch.should_stop):
        return
    for job in batch:
        if batch.should_stop:
            return
        yield _repair_for(node, volume, job)


def _repair_for(node: Node, volume: Volume, job: Job) -> Outcome:
    location = node.index.location(volume.name, FilePayload.of(job).path)
    if location is None or location.state == GOOD:
        return done(job)
    try:
        repair_copy(node, location)
    except StoreFailure as error:
        require_present(volume)
        is_lost = isinstance(error, DamagedObject) and not good_copies(node, location)
        if is_lost and archive.take_back_original(node, location):
            return done(job)
        return failed(job, f"{location.path}: {LOST if is_lost else error}", final=is_lost)
    return done(job)


def repair_copy(node: Node, location: StoredCopy) -> None:
    """Make a copy good that is noted as bad: it may be so already, else a good one takes its place.

    Parameters
    ----------
    node : Node
        Where it lies.
    location : StoredCopy
        Which copy.

    Raises
    ------
    DamagedObject
        There is no good copy, or the volume does not give back what it was given.
    OutOfResources, StoreFailure
        A volume does not work.
    """
    volume = node.volume(location.volume)
    require_present(volume)
    try:
        # It may have been a cable, or somebody has brought it back by hand: then it may be the last one there is.
        volume.verify(archive.as_stored(location))
    except StoreFailure:
        archive.copy_object(node, location, volume)
        logger.warning(Event("repaired", volume=location.volume, path=Whole(location.path)))
    else:
        node.index.mark_location(location.volume, location.path, GOOD, verified_at=node.clock())
        logger.warning(Event("found good", volume=location.volume, path=location.path))
