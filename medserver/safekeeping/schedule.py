"""What is done periodically for every volume: the jobs ``survey`` and ``seek``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from medserver.archive.notes import complete_notes
from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.safekeeping.drained import is_draining
from medserver.safekeeping.draining import begin_draining
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
        # On the primary too: what is on a replica alone has lost its row and its file there.
        node.index.jobs.add_periodic(f"seek:{name}", SEEK_INTERVAL_S, NewJob(SEEK, destination=name))
        # It got a copy since it was found empty: for what is received, or because one in its place has gone bad.
        if is_draining(node, name) and node.index.upkeep.has_good_objects(name):
            begin_draining(node, name)
    queue_repairs(node)


def seek(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Queue what the volume `batch.destination` lacks, also of notes; soon again if that is much."""
    for job in batch:
        name = batch.destination
        if name not in node.volumes or is_draining(node, name):
            yield done(job)
            continue
        if node.volumes[name].condition().is_writable:
            complete_notes(node, node.volumes[name])
        is_finished = queue_missing(node, name)
        later = node.clock() + timedelta(seconds=SEEK_AGAIN_S)
        yield done(job) if is_finished else done(job, NewJob(SEEK, destination=name, due_at=later))
