"""Which rules want an instance: the job ``route``, one for each that was received.

It puts what is to be sent into the outbox, in the transaction that ends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

from medserver import archive
from medserver.archive.follow_ups import ROUTE
from medserver.archive.header_values import value_of
from medserver.config import CALLING_AE_TITLE, Config, Route
from medserver.dicom import uids
from medserver.dicom.matching import matches
from medserver.errors import StoreFailure
from medserver.index import HIGH, LOW, MEDIUM, Job, NewJob, StoredInstance
from medserver.jobs.batch import Batch
from medserver.jobs.outcome import Outcome, done, failed
from medserver.node import Node

__all__ = [
    "CONFIRM", "DELIVER", "FORWARD_STEP", "HOLD", "NOTIFY", "PRIORITIES", "ROUTE", "Check", "checks", "delivery_job",
    "hold", "route", "wanted_by", "wants",
]  # fmt: skip

DELIVER, HOLD, CONFIRM, NOTIFY, FORWARD_STEP = "deliver", "hold", "confirm", "notify", "forward_step"

PRIORITIES: Mapping[str, int] = {"low": LOW, "medium": MEDIUM, "high": HIGH}

_CONDITIONS = (*uids.PERFORMED_PROCEDURE_PROTOCOLS, uids.MODALITY_PERFORMED_PROCEDURE_STEP)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a rule, and what became of it.

    Parameters
    ----------
    keyword, wanted : str
        As the rule has it.
    is_fulfilled : bool
        Whether the instance fulfils it.
    """

    keyword: str
    wanted: str
    is_fulfilled: bool


def checks(rule: Route, header: Dataset, calling_ae_title: str) -> Iterator[Check]:
    """Yield what each condition of a rule says of an instance.

    Parameters
    ----------
    rule : Route
        The rule.
    header : Dataset
        The attributes of the instance.
    calling_ae_title : str
        Who sent it; empty if nobody knows.
    """
    for keyword, wanted, condition in rule.conditions:
        value = calling_ae_title if keyword == CALLING_AE_TITLE else value_of(header, keyword)
        yield Check(keyword, wanted, matches(condition, value))
    if rule.send == "conditions":
        sop_class_uid = value_of(header, "SOPClassUID")
        yield Check("SOPClassUID", "a performed protocol", sop_class_uid in _CONDITIONS)


def wants(rule: Route, header: Dataset, calling_ae_title: str) -> bool:
    """Tell whether an instance fulfils all conditions of a rule."""
    return all(check.is_fulfilled for check in checks(rule, header, calling_ae_title))


def wanted_by(config: Config, header: Dataset, calling_ae_title: str) -> Iterator[tuple[str, Route]]:
    """Yield each destination of an instance with the first rule that names it; those that are only told apart.

    It does not go back to the AE that it came from: two nodes that send each other what they receive would never end.
    """
    seen: set[tuple[str, str]] = set()
    for rule in config.routes:
        if not wants(rule, header, calling_ae_title):
            continue
        for name in rule.to:
            remote, what = config.remote_by_name(name), (name, _kind(rule))
            if what not in seen and remote is not None and remote.ae_title != calling_ae_title:
                seen.add(what)
                yield name, rule


def _kind(rule: Route) -> str:
    """Return the job that does what a rule wants."""
    return NOTIFY if rule.send == "availability" else DELIVER


def delivery_job(
    instance: StoredInstance, series_instance_uid: str, destination: str, rule: Route, now: datetime
) -> NewJob:
    """Return what sends an instance to a destination or tells it, at once or when the rule says so."""
    kind = _kind(rule)
    payload = {"sop_instance_uid": instance.sop_instance_uid, "route": rule.name}
    if kind == NOTIFY:
        payload["series_instance_uid"] = series_instance_uid
    if rule.when == "study":
        payload |= {"study_instance_uid": instance.study_instance_uid, "kind": kind}
        due_at = now + timedelta(seconds=rule.quiet_s)
        return NewJob(HOLD, payload, destination=destination, priority=PRIORITIES[rule.priority], due_at=due_at)
    return _released(kind, payload, destination, rule, now)


def _released(kind: str, payload: Mapping[str, Any], destination: str, rule: Route | None, now: datetime) -> NewJob:
    """Return what sends an instance: at once, or when the hours of the rule begin."""
    priority, due_at = (PRIORITIES[rule.priority], rule.hours.next_open(now)) if rule else (MEDIUM, now)
    return NewJob(kind, payload, destination=destination, priority=priority, due_at=due_at)


def hold(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Release instances whose study is quiet; the others are held on until it may be."""
    config = node.config.current
    quiet_at: dict[tuple[str, str], datetime] = {}
    now = node.clock()
    for job in batch:
        rule, study = config.route(job.payload["route"]), job.payload["study_instance_uid"]
        if rule is not None and (rule.name, study) not in quiet_at:
            last = node.index.last_received_at(study)
            quiet_at[rule.name, study] = last + timedelta(seconds=rule.quiet_s) if last else now  # it was deleted
        until = quiet_at[rule.name, study] if rule is not None else now  # the rule is gone, but it was wanted then
        if until > now:
            again = NewJob(HOLD, job.payload, destination=job.destination, priority=job.priority, due_at=until)
            yield done(job, again)
        else:
            yield done(job, _released(job.payload["kind"], job.payload, job.destination, rule, now))


def route(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Put what the rules want of a batch of instances into the outbox."""
    config = node.config.current
    found = node.index.instances([job.payload["sop_instance_uid"] for job in batch])
    for job in batch:
        if batch.should_stop:
            return
        instance = found.get(job.payload["sop_instance_uid"])
        if instance is None or not _is_meant(node, job, instance):  # it was deleted, or put aside
            yield done(job)
            continue
        try:
            header = archive.read_header(node, instance)
        except StoreFailure as error:
            yield failed(job, str(error))
            continue
        calling_ae_title = job.payload["from"]
        series_instance_uid = str(value_of(header, "SeriesInstanceUID") or "")
        jobs = [
            delivery_job(instance, series_instance_uid, name, rule, node.clock())
            for name, rule in wanted_by(config, header, calling_ae_title)
        ]
        yield done(job, *jobs)


def _is_meant(node: Node, job: Job, instance: StoredInstance) -> bool:
    """Tell whether what was received is the instance: received as it is, or compressed since."""
    digest = job.payload["digest"]
    if digest == instance.digest:
        return True
    original = node.index.originals.of(instance.sop_instance_uid, instance.digest)
    return original is not None and original.digest == digest
