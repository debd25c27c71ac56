"""A destination that cannot be reached is left alone, longer each time; what waits for it keeps its order."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from medserver.config import Remote
from medserver.errors import RemoteError
from medserver.index import Job, Lane
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, failed
from medserver.log import Event
from medserver.node import Node

REST_FIRST_S, REST_LONGEST_S = 1.0, 300.0
"""How long a destination is left alone after the first failure, and at most."""

GIVE_UP_AFTER = timedelta(days=14)
"""What could not be sent for so long is dead: it waits for an administrator."""

logger = logging.getLogger(__name__)


def rest(node: Node, lane: Lane, error: RemoteError, jobs: Iterable[Job]) -> Iterator[Outcome]:
    """Leave a destination alone for a while; yield that what has waited for too long is dead, the rest waits on."""
    problem = str(error)
    until = node.index.jobs.rest(lane, problem, lambda failures: _rest_until(node, failures))
    logger.warning(
        Event("not reached", kind=lane.kind, destination=lane.destination, waiting_until=f"{until:%H:%M:%S}",
              reason=problem)
    )  # fmt: skip
    for job in jobs:
        if node.clock() - job.created_at > GIVE_UP_AFTER:
            yield failed(job, problem, final=True)


def destination_of(node: Node, batch: Batch) -> Remote | None:
    """Return the AE that the jobs of a batch are for; None if nothing can be sent to it (see `no_destination`)."""
    remote = node.config.current.remote_by_name(batch.destination)
    return remote if remote is not None and remote.is_destination else None


def no_destination(batch: Batch) -> Iterator[Outcome]:
    """Yield that nothing can be sent: the entry is gone, or has no address with a port."""
    problem = f"no entry [ae {batch.destination}] with an address and a port"
    return (failed(job, problem) for job in batch)


def _rest_until(node: Node, failures: int) -> datetime:
    rest_s = min(REST_FIRST_S * 2 ** min(failures - 1, 32), REST_LONGEST_S)
    return node.clock() + timedelta(seconds=rest_s * random.uniform(0.8, 1.2))
