"""What the outbox consists of: the kinds of jobs that wait for another AE, and how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from medserver.config import Config, Route
from medserver.index import HIGH, LOW, MEDIUM, Job, NewJob

DELIVER, HOLD, CONFIRM, NOTIFY, FORWARD_STEP = "deliver", "hold", "confirm", "notify", "forward_step"

OUTBOX_KINDS = (DELIVER, NOTIFY, FORWARD_STEP, CONFIRM, HOLD)

PRIORITIES: Mapping[str, int] = {"low": LOW, "medium": MEDIUM, "high": HIGH}


ROUTED_KINDS = (DELIVER, NOTIFY, FORWARD_STEP, HOLD)
"""Those that do something by a rule. A rule that is gone, or does not send that to their destination any more, would
have changed, delayed or refused what they send: they wait for a decision then."""


def is_undecided(config: Config, rule: str | None, destination: str, kind: str) -> bool:
    """Tell whether what waits for a destination has lost its rule.

    Parameters
    ----------
    config : Config
        The rules as of now.
    rule : str or None
        The rule by which it waits; None: somebody has decided that it needs none.
    destination : str
        The AE.
    kind : str
        What is done in the end, see `sending_kind`: who is told of images now gets none that waited.
    """
    if rule is None:
        return False
    found = config.route(rule)
    return found is None or destination not in found.to or kind not in (kind_of(found), step_kind_of(found))


def sending_kind(kind: str, held: str | None) -> str:
    """Return the kind of job that sends, for one of `ROUTED_KINDS` and the ``kind`` in its payload, if there is one."""
    return (held or DELIVER) if kind == HOLD else kind


def kind_of(rule: Route) -> str:
    """Return the job that does what a rule wants done with an instance."""
    return NOTIFY if rule.send == "availability" else DELIVER


def step_kind_of(rule: Route) -> str | None:
    """Return the job that does what a rule wants done with a performed step, None if it wants none."""
    return FORWARD_STEP if rule.send in ("conditions", "both") else None


def released(kind: str, payload: Mapping[str, Any], destination: str, rule: Route | None, now: datetime) -> NewJob:
    """Return what sends something: at once, or when the hours of the rule begin; without a rule at once."""
    priority, due_at = (PRIORITIES[rule.priority], rule.hours.next_open(now)) if rule else (MEDIUM, now)
    return NewJob(kind, payload, destination=destination, priority=priority, due_at=due_at)


def follow_up(job: Job, kind: str, payload: Mapping[str, Any], due_at: datetime | None = None) -> NewJob:
    """Return what comes after a job, for the same destination with the same priority."""
    return NewJob(kind, payload, destination=job.destination, priority=job.priority, due_at=due_at)
