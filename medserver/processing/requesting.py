"""What a rule wants processed becomes a work item: the job ``request_processing``.

There is a job for each instance that a rule wants. What has to be processed together, a series or a study, is one work
item (one for each series, where a type takes one at a time), whose UID is made of the rule and of the objects: whoever
comes second finds it. What is received later makes another one, of all that there is then and that the rule wants.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from medserver.archive import read_header
from medserver.config import SENDER, Config, Processing
from medserver.dicom.uids import uid_of
from medserver.errors import CannotProcess, DamagedObject, DuplicateInstance
from medserver.index import Job
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome
from medserver.index.rule_versions import RuleVersion
from medserver.log import Event
from medserver.node import Node
from medserver.processing.by_rule import Subject, conditions_in, request_by_rule, subject_of
from medserver.processing.inputs import Input, patient_of, stored_inputs, together
from medserver.processing.outputs import references_to
from medserver.processing.requests import ProcessingRequest, attribute_list_of, checked_type, request_for
from medserver.processing.types import ProcessingType
from medserver.routing.deliveries import Delivery
from medserver.routing.rules import Verdict, processing_verdict, wanted_by
from medserver.workitems.creating import create

logger = logging.getLogger(__name__)


def request_processing(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Create the work items that rules want processed."""
    config = node.config.current
    return request_by_rule(
        node,
        batch,
        _rule_of,
        lambda rule, delivery: subject_of(rule, delivery, delivery.sender),
        lambda subject, rule, jobs: _request_subject(node, config, subject, rule, jobs),
    )


def _rule_of(version: RuleVersion) -> Processing:
    """Return a rule as it was when it decided something, but for when."""
    content: Mapping[str, Any] = version.content
    return Processing(
        version.name,
        tuple(content["types"]),
        tuple((name, text) for name, text in content["parameters"]),
        tuple(content["to"]),
        conditions_in(content),
        tuple(content["delivered_to"]),
        content["priority"],
        content["of"],
        inform=content["inform"],
    )


def _request_subject(
    node: Node, config: Config, subject: Subject, rule: Processing, jobs: Sequence[Job]
) -> None:
    """Create the work items of a subject, unless they are there."""
    rule, is_corrected = _applicable(config, rule)
    kind = checked_type(request_for(rule.types, dict(rule.parameters), config=config), config)
    decided = () if is_corrected else jobs
    inputs = list(_wanted(node, config, rule, stored_inputs(node, subject.conditions), decided))
    for group in together(kind, inputs):
        _create(node, subject, rule, kind, group)


def _applicable(config: Config, rule: Processing) -> tuple[Processing, bool]:
    """Return a rule; or, if it cannot be applied, what is called by its name now, and True: it was corrected."""
    try:
        checked_type(request_for(rule.types, dict(rule.parameters), config=config), config)
    except CannotProcess:
        corrected = next((each for each in config.processings if each.name == rule.name), rule)
        return corrected, corrected is not rule
    return rule, False


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


def _create(node: Node, subject: Subject, rule: Processing, kind: ProcessingType, inputs: Sequence[Input]) -> None:
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


def _request(node: Node, subject: Subject, rule: Processing, inputs: Sequence[Input]) -> ProcessingRequest:
    references = references_to([one.instance for one in inputs], node.config.current.node.ae_title)
    destinations = _destinations(node, subject, rule)
    request = request_for(rule.types, dict(rule.parameters), references, destinations, node.config.current)
    return replace(request, informs=rule.inform)


def _destinations(node: Node, subject: Subject, rule: Processing) -> Iterator[str]:
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
