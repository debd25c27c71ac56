"""Work items of this archive are performed: the jobs ``process`` and ``process_large``.

====================  ================================================================================================
the item is           what is done
====================  ================================================================================================
SCHEDULED             it becomes IN PROGRESS, its objects are processed, the results registered, and it is COMPLETED;
                      not before its time, and not before its input is ready
IN PROGRESS, by us    the same: the worker that had it is lost, and what it has made is made again, with the same UIDs
IN PROGRESS, by       nothing
others; final; gone
====================  ================================================================================================

What was registered is noted, and follow-ups are created, before the item is COMPLETED; the deliveries of the results
are added with that. A request that cannot be fulfilled, or is cancelled meanwhile, ends CANCELED with a coded reason. A
failure of this node (no space, a volume away) is tried again, for as long as it takes.

A worker that has lost its lease without knowing it (it was stopped, or without the database) finds that the item is
that of another: it stops, and neither ends the item nor sends what it has made.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from medserver.crash import crash_point
from medserver.dicom.dates import normalise_date_time
from medserver.dicom.uids import uid_of
from medserver.errors import (
    CannotProcess,
    CannotTranscode,
    DuplicateInstance,
    IncompleteObjectSet,
    IndexFailure,
    MedserverError,
    NoSuchWorkitem,
    OutOfResources,
    ProcessingBroke,
    RemoteError,
    RequestError,
    StoreFailure,
    TooLargeToProcess,
    UnusableParameters,
    WorkerDied,
    WorkitemIsFinal,
    WorkitemNotInProgress,
    WorkStopped,
    WorkTooLong,
)
from medserver.index import Job, NewJob, Workitem
from medserver.index.derivations import Derivation, DerivedInstance
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, changed, done, failed, held
from medserver.index.jobs.records import IN_TURN
from medserver.log import Event
from medserver.node import Node
from medserver.processing.computing import Computation, InputsChanged
from medserver.processing.informing import begin, is_awaited, parties
from medserver.processing.inputs import PATIENT, Input, fetch_missing, find_inputs, request_digest
from medserver.processing.leftovers import delete_leftovers
from medserver.processing.outputs import OutputIsAnother, references_to, routed
from medserver.processing.progress import Progress
from medserver.processing.reasons import reason_for
from medserver.processing.requests import (
    ProcessingRequest,
    attribute_list_of,
    checked_type,
    output_information,
    request_of,
)
from medserver.processing.types import ProcessingType
from medserver.processing.uids import base_of
from medserver.routing.deliveries import DELIVER, Delivery
from medserver.workitems import performing
from medserver.workitems.content import content_of, first_item, only, value
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import (
    PROCESS,
    PROCESS_LARGE,
    WorkitemPayload,
    begins_at,
    is_ready,
    looked_at,
)
from medserver.workitems.outcomes import CANCELED, COMPLETED, FINAL, SCHEDULED

LARGE_INSTANCES = 64
"""An item of more instances is done beside others of its size, so that it does not hold up small ones."""

LOOK_AGAIN_S = 0.1
"""How often is looked whether sender and receivers have been told [s]."""

FETCHES_MAX, FETCH_AGAIN_S = 6, 10.0
"""So often objects are asked for that are to be fetched from another AE, and after what time again [s], longer each
time."""

DEATHS_MAX = 3
"""After so many deaths of the process that computes, the item is given up."""

LOST_MAX = 30
"""After so many workers that were lost with it, or failed by a mistake of ours, an item is given up."""

RENEWALS_MAX = 3
"""How often the outputs of an item get other UIDs."""

AGAIN_S = 2.0
"""When an item is tried again of which the process died [s]."""

NODE_FAILED_S = 15.0
"""When an item is tried again that this node could not process [s]."""

LOOK_EVERY_S = 0.2
"""How often is looked at most whether an item is still wanted."""

logger = logging.getLogger(__name__)


def process(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Perform work items, one after the other."""
    for job in batch:
        if batch.should_stop:
            return
        try:
            outcome = _Performance(node, batch, job).outcome()
        except (OutOfResources, StoreFailure, IndexFailure, OSError) as error:  # the last of the folders of `staged`
            outcome = held(job, str(error), NODE_FAILED_S)
        if outcome is not None:
            yield outcome


def following_uid(sop_instance_uid: str) -> str:
    """Return the UID of the item that goes on with what an item has made, where types are chained."""
    return uid_of("following", sop_instance_uid)


def _started_at(before: Workitem, at: datetime) -> str:
    """Return when an item was started, in local time: now, or by who was lost; empty if that is not known.

    A second attempt says it again: it makes the same bytes.

    Parameters
    ----------
    before : Workitem
        As it was before it was started now.
    at : datetime
        When that was.
    """
    if before.state != SCHEDULED:
        performed = first_item(content_of(before.content), "UnifiedProcedureStepPerformedProcedureSequence")
        started = normalise_date_time(value(performed, "PerformedProcedureStepStartDateTime"))
        if started is None:
            return ""
        at = datetime.strptime(started, "%Y%m%d%H%M%S.%f").replace(tzinfo=UTC)
    return at.astimezone().strftime("%Y%m%d%H%M%S")


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of a request: the instances, whether they had been made before, and whether by another item."""

    outputs: Sequence[DerivedInstance]
    was_known: bool = False
    by_another: bool = False


class _Performance:
    """One work item on its way to its end.

    Parameters
    ----------
    node : Node
        Where it is performed.
    batch : Batch
        Tells whether the worker is asked to end.
    job : Job
        The job of the item.
    """

    def __init__(self, node: Node, batch: Batch, job: Job) -> None:
        self._node = node
        self._batch = batch
        self._job = job
        self._payload = WorkitemPayload.of(job)
        self._uid = self._payload.sop_instance_uid
        self._performer = f"{job.owner or ''}#{job.id}"
        self._claimed: str | None = None  # the performer, once the item is ours
        self._looked_at = 0.0
        self._is_wanted = True
        self._moment = ""
        self._progress = Progress(self._tell_progress)

    def outcome(self) -> Outcome | None:
        """Perform the item; None if the worker has to end and somebody else will."""
        try:
            return self._started()
        except (NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress) as error:
            logger.info(Event("work item left", sop_instance_uid=self._uid, reason=str(error)))
            self._delete_leftovers()
            return done(self._job)

    def _started(self) -> Outcome | None:
        row = self._node.index.workitems.get(self._uid)
        if row is not None and row.state in FINAL:  # who has ended it may have died then
            self._delete_leftovers()
        if row is None or row.state in FINAL or not performing.is_performed_here(self._node, row):
            return done(self._job)
        if row.state == SCHEDULED and (early := self._early(row)):
            return early
        if self._job.attempts > LOST_MAX:
            return self._given_up(row, f"{LOST_MAX} workers were lost while they performed it")
        try:
            request = request_of(content_of(row.content))
            kind = checked_type(request, self._node.config.current)
            if row.state == SCHEDULED:
                self._check_destinations(request)
            elif made := self._made_by_this_item():
                return self._completed(row, request, made)
            fetch_missing(self._node, request.inputs, self._is_unwanted)
            inputs = find_inputs(self._node, kind, request.inputs)
        except CannotProcess as error:
            return self._refused_before(row, error)
        except WorkStopped:
            return self._stopped()
        except (RemoteError, RequestError) as error:
            return self._not_fetched(row, error)
        if self._job.kind == PROCESS and len(inputs) > LARGE_INSTANCES:
            return changed(self._job, PROCESS_LARGE, self._payload, IN_TURN)
        if request.informs and (told_before := self._told_before(kind, request, inputs)):
            return told_before
        at = self._node.clock()
        before = performing.start(self._node, self._uid, self._performer, revision=row.revision, at=at)
        if before is None:
            return self._not_started()
        self._moment = _started_at(before, at)
        self._is_ours_now()
        crash_point("item started")
        return self._performed(row, request, kind, inputs)

    def _early(self, row: Workitem) -> Outcome | None:
        """Return what is done with an item whose time has not come, or whose input is not ready; None if they are."""
        if not is_ready(content_of(row.content)):
            return done(self._job)  # who says that it is ready adds another job
        start_at = begins_at(row.keys)
        # What was to begin at once when it was asked for does, whatever the clock has done since.
        if start_at is None or start_at <= max(self._node.clock(), row.changed_at):
            return None
        return changed(self._job, self._job.kind, self._payload, looked_at(start_at, self._node.clock()))

    def _told_before(
        self, kind: ProcessingType, request: ProcessingRequest, inputs: Sequence[Input]
    ) -> Outcome | None:
        """Have sender and receivers told what will be done; None if they have been, or there is nobody to tell."""
        told = parties(self._node, request, inputs)
        if told and not self._payload.informed_at:
            informed = replace(self._payload, informed_at=self._node.clock().isoformat())
            jobs = begin(self._node, self._uid, kind, request, told)
            return changed(self._job, self._job.kind, informed, IN_TURN, *jobs)
        if told and is_awaited(self._node, self._uid, told, datetime.fromisoformat(self._payload.informed_at)):
            return replace(held(self._job, "sender and receivers are told", LOOK_AGAIN_S), is_expected=True)
        return None

    def _performed(
        self, row: Workitem, request: ProcessingRequest, kind: ProcessingType, inputs: Sequence[Input]
    ) -> Outcome | None:
        try:
            made = self._made_before(kind, request, inputs) or self._make(kind, request, inputs)
        except WorkStopped:
            return self._stopped()
        except WorkerDied as error:
            return self._died(row, error)
        except WorkTooLong as error:
            return self._refused(TooLargeToProcess(str(error)))
        except CannotTranscode as error:  # a mistake in the type
            return self._refused(CannotProcess(str(error)))
        except InputsChanged:
            return self._again()
        except OutputIsAnother as error:
            return self._again() if self._have_changed(inputs) else self._renewed(kind, request, error)
        except CannotProcess as error:
            return self._again() if self._have_changed(inputs) else self._refused(error)
        self._finish(row, request, made)
        crash_point("item completed")
        logger.info(
            Event(
                "processed",
                sop_instance_uid=self._uid,
                type=kind.name,
                inputs=len(inputs),
                outputs=len(made.outputs),
                known=made.was_known or None,
            )
        )
        return done(self._job)

    # What is made

    def _made_by_this_item(self) -> _Made | None:
        """Return what a worker that was lost has made of this item, if it is noted and all of it is still stored."""
        found = self._node.index.derivations.of_item(self._uid)
        return self._still_stored(found) if found is not None else None

    def _still_stored(self, found: Derivation) -> _Made | None:
        stored = self._node.index.instances([one.sop_instance_uid for one in found.outputs])
        if not found.outputs or any(one.sop_instance_uid not in stored for one in found.outputs):
            return None
        return _Made(found.outputs, was_known=True, by_another=found.workitem_uid != self._uid)

    def _completed(self, row: Workitem, request: ProcessingRequest, made: _Made) -> Outcome:
        """Complete an item with what was made, whatever has become of its objects since."""
        if performing.start(self._node, self._uid, self._performer) is None:
            return done(self._job)
        self._is_ours_now()
        self._finish(row, request, made)
        return done(self._job)

    def _made_before(
        self, kind: ProcessingType, request: ProcessingRequest, inputs: Sequence[Input]
    ) -> _Made | None:
        """Return what the same request of the same objects has made, if all of it is still stored."""
        derivations = self._node.index.derivations
        found = derivations.of_item(self._uid) or derivations.of_request(request_digest(kind, request, inputs))
        return self._still_stored(found) if found is not None else None

    def _make(self, kind: ProcessingType, request: ProcessingRequest, inputs: Sequence[Input]) -> _Made:
        processors = self._node.processors if self._job.kind == PROCESS else self._node.large_processors
        base = base_of(self._uid, self._payload.renewals)
        computation = Computation(
            self._node, processors, base, self._moment, self._is_unwanted, lambda: self._have_changed(inputs),
            self._progress,
        )  # fmt: skip
        outputs = computation.outputs(kind, request, inputs)
        if not outputs:
            raise CannotProcess(f"{kind.name} has made nothing")
        digest = request_digest(kind, request, inputs)
        now, inner = self._node.clock(), tuple(one.instance for one in inputs)
        self._node.index.derivations.note(Derivation(self._uid, digest, kind.name, now, inner, tuple(outputs)))
        crash_point("derivation noted")
        return _Made(outputs)

    def _have_changed(self, inputs: Sequence[Input]) -> bool:
        """Tell whether one of the objects is not what it was when it was looked up: deleted, replaced, compressed."""
        stored = self._node.index.instances([one.copy.sop_instance_uid for one in inputs])
        return any(
            (copy := stored.get(one.copy.sop_instance_uid)) is None or copy.digest != one.copy.digest for one in inputs
        )

    def _is_unwanted(self) -> bool:
        """Tell whether the item is to be left; what the index says of it may be `LOOK_EVERY_S` old."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._is_wanted = not performing.wants_cancel(self._node, self._uid, self._claimed)
            self._looked_at = now
        return self._batch.should_stop or not self._is_wanted

    def _tell_progress(self, percent: int) -> None:
        """Tell how much is computed; whether the item is still ours is found out elsewhere."""
        try:
            performing.report(self._node, self._uid, percent, performer=self._performer)
        except (NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress, IndexFailure) as error:
            logger.debug(Event("progress not told", sop_instance_uid=self._uid, reason=str(error)))

    # How it ends

    def _finish(self, row: Workitem, request: ProcessingRequest, made: _Made) -> None:
        references = tuple(references_to(made.outputs, self._node.config.current.node.ae_title))
        following = request.following(references)
        if following is None:
            jobs = list(self._deliveries(request, made))
        else:
            jobs = []
            self._create_following(row, following)
        performing.finish(self._node, self._uid, output_information(references), jobs, performer=self._performer)

    def _create_following(self, row: Workitem, following: ProcessingRequest) -> None:
        """Create the item that goes on with what this one has made; it is there if this was done before."""
        content = content_of(row.content)
        attributes = attribute_list_of(
            following,
            self._node.clock(),
            priority=row.keys.priority or "MEDIUM",
            patient=only(content, PATIENT),
            config=self._node.config.current,
        )
        try:
            create(self._node, following_uid(self._uid), attributes, row.created_by)
        except DuplicateInstance:
            logger.debug("work item %s: what follows was created before", self._uid)

    def _deliveries(self, request: ProcessingRequest, made: _Made) -> Iterator[NewJob]:
        """Yield what sends the results; what a route sends to the same entry is sent once, as that has it."""
        config, now = self._node.config.current, self._node.clock()
        sent = set() if made.by_another or not request.destinations else routed(self._node, made.outputs)
        for ae_title in request.destinations:
            remote = config.destination(ae_title)
            # An entry that was removed since the item was begun: the outbox shows what waits for it.
            name = ae_title if remote is None else remote.name
            for one in made.outputs:
                if (one.sop_instance_uid, name) in sent:
                    continue
                delivery = Delivery(
                    one.sop_instance_uid,
                    DELIVER,
                    None,
                    study_instance_uid=one.study_instance_uid,
                    series_instance_uid=one.series_instance_uid,
                    sender=config.node.ae_title,
                    received_at=now.isoformat(),
                )
                yield NewJob(DELIVER, delivery, destination=name, due_at=IN_TURN)

    def _check_destinations(self, request: ProcessingRequest) -> None:
        for ae_title in request.destinations:
            if self._node.config.current.destination(ae_title) is None:
                raise UnusableParameters(f"there is no AE {ae_title} with an address to which results could be sent")

    def _refused(self, error: CannotProcess) -> Outcome:
        """End an item that cannot be processed; it is SCHEDULED, or ours."""
        reason = reason_for(error)
        logger.warning(Event("not processed", sop_instance_uid=self._uid, reason=str(error)))
        code = (reason.value, reason.scheme, reason.meaning)
        performing.discontinue(self._node, self._uid, code, str(error), performer=self._claimed)
        self._delete_leftovers()
        return done(self._job)

    def _refused_before(self, row: Workitem, error: CannotProcess) -> Outcome:
        """End an item that is not ours yet: a worker that was lost may have started it."""
        if row.state != SCHEDULED:
            if performing.start(self._node, self._uid, self._performer) is None:
                return done(self._job)
            self._is_ours_now()
        return self._refused(error)

    def _is_ours_now(self) -> None:
        self._claimed, self._looked_at = self._performer, 0.0

    def _not_started(self) -> Outcome:
        """Look again at what was changed while its objects were looked up; what is not SCHEDULED is left."""
        row = self._node.index.workitems.get(self._uid)
        if row is None or row.state != SCHEDULED:
            return done(self._job)
        return changed(self._job, self._job.kind, self._payload, IN_TURN)

    def _renewed(
        self, kind: ProcessingType, request: ProcessingRequest, error: OutputIsAnother
    ) -> Outcome | None:
        """Begin anew, with other UIDs for what is made.

        A worker that was lost has registered some of what it had made of an object that has been replaced since.
        """
        renewals = self._payload.renewals + 1
        if renewals > RENEWALS_MAX or kind.command is not None:
            return self._refused(error)
        if performing.wants_cancel(self._node, self._uid, self._claimed):
            return self._stopped()
        logger.warning(Event("outputs renewed", sop_instance_uid=self._uid, reason=str(error)))
        delete_leftovers(self._node, self._uid, [self._payload.renewals], request.outputs)
        return changed(self._job, self._job.kind, replace(self._payload, renewals=renewals), IN_TURN)

    def _delete_leftovers(self) -> None:
        """Delete what was registered for an item that has ended, and is no result of it."""
        row = self._node.index.workitems.get(self._uid)
        is_noted = self._node.index.derivations.of_item(self._uid) is not None
        if row is None or not (row.state == CANCELED or row.state == COMPLETED and is_noted):
            return
        with suppress(CannotProcess):  # what cannot be understood has made nothing
            wanted = request_of(content_of(row.content)).outputs
            delete_leftovers(self._node, self._uid, range(self._payload.renewals + 1), wanted)

    def _again(self) -> Outcome:
        """Begin anew with the objects as they are now."""
        logger.info(Event("inputs changed", sop_instance_uid=self._uid))
        return changed(self._job, self._job.kind, self._payload, IN_TURN)

    def _given_up(self, row: Workitem, why: str) -> Outcome:
        return self._refused_before(row, ProcessingBroke(why))

    def _stopped(self) -> Outcome | None:
        if not performing.wants_cancel(self._node, self._uid, self._claimed):
            return None  # the worker ends: somebody else does it again
        performing.discontinue(self._node, self._uid, performer=self._claimed)
        logger.info(Event("cancelled", sop_instance_uid=self._uid))
        self._delete_leftovers()
        return done(self._job)

    def _not_fetched(self, row: Workitem, error: MedserverError) -> Outcome:
        if self._job.attempts < FETCHES_MAX:
            return failed(self._job, str(error), delay_s=FETCH_AGAIN_S * self._job.attempts)
        return self._refused_before(row, IncompleteObjectSet(str(error)))

    def _died(self, row: Workitem, error: WorkerDied) -> Outcome:
        """Have it tried again after a while: who ended the process may have meant another one."""
        deaths = self._payload.deaths + 1
        if deaths >= DEATHS_MAX:
            return self._given_up(row, str(error))
        logger.warning(Event("not processed", sop_instance_uid=self._uid, reason=str(error), deaths=deaths))
        due_at = self._node.clock() + timedelta(seconds=AGAIN_S * deaths)
        return changed(self._job, self._job.kind, replace(self._payload, deaths=deaths), due_at, answer=str(error))
