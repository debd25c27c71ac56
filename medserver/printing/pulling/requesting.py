"""What asks for a print besides people and AEs: a Basic Structured Display that was sent to a printer, and a rule.

Each becomes a work item of this node, so that images are fetched, films followed and images forgotten in one way, and
who wants to see or cancel it finds it. Its UID is made of what asks: whoever repeats that finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from medserver.archive import read_header
from medserver.config import Route
from medserver.dicom.uids import uid_of
from medserver.errors import DamagedObject, DuplicateInstance
from medserver.fetching import FollowUps
from medserver.index import InstanceRecord, Job, NewJob, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.index.jobs.payloads import Payload
from medserver.index.rule_versions import RuleVersion
from medserver.log import Event
from medserver.node import Node
from medserver.printing.pictures import STRUCTURED_DISPLAY, StoredImage, in_order, stored_images
from medserver.printing.pulling.request import attribute_list_of
from medserver.processing.by_rule import Subject, conditions_in, request_by_rule, subject_of
from medserver.processing.inputs import patient_of, stored_inputs
from medserver.processing.requests import Reference
from medserver.routing.deliveries import Delivery
from medserver.routing.rules import wants
from medserver.workitems.creating import create

PRINT_DISPLAY = "print_display"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DisplayPayload(Payload):
    """A Basic Structured Display that was sent to a printer.

    Parameters
    ----------
    sop_instance_uid, digest : str
        Which.
    printer : str
        The name of the printer.
    sender : str
        The AE title that sent it; the images are fetched from it if the display does not say where they are.
    """

    sop_instance_uid: str
    digest: str
    printer: str
    sender: str


def prints_display(printer: str, sender: str) -> FollowUps:
    """Return what has a display printed that is received."""

    def follow_ups(record: InstanceRecord) -> Iterator[NewJob]:
        if record.sop_class_uid == STRUCTURED_DISPLAY:
            yield NewJob(PRINT_DISPLAY, DisplayPayload(record.sop_instance_uid, record.digest, printer, sender))

    return follow_ups


def print_displays(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Create the work items of displays: the job ``print_display``."""
    for job in batch:
        payload = DisplayPayload.of(job)
        uid = payload.sop_instance_uid
        copy = node.index.instances([uid]).get(uid)
        if copy is not None:
            source = payload.sender if node.config.current.destination(payload.sender) is not None else ""
            reference = Reference(copy.study_instance_uid, "", ((STRUCTURED_DISPLAY, uid),), source)
            item = uid_of("print display", uid, payload.digest, payload.printer)
            ask(node, item, {"printer": payload.printer}, [reference], by=payload.sender)
        yield done(job)


def ask(
    node: Node,
    sop_instance_uid: str,
    given: Mapping[str, object],
    references: Sequence[Reference],
    *,
    by: str,
    priority: str = "MEDIUM",
) -> None:
    """Create a work item that asks for a print, unless it is there.

    Parameters
    ----------
    sop_instance_uid : str
        Its UID.
    given : Mapping
        Format information.
    references : sequence of Reference
        What is printed; with an instance that is stored here.
    by : str
        Who asks.
    priority : str
        HIGH, MEDIUM or LOW.

    Raises
    ------
    UnusableParameters
        The format information cannot be understood.
    StoreFailure
        A header cannot be read.
    """
    first = next((uid for each in references for _, uid in each.instances), "")
    copy = node.index.instances([first]).get(first)
    try:
        patient = patient_of(node, copy) if copy is not None else None
    except DamagedObject:  # that is told when it is printed
        patient = None
    attributes = attribute_list_of(given, references, node.clock(), priority=priority, patient=patient)
    try:
        create(node, sop_instance_uid, attributes, by)
        logger.info(Event("print requested", sop_instance_uid=sop_instance_uid, by=by))
    except DuplicateInstance:
        logger.debug("work item %s is there", sop_instance_uid)


# By a rule


def request_prints(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Create the work items of what rules have printed: the job ``request_print``.

    There is a job for each image that a rule wants. What is printed together, a series or a study, is one work item,
    whose UID is made of the rule and of the objects: whoever comes second finds it. What is received later makes
    another one, of all that there is then.
    """
    return request_by_rule(
        node, batch, _rule_of, subject_of, lambda subject, rule, jobs: _request_subject(node, subject, rule, jobs)
    )


def _rule_of(version: RuleVersion) -> Route:
    """Return a rule as it was when it decided something, but for when."""
    content: Mapping[str, Any] = version.content
    return Route(
        version.name,
        (),
        conditions_in(content),
        priority=content["priority"],
        when=content["of"],
        printer=content["printer"],
        format=tuple((name, text) for name, text in content["format"]),
    )


def _request_subject(node: Node, subject: Subject, rule: Route, jobs: Sequence[Job]) -> None:
    """Create the work item of a subject, unless it is there."""
    inputs = stored_inputs(node, subject.conditions)
    images = stored_images(node, [one.copy.sop_instance_uid for one in inputs])
    copies = node.index.instances(list(images))
    decided = {each.sop_instance_uid: each.decided_of for each in map(Delivery.of, jobs)}
    chosen = [
        one
        for uid, one in images.items()
        if one.is_image and uid in copies and _wants(node, rule, copies[uid], decided.get(uid, ""))
    ]
    if chosen:
        _create(node, subject, rule, chosen, copies)


def _wants(node: Node, rule: Route, copy: StoredCopy, decided_of: str) -> bool:
    """Tell whether a rule wants an object that was decided now, or before, or has been replaced since."""
    if decided_of == copy.digest:
        return True
    try:
        return wants(rule, read_header(node, copy), copy.calling_ae_title or "")
    except DamagedObject:  # that is told when it is printed
        return True


def _create(
    node: Node,
    subject: Subject,
    rule: Route,
    images: Sequence[StoredImage],
    copies: Mapping[str, StoredCopy],
) -> None:
    ordered = sorted(images, key=in_order)
    references = [
        Reference(study, series, tuple((one.sop_class_uid, one.sop_instance_uid) for one in some))
        for (study, series), some in groupby(ordered, lambda one: (one.study_instance_uid, one.series_instance_uid))
    ]
    objects = sorted(f"{one.sop_instance_uid} {copies[one.sop_instance_uid].digest}" for one in images)
    uid = uid_of("print", subject.rule, *objects)
    given = {"printer": _printer_of(node, rule)} | dict(rule.format)
    ask(node, uid, given, references, by=node.config.current.node.ae_title, priority=rule.priority.upper())


def _printer_of(node: Node, rule: Route) -> str:
    """Return the printer of a rule as it was; if that is not in the configuration, that of the rule as it is now."""
    config = node.config.current
    current = config.route(rule.name)
    is_gone = config.printer(rule.printer) is None and config.printer_called(rule.printer) is None
    return current.printer if is_gone and current is not None and current.printer else rule.printer
