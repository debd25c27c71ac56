"""What the tests of rules do: deliveries end, time goes by, workers work."""

from __future__ import annotations

from datetime import timedelta

from medserver.archive.follow_ups import ROUTE
from medserver.archive.payloads import ReceiptPayload
from medserver.index import Lane, NewJob, Verdict
from medserver.node import Node
from medserver.retention.age import LOOK_EVERY_S, go_on, moment
from medserver.retention.orders import order as order_study
from medserver.retention.walk import RETENTION, Found, begun, show, walk
from medserver.routing.deliveries import DELIVER, Delivery, delivered
from medserver.work.kinds import PERIODIC
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.peers.files import Sample

DAY_S = 86_400


def deliver(node: Node, destination: str = "ARCHIVE", *, limit: int = 100, is_committed: bool = False) -> int:
    """Let a destination have taken what waits for it; return how much that is."""
    lease = node.clock() + timedelta(minutes=1)
    jobs = node.index.jobs.claim(Lane(DELIVER, destination), owner=f"{lease}", lease_until=lease, limit=limit)
    verdicts = []
    for job in jobs:
        delivery = Delivery.of(job)
        stored = node.index.instances([delivery.sop_instance_uid])[delivery.sop_instance_uid]
        taken = delivered(delivery, destination, stored.digest, is_committed=is_committed)
        verdicts.append(Verdict(job, "done", delivered=taken))
    node.index.jobs.settle(verdicts)
    return len(jobs)


def deliver_all(node: Node, *, is_committed: bool = False) -> None:
    for destination in ("ARCHIVE", "CLOUD"):
        deliver(node, destination, is_committed=is_committed)


def pass_time(node: Node, clock: Clock, days: float) -> None:
    """Let time go by, and the workers look now and then."""
    end = clock.after(days * DAY_S)
    while clock.now < end:
        clock.advance(min(4 * 3600, (end - clock.now).total_seconds()))
        work(node, only_clock=True)


def work(node: Node, *, only_clock: bool = False, rules: bool = True) -> None:
    """Do what is due; with the periodic look of the rules."""
    if only_clock:
        go_on(node)
        return
    assert isinstance(node.clock, Clock)
    node.clock.advance(LOOK_EVERY_S + 1)
    worker = Runner(node, periodic=[each for each in PERIODIC if rules and each.kind == RETENTION])
    while worker.run_due():
        pass


def found(node: Node, name: str = "r") -> Found:
    """Return what a rule would delete now."""
    rule = node.config.current.retention(name)
    assert rule is not None
    return show(node, rule)[0]


def order(node: Node, name: str = "r") -> int:
    """Have a rule delete now; return how many studies it has ordered to be deleted. No worker does it yet."""
    rule = node.config.current.retention(name)
    assert rule is not None
    found, _ = begun(node, rule)
    walk(node, rule, moment(node), found, orders=lambda one: order_study(node, rule, one))
    return found.studies


def route_undone(node: Node, sample: Sample) -> None:
    """Leave an instance to the job that decides to whom it is sent."""
    stored = node.index.instances([sample.sop_instance_uid])[sample.sop_instance_uid]
    node.index.add_jobs([NewJob(ROUTE, ReceiptPayload(stored.sop_instance_uid, stored.digest))])


def stored(node: Node) -> int:
    """Return how many instances there are."""
    return node.index.counts().instances
