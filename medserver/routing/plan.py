"""The jobs of an instance that has come: it is sent, or held until its study or series is complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

from medserver.config import Config, Route
from medserver.index import NewJob
from medserver.routing.outbox import HOLD, NOTIFY, PRIORITIES, kind_of, released
from medserver.routing.rules import wanted_by


@dataclass(frozen=True, slots=True)
class Arrival:
    """An instance that has come.

    Parameters
    ----------
    sop_instance_uid, study_instance_uid, series_instance_uid : str
        Which, as the index has it.
    calling_ae_title : str
        Who sent it; empty if nobody knows.
    at : datetime
        When.
    """

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    calling_ae_title: str
    at: datetime


def jobs_of(config: Config, arrival: Arrival, header: Dataset, now: datetime) -> Iterator[NewJob]:
    """Yield what the rules want done with an instance.

    Parameters
    ----------
    config : Config
        The rules, and the AEs that they name.
    arrival : Arrival
        The instance.
    header : Dataset
        Its attributes, at least those by which the rules decide.
    now : datetime
        The present moment.
    """
    for name, rule in wanted_by(config, header, arrival.calling_ae_title):
        payload = {"sop_instance_uid": arrival.sop_instance_uid, "route": rule.name}
        if kind_of(rule) == NOTIFY or rule.when != "instance":
            payload["series_instance_uid"] = arrival.series_instance_uid
        if rule.when == "instance":
            yield released(kind_of(rule), payload, name, rule, now)
        else:
            payload |= {
                "study_instance_uid": arrival.study_instance_uid,
                "kind": kind_of(rule),
                "from": arrival.calling_ae_title,
                "received_at": arrival.at.isoformat(),
            }
            yield _held(payload, name, rule, now)


def _held(payload: dict[str, Any], destination: str, rule: Route, now: datetime) -> NewJob:
    """Return what holds an instance. If something may say that it was the last one, that is looked for at once."""
    due_at = now if rule.complete_by else now + timedelta(seconds=rule.quiet_s)
    return NewJob(HOLD, payload, destination=destination, priority=PRIORITIES[rule.priority], due_at=due_at)
