"""How far off a moment of a job may be: what lies further off was written while a clock was ahead.

A clock that was three hours ahead, and is corrected, leaves moments behind that come three hours late. Nothing waits
longer than its kind ever lets it wait: ``due = min(due, now + longest wait of the kind)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from peewee import Case, Query

from medserver.index.database.backend import Backend
from medserver.index.database.models import JobLanes, Jobs
from medserver.index.database.moments import to_text
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.jobs.records import HIGH, LOW, MEDIUM, Lane

PAGE_ROWS = 500

SLACK_S = 5.0
"""How long a look takes at most, in which others write moments by their later time [s]."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The longest waits of a kind of job.

    Parameters
    ----------
    first_s : float
        From when it is added to its first attempt [s].
    again_s : float
        From an attempt to the next [s].
    lease_s : float
        From a claim, or the last extension of its lease, to the end of that [s].
    """

    first_s: float
    again_s: float
    lease_s: float


class WaitTable:
    """The SQL of that.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _due(self) -> Query:
        lane = (Jobs.kind == PARAMETER) & (Jobs.destination == PARAMETER) & (Jobs.priority == PARAMETER)
        waits = lane & (Jobs.state == "waiting") & (Jobs.ready == 1) & (Jobs.due_at > PARAMETER)
        again, first = (Jobs.attempts > 0) & (Jobs.due_at > PARAMETER), (Jobs.attempts == 0) & (Jobs.due_at > PARAMETER)
        return Jobs.select(Jobs.id).where(waits & (again | first)).limit(PAGE_ROWS)

    @statement
    def _leases(self) -> Query:
        of_lane = (Jobs.state == "running") & (Jobs.kind == PARAMETER) & (Jobs.destination == PARAMETER)
        return Jobs.select(Jobs.id).where(of_lane & (Jobs.lease_until > PARAMETER))

    @statement
    def _cap_due(self) -> Query:
        cap = Case(None, [(Jobs.attempts > 0, PARAMETER)], PARAMETER)
        beyond = (Jobs.state == "waiting") & (Jobs.due_at > PARAMETER) & self._backend.is_among(Jobs.id)
        return Jobs.update({Jobs.due_at: cap}).where(beyond)

    @statement
    def _cap_leases(self) -> Query:
        beyond = (Jobs.state == "running") & (Jobs.lease_until > PARAMETER) & self._backend.is_among(Jobs.id)
        return Jobs.update({Jobs.lease_until: PARAMETER}).where(beyond)

    @statement
    def _pauses(self) -> Query:
        return JobLanes.select(JobLanes.kind, JobLanes.destination).where(JobLanes.paused_until > PARAMETER)

    @statement
    def _cap_pauses(self) -> Query:
        return JobLanes.update({JobLanes.paused_until: PARAMETER}).where(JobLanes.paused_until > PARAMETER)

    def excess(
        self, connection: Any, lanes: Mapping[Lane, Waits], pause_s: float, now: datetime
    ) -> dict[Lane, tuple[list[int], list[int]]]:
        """Find the jobs that are due, and the leases that end, later than any wait of their kind; lock nothing.

        What was written since `now` was read is `SLACK_S` later at most, and no sign of a clock that was ahead.
        """
        now += timedelta(seconds=SLACK_S)
        paused = {Lane(*row) for row in connection.execute(self._pauses, (_after(now, pause_s),)).fetchall()}
        found = {}
        for lane, waits in lanes.items():
            again, first = _after(now, waits.again_s), _after(now, waits.first_s)
            due: list[int] = []
            for priority in (HIGH, MEDIUM, LOW):
                parameters = (*lane, priority, min(again, first), again, first)
                due += _ids(connection.execute(self._due, parameters))
            leases = list(_ids(connection.execute(self._leases, (*lane, _after(now, waits.lease_s)))))
            if due or leases or lane in paused:
                found[lane] = (due, leases)
        return found

    def cap(
        self,
        connection: Any,
        found: Mapping[Lane, tuple[list[int], list[int]]],
        lanes: Mapping[Lane, Waits],
        pause_s: float,
        now: datetime,
    ) -> None:
        """Let what `excess` has found come after the longest wait of its kind, as far as it still lies beyond."""
        pause = _after(now, pause_s)
        connection.execute(self._cap_pauses, (pause, pause))
        for lane, (due, leases) in found.items():
            waits = lanes[lane]
            again, first = _after(now, waits.again_s), _after(now, waits.first_s)
            if due:
                listed = self._backend.list_parameter(due)
                connection.execute(self._cap_due, (again, first, min(again, first), listed))
            if leases:
                end = _after(now, waits.lease_s)
                connection.execute(self._cap_leases, (end, end, self._backend.list_parameter(leases)))


def _after(now: datetime, seconds: float) -> str:
    return to_text(now + timedelta(seconds=seconds))


def _ids(cursor: Any) -> Iterator[int]:
    return (row[0] for row in cursor.fetchall())
