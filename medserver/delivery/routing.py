"""Which rules want an instance: the job ``route``, one for each that was received.

It puts what is to be sent into the outbox, in the transaction that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset

from medserver import archive
from medserver.archive.follow_ups import ROUTE, release_job
from medserver.archive.header_values import value_of
from medserver.config import CALLING_AE_TITLE, Config, Route
from medserver.delivery.evidence import Evidence
from medserver.delivery.holding import hold_job
from medserver.delivery.outbox import NOTIFY, kind_of, released
from medserver.dicom import uids
from medserver.dicom.matching import matches
from medserver.errors import StoreFailure
from medserver.index import Job, NewJob, StoredInstance
from medserver.jobs.batch import Batch
from medserver.jobs.outcome import Outcome, done, failed
from medserver.node import Node

__all__ = ["ROUTE", "Check", "checks", "route", "wanted_by", "wants"]

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


def wanted_by(
    config: Config, header: Dataset, calling_ae_title: str, kind_of: Callable[[Route], str | None] = kind_of
) -> Iterator[tuple[str, Route]]:
    """Yield each destination of something with the first rule that names it; those that are only told apart.

    It does not go back to the AE that it came from: two nodes that send each other what they receive would never end.

    Parameters
    ----------
    header : Dataset
        The attributes of an instance, or what the rules see of something else.
    calling_ae_title : str
        Who sent it.
    kind_of : callable
        Returns the kind of job that does what a rule wants done with it, None if it wants nothing done; the default is
        for instances. One AE may want several.
    """
    seen: set[tuple[str, str]] = set()
    for rule in config.routes:
        kind = kind_of(rule)
        if kind is None or not wants(rule, header, calling_ae_title):
            continue
        for name in rule.to:
            remote, what = config.remote_by_name(name), (name, kind)
            if what not in seen and remote is not None and remote.ae_title != calling_ae_title:
                seen.add(what)
                yield name, rule


def delivery_job(
    instance: StoredInstance, series_instance_uid: str, destination: str, rule: Route, now: datetime
) -> NewJob:
    """Return what sends an instance to a destination, or tells it, at once."""
    return released(kind_of(rule), _payload(instance, series_instance_uid, rule), destination, rule, now)


def _payload(instance: StoredInstance, series_instance_uid: str, rule: Route) -> dict[str, str]:
    payload = {"sop_instance_uid": instance.sop_instance_uid, "route": rule.name}
    if kind_of(rule) == NOTIFY or rule.when != "instance":
        payload["series_instance_uid"] = series_instance_uid
    return payload


def route(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Put what the rules want of a batch of instances into the outbox."""
    config, evidence = node.config.current, Evidence(node)
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
        yield done(job, *_jobs(node, config, evidence, job, instance, header))


def _jobs(
    node: Node, config: Config, evidence: Evidence, job: Job, instance: StoredInstance, header: Dataset
) -> Iterator[NewJob]:
    """Yield what becomes of an instance: it is sent, or held until its study or series is complete."""
    calling_ae_title, now, is_last = job.payload["from"], node.clock(), False
    series_instance_uid = str(value_of(header, "SeriesInstanceUID") or "")
    for name, rule in wanted_by(config, header, calling_ae_title):
        if rule.when == "instance":
            yield delivery_job(instance, series_instance_uid, name, rule, now)
        elif evidence.completes(rule, instance.study_instance_uid, calling_ae_title, job.created_at):
            is_last = True
            yield delivery_job(instance, series_instance_uid, name, rule, now)
        else:
            payload = _payload(instance, series_instance_uid, rule) | {
                "study_instance_uid": instance.study_instance_uid,
                "kind": kind_of(rule),
                "from": calling_ae_title,
                "received_at": job.created_at.isoformat(),
            }
            yield hold_job(payload, name, rule, now)
    if is_last:  # the last one that was missing: those before it are held
        yield release_job(instance.study_instance_uid)


def _is_meant(node: Node, job: Job, instance: StoredInstance) -> bool:
    """Tell whether what was received is the instance: received as it is, or compressed since."""
    digest = job.payload["digest"]
    if digest == instance.digest:
        return True
    original = node.index.originals.of(instance.sop_instance_uid, instance.digest)
    return original is not None and original.digest == digest
