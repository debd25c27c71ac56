"""What a rule wants processed becomes a work item: the job ``request_processing``.

There is a job for each instance that a rule wants. What has to be processed together, a series or a study, is one work
item (one for each series, where a type takes one at a time), whose UID is made of the rule and of the objects: whoever
comes second finds it. What is received later makes another one, of all that there is then and that the rule wants.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medserver.archive import read_header
from medserver.config import SENDER, Config, Processing
from medserver.config.keyed import condition_of
from medserver.dicom.conditions import SingleValue
from medserver.dicom.uids import uid_of
from medserver.errors import CannotProcess, DamagedObject, DuplicateInstance, StoreFailure
from medserver.index import Job
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.index.rule_versions import RuleVersion
from medserver.log import Event
from medserver.node import Node
from medserver.processing.inputs import Input, patient_of, stored_inputs, together
from medserver.processing.outputs import references_to
from medserver.processing.requests import ProcessingRequest, attribute_list_of, checked_type, request_for
from medserver.processing.types import ProcessingType
from medserver.routing.deliveries import Delivery, not_now
from medserver.routing.rules import Verdict, processing_verdict, wanted_by
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
    config, now = node.config.current, node.clock()
    rules: dict[str, Processing | None] = {}
    wanted: dict[_Subject, list[Job]] = {}
    for job in batch:
        delivery = Delivery.of(job)
        outcome = not_now(config, job, delivery, now)
        if outcome is not None:
            yield outcome
            continue
        if delivery.rule not in rules:
            version = node.index.rule_versions.get(delivery.rule)
            rules[delivery.rule] = _rule_of(version) if version else None
        rule = rules[delivery.rule]
        if rule is None:
            yield failed(job, "the version of its rule is not known", final=True)
            continue
        wanted.setdefault(_subject(rule, delivery), []).append(job)
    for subject, jobs in wanted.items():
        rule = rules[subject.rule]
        if batch.should_stop or rule is None:
            return
        yield from _requested(node, config, subject, rule, jobs)


def _rule_of(version: RuleVersion) -> Processing:
    """Return a rule as it was when it decided something, but for when."""
    content: Mapping[str, Any] = version.content
    conditions = ((keyword, text, condition_of(keyword, text)) for keyword, text in content["conditions"])
    return Processing(
        version.name,
        tuple(content["types"]),
        tuple((name, text) for name, text in content["parameters"]),
        tuple(content["to"]),
        tuple((keyword, text, condition) for keyword, text, condition in conditions if condition is not None),
        tuple(content["delivered_to"]),
        content["priority"],
        content["of"],
        inform=content["inform"],
    )


def _subject(rule: Processing, delivery: Delivery) -> _Subject:
    series = delivery.series_instance_uid if rule.when in ("series", "instance") else ""
    instance = delivery.sop_instance_uid if rule.when == "instance" else ""
    return _Subject(delivery.rule, delivery.study_instance_uid, series, instance, delivery.sender)


def _requested(
    node: Node, config: Config, subject: _Subject, rule: Processing, jobs: Sequence[Job]
) -> Iterator[Outcome]:
    """Create the work items of a subject, unless they are there, for all of these jobs."""
    try:
        rule, is_corrected = _applicable(config, rule)
        kind = checked_type(request_for(rule.types, dict(rule.parameters), config=config), config)
        decided = () if is_corrected else jobs
        inputs = list(_wanted(node, config, rule, stored_inputs(node, _conditions(subject)), decided))
        for group in together(kind, inputs):
            _create(node, subject, rule, kind, group)
    except CannotProcess as error:  # a mistake of the rule, which is told where the configuration is checked
        yield from (failed(job, str(error), final=True) for job in jobs)
    except StoreFailure as error:
        yield from (failed(job, str(error)) for job in jobs)
    else:
        yield from (done(job) for job in jobs)


def _applicable(config: Config, rule: Processing) -> tuple[Processing, bool]:
    """Return a rule; or, if it cannot be applied, what is called by its name now, and True: it was corrected."""
    try:
        checked_type(request_for(rule.types, dict(rule.parameters), config=config), config)
    except CannotProcess:
        corrected = next((each for each in config.processings if each.name == rule.name), rule)
        return corrected, corrected is not rule
    return rule, False


def _conditions(subject: _Subject) -> list[SingleValue]:
    uids = {
        "StudyInstanceUID": subject.study_instance_uid,
        "SeriesInstanceUID": subject.series_instance_uid,
        "SOPInstanceUID": subject.sop_instance_uid,
    }
    return [SingleValue(keyword, uid) for keyword, uid in uids.items() if uid]


def _wanted(
    node: Node, config: Config, rule: Processing, inputs: Sequence[Input], jobs: Sequence[Job]
) -> Iterator[Input]:
    """Yield of what is stored that which a rule wants: others in the series or study are none of its business.

    Raises
    ------
    StoreFailure
        A header cannot be read.
    """
    deliveries = map(Delivery.of, jobs)
    decided = {each.sop_instance_uid: each.decided_of for each in deliveries}
    for one in inputs:
        copy = one.copy
        if decided.get(copy.sop_instance_uid) == copy.digest or _wants(node, config, rule, one):
            yield one


def _wants(node: Node, config: Config, rule: Processing, one: Input) -> bool:
    """Tell whether a rule wants an object that was decided before, or has been replaced since."""
    try:
        header = read_header(node, one.copy)
    except DamagedObject:  # that is told when it is processed
        return True
    sender = one.copy.calling_ae_title or ""
    destinations = {name for name, _ in wanted_by(config, header, sender)} if rule.delivered_to else ()
    return processing_verdict(config, rule, header, sender, destinations) is Verdict.PROCESSES


def _create(node: Node, subject: _Subject, rule: Processing, kind: ProcessingType, inputs: Sequence[Input]) -> None:
    request = _request(node, subject, rule, inputs)
    patient = patient_of(node, inputs[0].copy)
    objects = sorted(f"{one.copy.sop_instance_uid} {one.copy.digest}" for one in inputs)
    # Each of several senders gets the results back.
    uid = uid_of("request", subject.rule, *([subject.sender] if SENDER in rule.to else []), *objects)
    attributes = attribute_list_of(
        request, node.clock(), priority=rule.priority.upper(), patient=patient, config=node.config.current
    )
    try:
        create(node, uid, attributes, subject.sender or node.config.current.node.ae_title)
        logger.info(Event("requested", sop_instance_uid=uid, rule=rule.name, type=kind.name, objects=len(inputs)))
    except DuplicateInstance:
        logger.debug("work item %s is there", uid)


def _request(node: Node, subject: _Subject, rule: Processing, inputs: Sequence[Input]) -> ProcessingRequest:
    references = references_to([one.instance for one in inputs], node.config.current.node.ae_title)
    destinations = _destinations(node, subject, rule)
    request = request_for(rule.types, dict(rule.parameters), references, destinations, node.config.current)
    return replace(request, informs=rule.inform)


def _destinations(node: Node, subject: _Subject, rule: Processing) -> Iterator[str]:
    """Yield the AE titles to which the results go."""
    for name in rule.to:
        if name == SENDER:
            if subject.sender and node.config.current.destination(subject.sender) is not None:
                yield subject.sender
            else:
                logger.warning(Event("not sent back", sender=subject.sender, reason="no entry with an address"))
            continue
        remote = node.config.current.remote_by_name(name)
        if remote is not None:
            yield remote.ae_title
