"""What a delivery waits for: one function says it, for the summary, the list and the filters of the outbox.

A delivery waits for one thing at a time. Where several hold it up, the one that lasts longest is told: a decision, then
a pause by an administrator, the completeness of its study, hours, its destination, the next try.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from medserver.config import Config
from medserver.delivery.answers import is_out_of_resources
from medserver.index import LaneState
from medserver.routing.deliveries import CONFIRM, HOLD, ROUTED_KINDS, Delivery, is_undecided, present_rule


class WaitsFor(Enum):
    """What a delivery waits for; the value is what the command line calls it."""

    NOTHING = "nothing"
    """It is being sent."""
    TURN = "turn"
    """Others are before it, or no worker is free."""
    NEXT_TRY = "next-try"
    """It has failed, and is tried again."""
    CONNECTION = "connection"
    """Its destination cannot be reached."""
    RESOURCES = "resources"
    """Its destination has no resources: it is full."""
    HOURS = "hours"
    """Those of its rule begin later."""
    COMPLETENESS = "completeness"
    """Its study or series may not be complete, in which it is sent, or processed, together."""
    COMMITMENT = "commitment"
    """Its destination has taken it, and not yet committed to it."""
    PAUSE = "pause"
    """An administrator has paused its kind or its destination."""
    DECISION = "decision"
    """An administrator is wanted: it was refused for good, was given up, or has lost its rule."""


class Work(Protocol):
    """What has to be known of a delivery: a job has it, and so have jobs that are alike."""

    @property
    def kind(self) -> str:
        """As in `Job`."""

    @property
    def destination(self) -> str:
        """As in `Job`."""

    @property
    def state(self) -> str:
        """As in `Job`."""

    @property
    def due_at(self) -> datetime:
        """As in `Job`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a delivery waits for, and when something is done about it.

    Parameters
    ----------
    what : WaitsFor
        What it waits for.
    next_try_at : datetime or None
        When it is tried or looked at next, not before now; None if it is done now, or nobody knows when.
    """

    what: WaitsFor
    next_try_at: datetime | None = None


def wait_of(work: Work, delivery: Delivery, lane: LaneState | None, config: Config, now: datetime) -> Wait:
    """Return what a delivery waits for.

    Parameters
    ----------
    work : Work
        A job of `OUTBOX_KINDS`, or some that are alike.
    delivery : Delivery
        Of its payload at least `action`, `route` and `rule`.
    lane : LaneState or None
        That of the job; None if it was never paused.
    config : Config
        The rules as of now.
    now : datetime
        The present moment.
    """
    if work.state in ("dead", "undecided"):
        return Wait(WaitsFor.DECISION)
    if work.state == "running":
        return Wait({HOLD: WaitsFor.COMPLETENESS, CONFIRM: WaitsFor.COMMITMENT}.get(work.kind, WaitsFor.NOTHING))
    if work.kind in ROUTED_KINDS and is_undecided(config, delivery, work.destination):
        return Wait(WaitsFor.DECISION)  # it is found out when it is tried
    if lane is not None and lane.paused:
        return Wait(WaitsFor.PAUSE)
    due_at = max(work.due_at, now)
    if work.kind == HOLD:
        return Wait(WaitsFor.COMPLETENESS, due_at)
    paused_until = lane.paused_until if lane is not None and lane.paused_until else now
    tried_at = max(due_at, paused_until)
    rule = present_rule(config, delivery, work.destination) if delivery.route is not None else None
    if work.kind != CONFIRM and rule is not None and not rule.hours.is_open(now):
        return Wait(WaitsFor.HOURS, rule.hours.next_open(tried_at))
    if paused_until > now:
        is_full = lane is not None and is_out_of_resources(lane.pause_reason)
        return Wait(WaitsFor.RESOURCES if is_full else WaitsFor.CONNECTION, tried_at)
    if work.kind == CONFIRM:
        return Wait(WaitsFor.COMMITMENT, tried_at)
    return Wait(WaitsFor.NEXT_TRY if work.due_at > now else WaitsFor.TURN, tried_at)
