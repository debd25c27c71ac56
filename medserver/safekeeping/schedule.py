"""What is done periodically for every volume: the jobs ``survey`` and ``seek``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.safekeeping.drained import is_draining
from medserver.safekeeping.seeking import queue_missing, queue_repairs

SURVEY, SEEK, VERIFY = "survey", "seek", "verify"

SURVEY_INTERVAL_S = 60.0
SEEK_INTERVAL_S = 3600.0
SEEK_AGAIN_S = 15.0
VERIFY_INTERVAL_S = 60.0


def survey(node: Node, batch: Batch) -> None:
    """Add what is to be done for each volume of the configuration, and what damage has no job."""
    for name in node.volumes:
        node.index.jobs.add_periodic(f"verify:{name}", VERIFY_INTERVAL_S, NewJob(VERIFY, destination=name))
    for name in node.replica_names:
        node.index.jobs.add_periodic(f"seek:{name}", SEEK_INTERVAL_S, NewJob(SEEK, destination=name))
    queue_repairs(node)


def seek(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Queue what the volume `batch.destination` lacks; soon again if that is much."""
    for job in batch:
        name = batch.destination
        if name not in node.replica_names or is_draining(node, name):
            yield done(job)
            continue
        is_finished = queue_missing(node, name)
        later = node.clock() + timedelta(seconds=SEEK_AGAIN_S)
        yield done(job) if is_finished else done(job, NewJob(SEEK, destination=name, due_at=later))
