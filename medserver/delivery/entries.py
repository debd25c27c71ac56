"""What of a batch is to be done now: the instance is still there, and the hours of its rule have not ended."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from medserver.config import Config, Route
from medserver.index import Job, NewJob, StoredInstance
from medserver.jobs.batch import Batch
from medserver.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.routing.outbox import follow_up


class Entry(NamedTuple):
    """An instance that something is to be done with, and by which rule; None if that is gone."""

    job: Job
    instance: StoredInstance
    rule: Route | None


def select(node: Node, batch: Batch) -> tuple[list[Entry], list[Outcome]]:
    """Return what is to be done, and what came of the rest: it was deleted, or has to wait for other hours."""
    config, now = node.config.current, node.clock()
    found = node.index.instances([job.payload["sop_instance_uid"] for job in batch])
    entries: list[Entry] = []
    others: list[Outcome] = []
    for job in batch:
        instance = found.get(job.payload["sop_instance_uid"])
        if instance is None:
            others.append(done(job))
        elif (later := postponed(config, job, now)) is not None:
            others.append(done(job, later))
        else:
            entries.append(Entry(job, instance, config.route(job.payload["route"])))
    return entries, others


def postponed(config: Config, job: Job, now: datetime) -> NewJob | None:
    """Return what does the same at other hours, if those of its rule ended while it waited; else None."""
    rule = config.route(job.payload["route"])
    if rule is None or rule.hours.is_open(now):
        return None
    due_at = rule.hours.next_open(now)
    return follow_up(job, job.kind, job.payload, due_at)
