"""What asks for a print besides people and AEs: a Basic Structured Display that was sent to a printer, and a rule.

Each becomes a work item of this node, so that images are fetched, films followed and images forgotten in one way, and
who wants to see or cancel it finds it. Its UID is made of what asks: whoever repeats that finds it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from medserver.dicom.uids import uid_of
from medserver.errors import DamagedObject, DuplicateInstance
from medserver.fetching import FollowUps
from medserver.index import InstanceRecord, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.printing.pictures import STRUCTURED_DISPLAY
from medserver.printing.pulling.request import attribute_list_of
from medserver.processing.inputs import patient_of
from medserver.processing.requests import Reference
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
        create(node, sop_instance_uid, attributes, by or node.config.current.node.ae_title)
        logger.info(Event("print requested", sop_instance_uid=sop_instance_uid, by=by))
    except DuplicateInstance:
        logger.debug("work item %s is there", sop_instance_uid)
