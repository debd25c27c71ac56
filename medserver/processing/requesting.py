"""What a rule wants processed becomes a work item: the job ``request_processing``.

There is a job for each instance that a rule wants. What has to be processed together, a series or a study, is one work
item, whose UID is made of the rule and of the objects: whoever comes second finds it. What is received later makes
another one, of all that there is then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medserver.archive import read_header
from medserver.config import SENDER
from medserver.dicom.conditions import SingleValue
from medserver.dicom.dataset_values import value_of
from medserver.dicom.json_model import JSON
from medserver.dicom.uids import uid_of
from medserver.errors import CannotProcess, DuplicateInstance, StoreFailure
from medserver.index import Job, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.log import Event
from medserver.node import Node
from medserver.processing.performing import PATIENT
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of, checked_type
from medserver.routing.deliveries import Delivery
from medserver.workitems.content import data_set
from medserver.workitems.creating import create

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is processed together by a version of a rule, and who has sent it."""

    rule: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sender: str


def request_processing(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Create the work items that rules want."""
    rules: dict[str, Mapping[str, Any] | None] = {}
    wanted: dict[_Subject, list[Job]] = {}
    for job in batch:
        delivery = Delivery.of(job)
        if delivery.rule not in rules:
            version = node.index.rule_versions.get(delivery.rule)
            rules[delivery.rule] = version.content if version else None
        content = rules[delivery.rule]
        if content is None:
            yield failed(job, "the version of its rule is not known", final=True)
            continue
        wanted.setdefault(_subject(content, delivery), []).append(job)
    for subject, jobs in wanted.items():
        if batch.should_stop:
            return
        yield from _requested(node, subject, rules[subject.rule] or {}, jobs)


def _subject(rule: Mapping[str, Any], delivery: Delivery) -> _Subject:
    series = delivery.series_instance_uid if rule["of"] in ("series", "instance") else ""
    instance = delivery.sop_instance_uid if rule["of"] == "instance" else ""
    return _Subject(delivery.rule, delivery.study_instance_uid, series, instance, delivery.sender)


def _requested(node: Node, subject: _Subject, rule: Mapping[str, Any], jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Create one work item, unless it is there, for all of these jobs."""
    copies = _objects(node, subject)
    if not copies:  # deleted meanwhile
        yield from (done(job) for job in jobs)
        return
    request = _request(node, subject, rule, copies)
    try:
        checked_type(request)
        patient = _patient(node, copies[0])
    except CannotProcess as error:  # a mistake of the rule, which is told where the configuration is checked
        yield from (failed(job, str(error), final=True) for job in jobs)
        return
    except StoreFailure as error:
        yield from (failed(job, str(error)) for job in jobs)
        return
    objects = sorted(f"{one.sop_instance_uid} {one.digest}" for one in copies)
    uid = uid_of("request", subject.rule, *objects)
    attributes = attribute_list_of(request, node.clock(), priority=str(rule["priority"]).upper(), patient=patient)
    try:
        create(node, uid, attributes, subject.sender or node.config.current.node.ae_title)
        logger.info(Event("requested", sop_instance_uid=uid, type=request.type_name, objects=len(copies)))
    except DuplicateInstance:
        logger.debug("work item %s is there", uid)
    yield from (done(job) for job in jobs)


def _objects(node: Node, subject: _Subject) -> list[StoredCopy]:
    """Return what is stored of a subject now."""
    if subject.sop_instance_uid:
        return list(node.index.instances([subject.sop_instance_uid]).values())
    conditions = [SingleValue("StudyInstanceUID", subject.study_instance_uid)]
    if subject.series_instance_uid:
        conditions.append(SingleValue("SeriesInstanceUID", subject.series_instance_uid))
    return list(node.index.select(conditions))


def _request(
    node: Node, subject: _Subject, rule: Mapping[str, Any], copies: Sequence[StoredCopy]
) -> ProcessingRequest:
    types = rule["types"]
    uids = tuple((one.sop_class_uid, one.sop_instance_uid) for one in copies)
    reference = Reference(
        subject.study_instance_uid, subject.series_instance_uid, uids, node.config.current.node.ae_title
    )
    return ProcessingRequest(
        types[0],
        {name: given for name, given in rule["parameters"]},
        (reference,),
        tuple(dict.fromkeys(_destinations(node, subject, rule))),
        tuple(types[1:]),
        informs=bool(rule["inform"]),
    )


def _destinations(node: Node, subject: _Subject, rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield the AE titles to which the results go."""
    for name in rule["to"]:
        if name == SENDER:
            if subject.sender and node.config.current.destination(subject.sender) is not None:
                yield subject.sender
            else:
                logger.warning(Event("not sent back", sender=subject.sender, reason="no entry with an address"))
            continue
        remote = node.config.current.remote_by_name(name)
        if remote is not None:
            yield remote.ae_title


def _patient(node: Node, copy: StoredCopy) -> JSON:
    """Return the attributes of the patient, as DICOM JSON.

    Raises
    ------
    StoreFailure
        The header cannot be read.
    """
    header = read_header(node, copy)
    found = {keyword: value_of(header, keyword) for keyword in PATIENT if keyword != "SpecificCharacterSet"}
    texts = {keyword: given for keyword, given in found.items() if isinstance(given, str) and given}
    return data_set(**{k: _person_name(v) if k == "PatientName" else v for k, v in texts.items()})


def _person_name(text: str) -> dict[str, str]:
    """Return a person name as DICOM JSON has it (PS3.18 F.2.2)."""
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: group for name, group in groups if group}
