"""Everything is moved off a volume, so that it can be taken out: the job ``drain``.

A copy is removed only when another one has been read to its end and is good.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice, takewhile

from medserver import archive
from medserver.archive.follow_ups import surplus_job
from medserver.errors import BadUsage, DamagedObject, StoreFailure
from medserver.index import GOOD, NewJob, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.drained import is_draining, set_draining

DRAIN = "drain"
_PAGE = 200

logger = logging.getLogger(__name__)


def begin_draining(node: Node, volume: str) -> None:
    """Have a volume emptied by a job.

    Raises
    ------
    BadUsage
        It is the primary volume, to which goes what is received.
    """
    _refuse_primary(node, volume)
    set_draining(node, volume, True)
    if not any(one.kind == DRAIN and one.destination == volume for one in node.index.jobs.counts()):
        node.index.add_jobs([NewJob(DRAIN, destination=volume)])


def drain(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Move everything off the volume `batch.destination`.

    Raises
    ------
    OutOfResources, StoreFailure, IndexFailure
        A volume or the index does not work; what has been moved stays moved.
    """
    name = batch.destination
    for job in batch:
        if not is_draining(node, name):  # it was called off
            yield done(job)
            continue
        left = 0
        for page in _pages(node, name):
            if batch.should_stop:
                return
            movable = [copy for copy in page if _is_safe_elsewhere(node, copy)]
            left += len(page) - len(movable)
            node.index.release(movable, [surplus_job(name, [(copy.path, copy.key) for copy in movable])])
        if left:
            yield failed(job, f"objects without another good copy, of which none can be made: {left}")
        else:
            logger.warning(Event("drained", volume=name))
            yield done(job)


def _refuse_primary(node: Node, volume: str) -> None:
    if volume == node.primary_volume.name:
        raise BadUsage(f"{volume} is the primary volume: give another one this role before")


def _pages(node: Node, volume: str) -> Iterator[list[StoredCopy]]:
    copies = takewhile(lambda one: one.volume == volume, node.index.locations((volume, "")))
    while page := list(islice(copies, _PAGE)):
        yield page


def _is_safe_elsewhere(node: Node, location: StoredCopy) -> bool:
    """Tell whether another volume has a good copy, which is read to its end; make one if there is none."""
    for copy in node.index.copies_of(location):
        elsewhere = copy.volume != location.volume and not is_draining(node, copy.volume)
        if copy.state != GOOD or not elsewhere or copy.volume not in node.volumes:
            continue
        try:
            node.volume(copy.volume).verify(archive.as_stored(copy))
        except DamagedObject as error:
            archive.report_damage(node, copy.volume, copy.path, str(error))
        except StoreFailure as error:
            logger.warning("%s:%s cannot be verified: %s", copy.volume, copy.path, error)
        else:
            node.index.upkeep.note_verified([copy], node.clock())
            return True
    on_primary = [copy for copy in node.index.copies_of(location) if copy.volume == node.primary_volume.name]
    if any(copy.state == GOOD for copy in on_primary):  # which could not be read just now
        return False
    try:
        archive.copy_object(node, location, node.primary_volume)
    except StoreFailure as error:
        logger.warning("%s:%s stays: %s", location.volume, location.path, error)
        return False
    return True
