"""Files that an earlier version knew without knowing what they are get their rows: the job ``adopt``.

They were duplicates, and the instance of which they were was lost: nothing but their header tells what they are.
The migration to the tables of objects adds the jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from medserver.archive import adoption
from medserver.errors import DamagedObject, StoreFailure
from medserver.index import Job, ObjectKey
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.index.jobs.payloads import Payload
from medserver.node import Node
from medserver.safekeeping.deletion import UNKNOWN_VOLUME_RETRY_S, order_deletion
from medserver.safekeeping.presence import require_present

ADOPT = "adopt"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdoptionPayload(Payload):
    """A file that may not be known.

    Parameters
    ----------
    volume, path : str
        Where it is.
    ordered : tuple of (by, reason)
        Who ordered its deletion, and why; empty if nobody has.
    """

    volume: str
    path: str
    ordered: tuple[str, str] | tuple[()] = ()


def adopt(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Enter the files that a batch of jobs is about."""
    for job in batch:
        if batch.should_stop:
            return
        try:
            yield _adopt(node, job)
        except StoreFailure as error:  # another volume may be there
            yield failed(job, str(error))


def _adopt(node: Node, job: Job) -> Outcome:
    """Enter a file, and order its deletion if that had been ordered; again after an interruption anywhere."""
    payload = AdoptionPayload.of(job)
    name, path = payload.volume, payload.path
    volume = node.volumes.get(name)
    if volume is None:
        return failed(job, f"volume {name} is not configured", delay_s=UNKNOWN_VOLUME_RETRY_S)
    if not node.index.has_location(name, path):
        try:
            record = adoption.record_of_file(volume, path, verify=True)
        except DamagedObject as error:
            require_present(volume)
            logger.error("not adopted: %s", error)
            return done(job)
        added = adoption.adopt(node, record)
        logger.info("adopted %s:%s outcome=%s", name, path, added.outcome)
    location = node.index.location(name, path)
    if location is not None and payload.ordered:
        _delete(node, location.key, path, *payload.ordered)
    return done(job)


def _delete(node: Node, key: ObjectKey, path: str, by: str, reason: str) -> None:
    """Order the deletion of an object, unless it was received again: then it has another path as well, or a receipt."""
    copies = node.index.copies_of(key)
    if all(copy.path == path and copy.receipts == 1 for copy in copies):
        # It was a duplicate, also if it is all that is left: nothing else goes with it.
        order_deletion(node, [replace(copy, is_current=False) for copy in copies[:1]], by=by, reason=reason)
