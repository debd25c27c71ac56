"""Performed procedure steps (MPPS) go to others as conditions of acquisition do, when they are final.

The job ``route_step`` decides to whom one goes, ``forward_step`` creates it there in progress and sets it to its end
(N-CREATE and N-SET, PS3.4 F.7.2): an SCP takes no step that begins otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medserver.archive.follow_ups import ROUTE_STEP, release_job
from medserver.config import Config
from medserver.delivery.entries import postponed, undecided
from medserver.delivery.resting import destination_of, no_destination, rest
from medserver.dicom import status, uids
from medserver.errors import RemoteError
from medserver.index import Job, Lane, NewJob, PerformedStep
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.procedures.performed import FIXED, IN_PROGRESS, decoded
from medserver.routing.outbox import FORWARD_STEP, is_undecided, released, step_kind_of
from medserver.routing.rules import wanted_by
from medserver.scu.normalized import create_instance, proposal, set_instance
from medserver.wire.association import Association
from medserver.wire.requestor import associated_with

__all__ = ["FORWARD_STEP", "ROUTE_STEP", "forward_steps", "route_steps"]

SOP_CLASS_UID = uids.MODALITY_PERFORMED_PROCEDURE_STEP

_OF_THE_END = ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime")


def route_steps(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Put what the rules want of steps into the outbox; what is held of their studies may be complete."""
    for job in batch:
        step = node.index.performed_steps.get(job.payload["sop_instance_uid"])
        if step is None:
            yield done(job)
            continue
        releases = map(release_job, step.studies) if node.config.current.goes_by("mpps") else ()
        yield done(job, *_forward_jobs(node, step), *releases)


def _forward_jobs(node: Node, step: PerformedStep) -> Iterator[NewJob]:
    """Yield what sends a step to each AE that wants the conditions of its acquisition."""
    config, header = node.config.current, _as_header(decoded(step))
    for name, rule in wanted_by(config, header, step.calling_ae_title, step_kind_of):
        payload = {"sop_instance_uid": step.sop_instance_uid, "route": rule.name}
        yield released(FORWARD_STEP, payload, name, rule, node.clock())


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
        yield from no_destination(batch)
        return
    steps, others = _select(node, config, batch)
    yield from others
    if not steps:
        return
    lane = Lane(FORWARD_STEP, batch.destination)
    try:
        with associated_with(config, remote, [proposal(SOP_CLASS_UID)]) as association:
            node.index.jobs.wake(lane)
            for job, step in steps:
                problem = _forward(association, step)
                yield failed(job, problem) if problem else done(job)
    except RemoteError as error:
        yield from rest(node, lane, error, [job for job, _ in steps])


def _select(node: Node, config: Config, batch: Batch) -> tuple[list[tuple[Job, PerformedStep]], list[Outcome]]:
    """Return the steps that are to be reported now, and what came of the rest."""
    steps: list[tuple[Job, PerformedStep]] = []
    others: list[Outcome] = []
    for job in batch:
        step = node.index.performed_steps.get(job.payload["sop_instance_uid"])
        if step is None:
            others.append(done(job))
        elif is_undecided(config, job.payload["route"], job.destination, job.kind):
            others.append(undecided(job))
        elif (later := postponed(config, job, node.clock())) is not None:
            others.append(done(job, later))
        else:
            steps.append((job, step))
    return steps, others


def _forward(association: Association, step: PerformedStep) -> str:
    """Report a step; return what went wrong, empty if nothing did."""
    created = create_instance(association, SOP_CLASS_UID, step.sop_instance_uid, _beginning(step))
    # A report that was cut off is made again: then the step is there.
    is_there = created.code == status.DUPLICATE
    if status.is_failure(created.code) and not is_there:
        return f"N-CREATE: {status.describe(created.code, created.comment)}"
    changed = set_instance(association, SOP_CLASS_UID, step.sop_instance_uid, _end(step))
    if not status.is_failure(changed.code):
        return ""
    # It was final already: that is all we wanted (PS3.4 F.7.2.2.4).
    if is_there and changed.code == status.PROCESSING_FAILURE:
        return ""
    return f"N-SET: {status.describe(changed.code, changed.comment)}"


def _beginning(step: PerformedStep) -> Dataset:
    """Return a step as it was when it had just begun."""
    attributes = decoded(step)
    attributes.PerformedProcedureStepStatus = IN_PROGRESS
    attributes.PerformedSeriesSequence = Sequence()
    for keyword in _OF_THE_END:
        setattr(attributes, keyword, "")
    return attributes


def _end(step: PerformedStep) -> Dataset:
    """Return what an N-SET may say of a step."""
    content, attributes = decoded(step), Dataset()
    attributes.update({element.tag: element for element in content if element.keyword not in FIXED})
    attributes.SpecificCharacterSet = content.get("SpecificCharacterSet")
    return attributes
