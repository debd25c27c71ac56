"""*When* something is sent is what its rule says now: what waits by what it said before is looked at again."""

from __future__ import annotations

from datetime import datetime, timedelta

from medserver.config import Rule
from medserver.delivery.holding import LOOK_AGAIN_LONGEST_S
from medserver.index import Lane
from medserver.node import Node
from medserver.routing.deliveries import HOLD, ROUTED_KINDS, Delivery, present_rule

SLACK_S = 5.0
"""What is due so soon is left alone: a worker that ends gives back what it has not done for a moment [s]."""


def reschedule(node: Node) -> None:
    """Let be due in its turn what waits longer than its rule says now: its hours or its moment were others before."""
    for state in node.index.jobs.lanes():
        if state.lane.kind in ROUTED_KINDS:
            _reschedule_lane(node, state.lane)


def _reschedule_lane(node: Node, lane: Lane) -> None:
    config, now = node.config.current, node.clock()
    latest = [_latest(rule, lane.kind, now) for rule in config.rules if lane.destination in rule.targets]
    soonest = min((moment for moment in latest if moment is not None), default=None)
    if soonest is None:
        return
    for page in node.index.jobs.due_later(lane, soonest):
        late = []
        for job in page:
            delivery = Delivery.of(job)
            rule = present_rule(config, delivery, lane.destination) if delivery.route is not None else None
            moment = _latest(rule, lane.kind, now) if rule is not None else None
            if moment is not None and job.due_at > moment:
                late.append(job.id)
        if late:
            node.index.jobs.retry(late)


def _latest(rule: Rule, kind: str, now: datetime) -> datetime | None:
    """Return when something that has not failed is due by a rule at the latest; None if that is at its hours."""
    wait_s = 0.0
    if kind != HOLD and not rule.hours.is_open(now):
        return None
    if kind == HOLD and rule.when != "instance":
        wait_s = min(rule.quiet_s, LOOK_AGAIN_LONGEST_S) if rule.complete_by else rule.quiet_s
    return now + timedelta(seconds=wait_s + SLACK_S)
