"""What of a batch is to be done now: the instance is still there, and so is its rule, whose hours have not ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from medserver.config import Config
from medserver.delivery.manners import Manner, Manners
from medserver.delivery.routing import decided_anew, is_of
from medserver.destinations import no_destination
from medserver.index import Job, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, undecided
from medserver.node import Node
from medserver.routing.deliveries import Delivery, is_undecided, lost, not_now


class Entry(NamedTuple):
    """An instance that something is to be done with, how, and since when it is looked at."""

    job: Job
    delivery: Delivery
    instance: StoredCopy
    manner: Manner
    now: datetime


def select(node: Node, batch: Batch) -> tuple[list[Entry], list[Outcome]]:
    """Return what is to be done, and what came of the rest: it was deleted, or has to wait."""
    config, now = node.config.current, node.clock()
    manners = Manners(config, node.index.rule_versions)
    deliveries = {job.id: Delivery.of(job) for job in batch}
    found = node.index.instances([each.sop_instance_uid for each in deliveries.values()])
    entries: list[Entry] = []
    others: list[Outcome] = []
    for job in batch:
        delivery = deliveries[job.id]
        instance, manner = found.get(delivery.sop_instance_uid), manners.of(delivery)
        if instance is None:
            others.append(done(job))
        elif (outcome := not_now(config, job, delivery, now)) is not None:
            others.append(outcome)
        elif delivery.route is not None and delivery.decided_of and not is_of(node, delivery.decided_of, instance):
            others.append(decided_anew(node, job, delivery, instance))
        elif manner is None:
            others.append(undecided(job, f"what the rule '{delivery.route}' said is not known any more"))
        else:
            entries.append(Entry(job, delivery, instance, manner, now))
    return entries, others


def without_destination(config: Config, batch: Batch) -> Iterator[Outcome]:
    """Yield what becomes of something whose destination has no entry: it has lost its rule as well, most likely."""
    with_rule: list[Job] = []
    for job in batch:
        delivery = Delivery.of(job)
        if is_undecided(config, delivery, job.destination):
            yield lost(job, delivery)
        else:
            with_rule.append(job)
    if with_rule:
        yield from no_destination(Batch(with_rule))
