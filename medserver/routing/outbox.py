"""What the outbox consists of: the kinds of jobs that wait for another AE, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from medserver.config import Route
from medserver.index import HIGH, LOW, MEDIUM, Job, NewJob

DELIVER, HOLD, CONFIRM, NOTIFY, FORWARD_STEP = "deliver", "hold", "confirm", "notify", "forward_step"

OUTBOX_KINDS = (DELIVER, NOTIFY, FORWARD_STEP, CONFIRM, HOLD)

PRIORITIES: Mapping[str, int] = {"low": LOW, "medium": MEDIUM, "high": HIGH}


def kind_of(rule: Route) -> str:
    """Return the job that does what a rule wants done with an instance."""
    return NOTIFY if rule.send == "availability" else DELIVER


def released(kind: str, payload: Mapping[str, Any], destination: str, rule: Route | None, now: datetime) -> NewJob:
    """Return what sends something: at once, or when the hours of the rule begin; if that is gone, at once."""
    priority, due_at = (PRIORITIES[rule.priority], rule.hours.next_open(now)) if rule else (MEDIUM, now)
    return NewJob(kind, payload, destination=destination, priority=priority, due_at=due_at)


def follow_up(job: Job, kind: str, payload: Mapping[str, Any], due_at: datetime | None = None) -> NewJob:
    """Return what comes after a job, for the same destination with the same priority."""
    return NewJob(kind, payload, destination=job.destination, priority=job.priority, due_at=due_at)
