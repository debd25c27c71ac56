"""The jobs of an instance that has come: it is sent, or held until its study or series is complete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from medserver.config import Config, Rule
from medserver.index import NewJob
from medserver.index.rule_versions import RuleVersions
from medserver.routing.deliveries import HOLD, Delivery, due_by, kind_of, noted, wanted
from medserver.routing.rules import processed_by, wanted_by


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
    digest : str
        The object, the SHA-256 of its data set, hexadecimal.
    """

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    calling_ae_title: str
    at: datetime
    digest: str


def jobs_of(
    config: Config, versions: RuleVersions, arrival: Arrival, header: Dataset, now: datetime
) -> Iterator[NewJob]:
    """Yield what the rules want done with an instance.

    Parameters
    ----------
    config : Config
        The rules, and the AEs that they name.
    versions : RuleVersions
        Where those are noted that want it.
    arrival : Arrival
        The instance.
    header : Dataset
        Its attributes, at least those by which the rules decide.
    now : datetime
        The present moment.

    Raises
    ------
    IndexFailure
        A version cannot be noted.
    """
    sent = list(wanted_by(config, header, arrival.calling_ae_title))
    processed = processed_by(config, header, arrival.calling_ae_title, {name for name, _ in sent})
    for name, rule in (*sent, *((target, rule) for rule in processed for target in rule.targets)):
        delivery = Delivery(
            arrival.sop_instance_uid,
            kind_of(rule),
            rule.name,
            noted(versions, rule),
            arrival.study_instance_uid,
            arrival.series_instance_uid,
            arrival.calling_ae_title,
            arrival.at.isoformat(),
            decided_of=arrival.digest,
        )
        kind, due_at = first_job(rule, now)
        yield wanted(delivery, kind, name, rule, due_at)


def first_job(rule: Rule, now: datetime) -> tuple[str, datetime]:
    """Return what is done first with an instance that a rule wants, the kind of a job, and when it is due."""
    if rule.when == "instance":
        return kind_of(rule), due_by(rule, now)
    # If something may say that it was the last one, that is looked for at once.
    return HOLD, now if rule.complete_by else now + timedelta(seconds=rule.quiet_s)
