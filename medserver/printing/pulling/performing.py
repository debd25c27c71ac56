"""Work items with the code (110008, DCM, "Print") are performed: the job ``print_workitem``.

What is not stored here is fetched, then the item becomes IN PROGRESS and its films are queued; from then on the item
follows what becomes of them, see `steps`. Whichever worker looks at it goes on with it: the films have UIDs that are
made of that of the item, so that nothing is queued twice, and what was begun by a worker that was lost goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from medserver.config import Printer
from medserver.crash import crash_point
from medserver.dicom.json_model import JSON
from medserver.errors import (
    ActionNotAppropriate,
    CannotProcess,
    IncompleteObjectSet,
    IndexFailure,
    MedserverError,
    NoSuchInstance,
    NoSuchWorkitem,
    OutOfResources,
    PrintQueueFull,
    ProcessingBroke,
    RemoteError,
    RequestError,
    StoreFailure,
    WorkitemIsFinal,
    WorkitemNotInProgress,
    WorkStopped,
)
from medserver.index import FilmRow, Job, Workitem
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, changed, done, failed, held
from medserver.index.jobs.records import IN_TURN
from medserver.log import Event
from medserver.node import Node
from medserver.printing.asking import PRIORITIES, films_for, queue_films
from medserver.printing.changing import cancel_film
from medserver.printing.displays import references_of_display
from medserver.printing.format import check_may_print, printer_for
from medserver.printing.pictures import STRUCTURED_DISPLAY, header_of
from medserver.printing.pulling.forgetting import forgets, message_id_of
from medserver.printing.pulling.request import PrintRequest, request_of
from medserver.printing.pulling.steps import STEPS, Films, Step, films_in
from medserver.printing.queue import WORKITEM
from medserver.printing.states import CANCELED, DONE, FINAL
from medserver.processing.inputs import fetch_missing
from medserver.processing.reasons import reason_for
from medserver.processing.requests import Reference, output_information
from medserver.workitems import performing
from medserver.workitems.content import content_of, first_item, items, value
from medserver.workitems.follow_ups import PrintPayload, begins_at, is_for_us, is_ready, looked_at
from medserver.workitems.outcomes import FINAL as ENDED
from medserver.workitems.outcomes import SCHEDULED
from medserver.workitems.states import PROGRESS

PERFORMER = "print"
"""Whoever performs such an item: any worker takes over from any other."""

FETCHES_MAX, FETCH_AGAIN_S = 6, 10.0
"""So often is tried to fetch images, and after what time again [s], longer each time."""

LOOK_FIRST_S, LOOK_LAST_S, LOOK_PART = 0.2, 10.0, 0.05
"""How often is looked at the films of an item: first, at last [s], and by which part of its age between."""

NODE_FAILED_S = 15.0
"""When is tried again what this node could not do [s]."""

logger = logging.getLogger(__name__)


def print_workitems(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Perform work items that are to be printed."""
    for job in batch:
        if batch.should_stop:
            return
        try:
            outcome = _performed(node, batch, job)
        except (NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress) as error:
            uid = PrintPayload.of(job).sop_instance_uid
            logger.info(Event("work item left", sop_instance_uid=uid, reason=str(error)))
            outcome = done(job)
        except (PrintQueueFull, OutOfResources, StoreFailure, IndexFailure, OSError) as error:
            outcome = held(job, str(error), NODE_FAILED_S)
        if outcome is not None:
            yield outcome


def _performed(node: Node, batch: Batch, job: Job) -> Outcome | None:
    """Do the next step; None if the worker has to end and somebody else will."""
    payload = PrintPayload.of(job)
    row = node.index.workitems.get(payload.sop_instance_uid)
    if row is None or row.state in ENDED or not performing.is_performed_here(node, row):
        return done(job)
    content = content_of(row.content)
    if row.state == SCHEDULED:
        if not is_ready(content) or not is_for_us(content, node.config.current):
            return done(job)  # who says that it is ready adds another job
        start_at = begins_at(row.keys)
        if start_at is not None and start_at > max(node.clock(), row.changed_at):
            return changed(job, job.kind, payload, looked_at(start_at, node.clock()))
    films = node.index.films.of_request(row.sop_instance_uid)
    step = STEPS[films_in((one.state for one in films), payload.films), bool(row.cancel_requested)]
    if step is Step.QUEUE:
        return _queued(node, batch, job, row)
    return _followed(node, job, row, films, step)


# Until its films are queued


def _queued(node: Node, batch: Batch, job: Job, row: Workitem) -> Outcome | None:
    """Fetch what is missing, claim the item, and queue its films."""
    uid = row.sop_instance_uid
    try:
        request = request_of(content_of(row.content))
        printer = printer_for(node.config.current, request.format)
        check_may_print(node.config.current, printer, row.created_by)
        _fetch(node, batch, row, request, printer)
        crash_point("images fetched")
        films = films_for(node, request.references, request.format, printer)
    except CannotProcess as error:
        return _refused(node, job, row, error)
    except WorkStopped:
        if not performing.wants_cancel(node, uid):
            return None  # the worker ends: somebody else does it again
        return changed(job, job.kind, PrintPayload.of(job), IN_TURN) if row.state != SCHEDULED else done(job)
    except (RemoteError, RequestError) as error:
        if job.attempts < FETCHES_MAX:
            return failed(job, str(error), delay_s=FETCH_AGAIN_S * job.attempts)
        return _refused(node, job, row, IncompleteObjectSet(str(error)))
    if performing.start(node, uid, PERFORMER, revision=row.revision) is None:
        return changed(job, job.kind, PrintPayload.of(job), IN_TURN)  # it was changed, or is that of somebody else
    crash_point("print item started")
    queue_films(
        node, films, printer, request_uid=uid, requested_by=row.created_by, origin=WORKITEM,
        copies=request.format.copies, priority=PRIORITIES.get(row.keys.priority, "MED"),
    )  # fmt: skip
    performing.report(node, uid, 0.0, f"{len(films)} films wait for printer {printer.name}", performer=PERFORMER)
    payload = PrintPayload(uid, len(films))
    return changed(job, job.kind, payload, node.clock())


def _fetch(node: Node, batch: Batch, row: Workitem, request: PrintRequest, printer: Printer) -> None:
    """Fetch what is not stored here: what is named, and what a structured display that is named refers to."""
    uid = row.sop_instance_uid

    def is_unwanted() -> bool:
        return batch.should_stop or performing.wants_cancel(node, uid)

    follow_ups, message_id = (forgets(uid), message_id_of(uid)) if printer.forgets else (lambda record: (), 0)
    fetch_missing(node, request.references, is_unwanted, follow_ups, message_id)
    fetch_missing(node, _of_displays(node, request), is_unwanted, follow_ups, message_id)


def _of_displays(node: Node, request: PrintRequest) -> Iterator[Reference]:
    for reference in request.references:
        for sop_class_uid, sop_instance_uid in reference.instances:
            if sop_class_uid == STRUCTURED_DISPLAY:
                for one in references_of_display(header_of(node, sop_instance_uid)):
                    yield replace(one, retrieve_ae_title=one.retrieve_ae_title or reference.retrieve_ae_title)


def _refused(node: Node, job: Job, row: Workitem, error: CannotProcess) -> Outcome:
    """End an item that cannot be printed."""
    logger.warning(Event("not printed", sop_instance_uid=row.sop_instance_uid, reason=str(error)))
    _cancel_films(node, node.index.films.of_request(row.sop_instance_uid))
    _discontinue(node, row, error)
    return done(job)


def _discontinue(node: Node, row: Workitem, error: Exception) -> None:
    reason = reason_for(error)
    code = (reason.value, reason.scheme, reason.meaning)
    performer = None if row.state == SCHEDULED else PERFORMER
    performing.discontinue(node, row.sop_instance_uid, code, str(error), performer=performer)


# From then on


def _followed(node: Node, job: Job, row: Workitem, films: Sequence[FilmRow], step: Step) -> Outcome:
    """Do what `STEPS` says."""
    uid = row.sop_instance_uid
    if step is Step.CANCEL_FILMS:
        _cancel_films(node, films)
        films = node.index.films.of_request(uid)
        count = PrintPayload.of(job).films
        if any(one.state not in FINAL for one in films):
            return _again(node, job)
        is_printed = count > 0 and films_in((one.state for one in films), count) is Films.PRINTED
        step = Step.COMPLETE if is_printed else Step.DISCONTINUE
    if step is Step.DISCONTINUE:
        _discontinue(node, row, _why(films, PrintPayload.of(job).films, bool(row.cancel_requested)))
        logger.warning(Event("not printed", sop_instance_uid=uid, films=len(films)))
        return done(job)
    _report(node, row, films)
    if step is Step.COMPLETE:
        performing.finish(node, uid, _output(content_of(row.content)), performer=PERFORMER)
        crash_point("print item completed")
        logger.info(Event("printed", sop_instance_uid=uid, films=len(films)))
        return done(job)
    return _again(node, job)


def _output(content: JSON) -> dict[str, Any]:
    """Return the Output Information that a completed item must have: a print makes no instances in its study."""
    studies = [value(each, "StudyInstanceUID") for each in items(content, "InputInformationSequence")]
    return output_information([Reference(next(iter(studies), ""))])


def _again(node: Node, job: Job) -> Outcome:
    age_s = (node.clock() - job.created_at).total_seconds()
    delay_s = min(LOOK_LAST_S, max(LOOK_FIRST_S, LOOK_PART * age_s))
    return replace(held(job, "its films are printed", delay_s), is_expected=True)


def _cancel_films(node: Node, films: Sequence[FilmRow]) -> None:
    """Cancel the films that have not ended; a printer that has one is asked to stop."""
    for one in films:
        if one.state in FINAL:
            continue
        try:
            cancel_film(node, one.uid, f"work item {one.request_uid} is cancelled")
        except (ActionNotAppropriate, NoSuchInstance) as error:
            logger.info(Event("film left", uid=one.uid, reason=str(error)))


def _report(node: Node, row: Workitem, films: Sequence[FilmRow]) -> None:
    """Tell how many sheets are printed, if that is news."""
    printed = sum(1 for one in films if one.state == DONE)
    waiting = next((one for one in films if one.state not in FINAL), None)
    text = f"{printed} of {len(films)} films printed"
    if waiting is not None and waiting.detail:
        text += f"; {waiting.detail}"
    progress = first_item(content_of(row.content), PROGRESS)
    if value(progress, "ProcedureStepProgressDescription") != text:
        performing.report(node, row.sop_instance_uid, 100.0 * printed / len(films), text, performer=PERFORMER)


def _why(films: Sequence[FilmRow], count: int, is_cancelled: bool) -> MedserverError:
    """Return why an item ends without all of its films printed."""
    printed = sum(1 for one in films if one.state == DONE)
    so_far = f"{printed} of {count or len(films)} films printed"
    failure = next((one for one in films if one.state not in (DONE, CANCELED)), None)
    if failure is not None:
        return ProcessingBroke(f"{so_far}; film {failure.uid}: {failure.detail or failure.status_info}")
    if is_cancelled or any(one.state == CANCELED for one in films):
        return CannotProcess(f"{so_far}; the others were cancelled")
    return ProcessingBroke(f"{so_far}; the others are forgotten")
