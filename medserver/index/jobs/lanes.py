"""The lanes of jobs: which there are, which are paused, when their next job is due; and what comes periodically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import SQL, Expression, Query, fn

from medserver.index.database.backend import Backend
from medserver.index.database.memory import Memory
from medserver.index.database.models import JobKinds, JobLanes, Jobs, JobSchedule
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import HIGH, LOW, MEDIUM, JobCount, Lane, LaneState

PRIORITIES = (HIGH, MEDIUM, LOW)
_REMEMBERED_MAX = 4096


class LaneTable:
    """The tables of kinds and lanes. A lane is made with its first job, and stays.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: Memory[Lane, bool] = Memory(_REMEMBERED_MAX)

    @statement
    def _insert_kind(self) -> Query:
        return insertion(JobKinds, ("kind",), paused=0).on_conflict(action="NOTHING")

    @statement
    def _insert_lane(self) -> Query:
        return insertion(JobLanes, ("kind", "destination"), paused=0).on_conflict(action="NOTHING")

    @statement
    def _lock(self) -> Query:
        return self._backend.locked(JobKinds.select(JobKinds.paused).where(JobKinds.kind == PARAMETER))

    @statement
    def _pause_of(self) -> Query:
        return JobLanes.select(JobLanes.paused, JobLanes.paused_until, JobLanes.failures).where(_is_lane())

    @statement
    def _known_of(self) -> Query:
        failures, until = fn.COALESCE(fn.MAX(JobLanes.failures), 0), fn.MIN(fn.COALESCE(JobLanes.paused_until, ""))
        return JobLanes.select(failures, until).where(self._is_of_destination())

    @statement
    def _leave_alone(self) -> Query:
        changed = (JobLanes.paused_until, JobLanes.pause_reason, JobLanes.failures)
        return JobLanes.update(dict.fromkeys(changed, PARAMETER)).where(self._is_of_destination())

    @statement
    def _reached(self) -> Query:
        known = {JobLanes.paused_until: None, JobLanes.pause_reason: None, JobLanes.failures: 0}
        failed = self._is_of_destination() & (JobLanes.failures > 0)
        return JobLanes.update(known).where(failed).returning(JobLanes.kind)

    @statement
    def _hold_others(self) -> Query:
        others = (JobLanes.destination == PARAMETER) & (JobLanes.kind != PARAMETER) & (JobLanes.failures > 0)
        return JobLanes.update({JobLanes.paused_until: PARAMETER}).where(others)

    @statement
    def _let_others(self) -> Query:
        others = (JobLanes.destination == PARAMETER) & (JobLanes.kind != PARAMETER) & (JobLanes.failures > 0)
        held = others & (JobLanes.paused_until > PARAMETER)
        return JobLanes.update({JobLanes.paused_until: PARAMETER}).where(held).returning(JobLanes.kind)

    def _is_of_destination(self) -> Expression:
        return (JobLanes.destination == PARAMETER) & self._backend.is_among(JobLanes.kind)

    @statement
    def _pause_kind(self) -> Query:
        return JobKinds.update({JobKinds.paused: PARAMETER}).where(JobKinds.kind == PARAMETER)

    @statement
    def _pause_lane(self) -> Query:
        return JobLanes.update({JobLanes.paused: PARAMETER}).where(_is_lane())

    @statement
    def _resume_lanes(self) -> Query:
        return JobLanes.update({JobLanes.paused: 0}).where(JobLanes.kind == PARAMETER)

    @statement
    def _select(self) -> Query:
        return _lanes()

    @statement
    def _select_of_kind(self) -> Query:
        return _lanes().where(JobLanes.kind == PARAMETER)

    @statement
    def _counts(self) -> Query:
        group = (Jobs.kind, Jobs.destination, Jobs.state)
        return Jobs.select(*group, fn.COUNT(SQL("*")), fn.MIN(Jobs.created_at)).group_by(*group).order_by(*group)

    @statement
    def _schedule(self) -> Query:
        return insertion(JobSchedule, ("name", "due_at")).on_conflict(action="NOTHING")

    @statement
    def _take(self) -> Query:
        is_due = (JobSchedule.due_at <= PARAMETER) | (JobSchedule.due_at > PARAMETER)
        taken = JobSchedule.update({JobSchedule.due_at: PARAMETER}).where((JobSchedule.name == PARAMETER) & is_due)
        return taken.returning(JobSchedule.name)

    @statement
    def _due(self) -> Query:
        return JobSchedule.select(JobSchedule.due_at).where(JobSchedule.name == PARAMETER)

    # Making

    def ensure(self, connection: Any, lane: Lane) -> None:
        """Make a lane, if it is not known to be there."""
        if not self._known.get(lane):
            connection.execute(self._insert_kind, lane[:1])
            connection.execute(self._insert_lane, lane)
            self._known.note(lane, True)

    def committed(self) -> None:
        """Trust what was made in the transaction."""
        self._known.committed()

    def forget(self) -> None:
        """Forget what was made in a transaction that was rolled back."""
        self._known.rolled_back()

    # Pausing

    def lock(self, connection: Any, lane: Lane, now: datetime) -> bool:
        """Let nobody else claim jobs of this kind until the end of the transaction; False if it is paused."""
        rows = connection.execute(self._lock, lane[:1]).fetchall()
        return bool(rows) and not rows[0][0] and not self.is_paused(connection, lane, now)

    def is_paused(self, connection: Any, lane: Lane, now: datetime) -> bool:
        """Whether a lane is paused, or its destination; a look that locks nothing."""
        rows = connection.execute(self._pause_of, lane).fetchall()
        return not rows or bool(rows[0][0]) or (rows[0][1] is not None and rows[0][1] > to_text(now))

    # Destinations that are down

    def leave_alone(
        self, connection: Any, lanes: Sequence[Lane], reason: str, now: datetime, until: Callable[[int], datetime]
    ) -> datetime | None:
        """Claim no job of the lanes of a destination until a moment; None if they are left alone already."""
        for lane in lanes:
            self.ensure(connection, lane)
        of_destination = self._lock_destination(connection, lanes)
        [[failures, paused_until]] = connection.execute(self._known_of, of_destination).fetchall()
        if paused_until > to_text(now):
            return None
        moment = until(failures + 1)
        connection.execute(self._leave_alone, (to_text(moment), reason, failures + 1, *of_destination))
        return moment

    def failures(self, connection: Any, lanes: Sequence[Lane]) -> int:
        """Return how often in a row the destination of some lanes could not be reached."""
        return connection.execute(self._known_of, self._of_destination(lanes)).fetchall()[0][0]

    def reached(self, connection: Any, lanes: Sequence[Lane]) -> list[Lane]:
        """Forget the failures of a destination; return the lanes that are claimed again."""
        of_destination = self._lock_destination(connection, lanes)
        return [Lane(row[0], lanes[0].destination) for row in connection.execute(self._reached, of_destination)]

    def hold_others(self, connection: Any, lane: Lane, until: datetime) -> None:
        """Leave it to one lane of a destination that could not be reached to try that again."""
        rows = connection.execute(self._pause_of, lane).fetchall()
        if rows and rows[0][2]:
            self._lock_destination(connection, [lane])
            connection.execute(self._hold_others, (to_text(until), lane.destination, lane.kind))

    def has_told_nothing(self, connection: Any, lane: Lane, now: datetime) -> bool:
        """Whether a lane was to try a destination for all, and it is not known what came of that."""
        rows = connection.execute(self._pause_of, lane).fetchall()
        return bool(rows) and rows[0][2] > 0 and (rows[0][1] is None or rows[0][1] <= to_text(now))

    def let_others_try(self, connection: Any, lane: Lane, now: datetime) -> list[Lane]:
        """End `hold_others` where the lane has told nothing; return the lanes that are claimed again."""
        self._lock_destination(connection, [lane])
        if not self.has_told_nothing(connection, lane, now):
            return []
        moment = to_text(now)
        rows = connection.execute(self._let_others, (moment, lane.destination, lane.kind, moment)).fetchall()
        return [Lane(row[0], lane.destination) for row in rows]

    def _lock_destination(self, connection: Any, lanes: Sequence[Lane]) -> tuple[str, Any]:
        self._backend.lock(connection, f"destination\n{lanes[0].destination}")
        return self._of_destination(lanes)

    def _of_destination(self, lanes: Sequence[Lane]) -> tuple[str, Any]:
        return lanes[0].destination, self._backend.list_parameter([lane.kind for lane in lanes])

    def pause(self, connection: Any, kind: str, destination: str | None, paused: bool) -> None:
        """Pause or resume a kind, or one of its lanes; to resume a kind resumes all its lanes."""
        if destination is not None:
            self.ensure(connection, Lane(kind, destination))
            connection.execute(self._pause_lane, (int(paused), kind, destination))
            return
        connection.execute(self._insert_kind, (kind,))
        connection.execute(self._pause_kind, (int(paused), kind))
        if not paused:
            connection.execute(self._resume_lanes, (kind,))

    def pause_destination(self, connection: Any, lanes: Sequence[Lane], paused: bool) -> None:
        """Pause or resume lanes of a destination, under its lock like `leave_alone`: no deadlock."""
        self._lock_destination(connection, lanes)
        for lane in lanes:
            self.pause(connection, lane.kind, lane.destination, paused)

    # Looking

    def all(self, connection: Any, kind: str | None = None) -> list[LaneState]:
        """Return the lanes, or those of one kind."""
        if kind is None:
            rows = connection.execute(self._select).fetchall()
        else:
            rows = connection.execute(self._select_of_kind, (kind,)).fetchall()
        return [
            LaneState(
                lane=Lane(row[0], row[1]),
                paused=bool(row[2] or row[3]),
                due_at=_due_at(row[4], row[7:]),
                paused_until=from_text(row[4]) if row[4] else None,
                pause_reason=row[5] or "",
                failures=row[6],
                is_kind_paused=bool(row[3]),
                is_lane_paused=bool(row[2]),
            )
            for row in rows
        ]

    def counts(self, connection: Any) -> list[JobCount]:
        """Count the jobs by lane and state."""
        return [JobCount(*row[:4], from_text(row[4])) for row in connection.execute(self._counts).fetchall()]

    # What comes periodically

    def is_due(self, connection: Any, name: str, now: datetime, interval_s: float) -> bool:
        """Whether something is due or was never heard of; what is over an interval off was set by a wrong clock."""
        rows = connection.execute(self._due, (name,)).fetchall()
        return not rows or not to_text(now) < rows[0][0] <= _following(now, interval_s)

    def take_periodic(self, connection: Any, name: str, now: datetime, interval_s: float) -> bool:
        """Set the next time of what is due; False if somebody else has been quicker."""
        connection.execute(self._schedule, (name, to_text(now)))
        following = _following(now, interval_s)
        return connection.execute(self._take, (following, name, to_text(now), following)).fetchall() != []


def _is_lane() -> Expression:
    return (JobLanes.kind == PARAMETER) & (JobLanes.destination == PARAMETER)


def _lanes() -> Query:
    """Build the query for the lanes, in their order; a minimum for each priority is the beginning of a range."""
    here = (Jobs.kind == JobLanes.kind) & (Jobs.destination == JobLanes.destination)
    waits = here & (Jobs.state == "waiting") & (Jobs.ready == 1)
    due = [Jobs.select(fn.MIN(Jobs.due_at)).where(waits & (Jobs.priority == priority)) for priority in PRIORITIES]
    rest = (JobLanes.paused_until, JobLanes.pause_reason, JobLanes.failures)
    lanes = JobLanes.select(JobLanes.kind, JobLanes.destination, JobLanes.paused, JobKinds.paused, *rest, *due)
    lanes = lanes.join(JobKinds, on=JobKinds.kind == JobLanes.kind)
    return lanes.order_by(JobLanes.kind, JobLanes.destination)


def _following(now: datetime, interval_s: float) -> str:
    return to_text(now + timedelta(seconds=interval_s))


def _due_at(paused_until: str | None, moments: Sequence[str | None]) -> datetime | None:
    """Return when the next job can be claimed: it is due, and its destination is not left alone."""
    due = [text for text in moments if text]
    return from_text(max(min(due), paused_until or "")) if due else None
