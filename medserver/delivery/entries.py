"""What of a batch is to be done now: the instance is still there, and so is its rule, whose hours have not ended."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from medserver.config import Config, Route
from medserver.index import Job, NewJob, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, held
from medserver.node import Node
from medserver.routing.outbox import follow_up, is_undecided

LOOK_AGAIN_S = 30.0
"""How often it is looked whether a rule that was lost is back."""


class Entry(NamedTuple):
    """An instance that something is to be done with, and by which rule; None if an administrator wants it without."""

    job: Job
    instance: StoredCopy
    rule: Route | None


def select(node: Node, batch: Batch) -> tuple[list[Entry], list[Outcome]]:
    """Return what is to be done, and what came of the rest: it was deleted, or has to wait."""
    config, now = node.config.current, node.clock()
    found = node.index.instances([job.payload["sop_instance_uid"] for job in batch])
    entries: list[Entry] = []
    others: list[Outcome] = []
    for job in batch:
        instance = found.get(job.payload["sop_instance_uid"])
        if instance is None:
            others.append(done(job))
        elif is_undecided(config, job.payload["route"], job.destination, job.kind):
            others.append(undecided(job))
        elif (later := postponed(config, job, now)) is not None:
            others.append(done(job, later))
        else:
            entries.append(Entry(job, instance, rule_of(config, job)))
    return entries, others


def rule_of(config: Config, job: Job) -> Route | None:
    """Return the rule of a job that is not undecided; None if an administrator wants it done without one."""
    name = job.payload["route"]
    return None if name is None else config.route(name)


def undecided(job: Job) -> Outcome:
    """Return that a job waits for a decision: without its rule nobody knows what may be sent, and when."""
    reason = f"no rule '{job.payload['route']}' sends this to it any more: 'medserver outbox' tells what to do"
    return held(job, reason, LOOK_AGAIN_S)


def postponed(config: Config, job: Job, now: datetime) -> NewJob | None:
    """Return what does the same at other hours, if those of its rule ended while it waited; else None."""
    rule = rule_of(config, job)
    if rule is None or rule.hours.is_open(now):
        return None
    due_at = rule.hours.next_open(now)
    return follow_up(job, job.kind, job.payload, due_at)
