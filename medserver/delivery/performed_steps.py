"""Performed procedure steps (MPPS) go to others as conditions of acquisition do, when they are final.

The job ``route_step`` decides to whom one goes, ``forward_step`` creates it there in progress and sets it to its end
(N-CREATE and N-SET, PS3.4 F.7.2): an SCP takes no step that begins otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydicom.dataset import Dataset

from medserver.archive.follow_ups import ROUTE_STEP, release_job
from medserver.archive.payloads import StepPayload
from medserver.config import Config
from medserver.delivery.entries import without_destination
from medserver.destinations import destination_of, exchanged, session_with
from medserver.dicom import status, uids
from medserver.dicom.json_model import JSON, SPECIFIC_CHARACTER_SET
from medserver.index import Job, NewJob, PerformedStep
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.procedures.performed import (
    FIXED_TAGS,
    IN_PROGRESS,
    PERFORMED_SERIES_SEQUENCE,
    attributes_of,
    decoded,
)
from medserver.routing.deliveries import FORWARD_STEP, Delivery, due_by, not_now, noted, step_kind_of, wanted
from medserver.routing.rules import wanted_by
from medserver.scu.exchange import Response
from medserver.scu.normalized import create_instance, proposal, set_instance
from medserver.wire.association import Association

__all__ = ["FORWARD_STEP", "ROUTE_STEP", "forward_steps", "route_steps"]

SOP_CLASS_UID = uids.MODALITY_PERFORMED_PROCEDURE_STEP

_FINAL = "may no longer be updated"
"""Of the comment of an N-SET of a final step, for who leaves the Error ID out."""

_OF_THE_BEGINNING: JSON = {
    "00400250": {"vr": "DA"},  # Performed Procedure Step End Date
    "00400251": {"vr": "TM"},  # Performed Procedure Step End Time
    "00400252": {"vr": "CS", "Value": [IN_PROGRESS]},  # Performed Procedure Step Status
    PERFORMED_SERIES_SEQUENCE: {"vr": "SQ", "Value": []},
}


def route_steps(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Put what the rules want of steps into the outbox; what is held of their studies may be complete."""
    for job in batch:
        step = node.index.performed_steps.get(StepPayload.of(job).sop_instance_uid)
        if step is None:
            yield done(job)
            continue
        releases = map(release_job, step.studies) if node.config.current.goes_by("mpps") else ()
        yield done(job, *_forward_jobs(node, step), *releases)


def _forward_jobs(node: Node, step: PerformedStep) -> Iterator[NewJob]:
    """Yield what sends a step to each AE that wants the conditions of its acquisition."""
    config, header = node.config.current, _as_header(decoded(step))
    for name, rule in wanted_by(config, header, step.calling_ae_title, step_kind_of):
        version = noted(node.index.rule_versions, rule)
        delivery = Delivery(step.sop_instance_uid, FORWARD_STEP, rule.name, version, sender=step.calling_ae_title)
        yield wanted(delivery, FORWARD_STEP, name, rule, due_by(rule, node.clock()))


def _as_header(content: Dataset) -> Dataset:
    """Return a step as the rules see an instance: with the study and the request that it was made for."""
    header = Dataset()
    for element in [*content.ScheduledStepAttributesSequence[0], *content]:
        header[element.tag] = element
    header.SOPClassUID = SOP_CLASS_UID
    header.StudyDate = content.get("PerformedProcedureStepStartDate")
    header.StudyTime = content.get("PerformedProcedureStepStartTime")
    return header


def forward_steps(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Report steps to the AE `batch.destination`."""
    config, remote = node.config.current, destination_of(node, batch)
    if remote is None:
        yield from without_destination(node.config.current, batch)
        return
    steps, others = _select(node, config, batch)
    yield from others
    with session_with(node, remote, [proposal(SOP_CLASS_UID)]) as session:
        for job, step in steps:
            yield from exchanged(node, session, [job], partial(_forward, step))


def _select(node: Node, config: Config, batch: Batch) -> tuple[list[tuple[Job, PerformedStep]], list[Outcome]]:
    """Return the steps that are to be reported now, and what came of the rest."""
    steps: list[tuple[Job, PerformedStep]] = []
    others: list[Outcome] = []
    for job in batch:
        delivery = Delivery.of(job)
        step = node.index.performed_steps.get(delivery.sop_instance_uid)
        if step is None:
            others.append(done(job))
        elif (outcome := not_now(config, job, delivery, node.clock())) is not None:
            others.append(outcome)
        else:
            steps.append((job, step))
    return steps, others


def _says_that_it_is_final(response: Response) -> bool:
    """Tell whether a failed N-SET says that the step is final: any failure may have its status (PS3.4 F.7.2.2.4)."""
    says_so = response.command_set.get("ErrorID") == status.NO_LONGER_UPDATABLE or _FINAL in response.comment.lower()
    return response.code == status.PROCESSING_FAILURE and says_so


def _forward(step: PerformedStep, association: Association) -> str:
    """Report a step; return what went wrong, empty if nothing did."""
    content = attributes_of(step)
    created = create_instance(association, SOP_CLASS_UID, step.sop_instance_uid, _beginning(content))
    # A report that was cut off is made again: then the step is there.
    is_there = created.code == status.DUPLICATE
    if not status.is_performed(created.code) and not is_there:
        return f"N-CREATE: {status.describe(created.code, created.comment)}"
    changed = set_instance(association, SOP_CLASS_UID, step.sop_instance_uid, _end(content))
    if status.is_performed(changed.code):
        return ""
    if is_there and _says_that_it_is_final(changed):  # that is all we wanted
        return ""
    return f"N-SET: {status.describe(changed.code, changed.comment)}"


def _beginning(content: JSON) -> JSON:
    """Return a step as it was when it had just begun."""
    return {**content, **_OF_THE_BEGINNING}


def _end(content: JSON) -> JSON:
    """Return what an N-SET may say of a step."""
    return {tag: element for tag, element in content.items() if tag not in FIXED_TAGS or tag == SPECIFIC_CHARACTER_SET}
