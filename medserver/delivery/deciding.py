"""What waits for a decision is decided when its rule is back, or says something else of when: the job ``decide``."""

from __future__ import annotations

from collections.abc import Iterator

from medserver.delivery.timing import reschedule
from medserver.index import Job, JobFilter
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.pages import in_pages
from medserver.node import Node
from medserver.routing.deliveries import ALIKE_KEYS, ROUTED_KINDS, Delivery, delivery_alike, is_undecided

DECIDE = "decide"
INTERVAL_S = 30.0
"""How often it is looked whether a rule is back, or says something else [s]."""


def decide(node: Node, batch: Batch) -> None:
    """Have everything sent, in its turn, that was undecided and has a rule again, or waits longer than that says."""
    del batch
    reschedule(node)
    for page in in_pages(job.id for job in _decided_jobs(node)):
        node.index.jobs.retry(page)


def _decided_jobs(node: Node) -> Iterator[Job]:
    """Yield what is undecided and has a rule again."""
    config = node.config.current
    for destination, delivery, _ in lost_rules(node):
        if not is_undecided(config, delivery, destination):
            yield from (job for job in undecided_jobs(node, destination) if _is_alike(Delivery.of(job), delivery))


def lost_rules(node: Node) -> Iterator[tuple[str, Delivery, int]]:
    """Yield each destination for which something is undecided, what is known of a rule, and how many it were."""
    for each in node.index.jobs.counts_by(ALIKE_KEYS, ROUTED_KINDS, "undecided"):
        yield each.destination, delivery_alike(each.kind, each.values), each.count


def undecided_jobs(node: Node, destination: str | None = None) -> Iterator[Job]:
    """Yield what is undecided, for one destination or for all."""
    for kind in ROUTED_KINDS:
        yield from node.index.jobs.list(JobFilter(kind, destination, "undecided"))


def _is_alike(one: Delivery, other: Delivery) -> bool:
    return (one.action, one.route, one.rule) == (other.action, other.route, other.rule)
