"""How far off a moment of a job may be: what lies further off was written while a clock was ahead.

A clock that was three hours ahead, and is corrected, leaves moments behind that come three hours late. Nothing waits
longer than its kind ever lets it wait: ``due = min(due, now + longest wait of the kind)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import to_text
from medserver.index.jobs.records import HIGH, LOW, MEDIUM, Lane

PAGE_ROWS = 500


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
        self.due = backend.sql(
            "SELECT id FROM jobs WHERE kind = ? AND destination = ? AND priority = ? AND state = 'waiting' "
            "AND ready = 1 AND due_at > ? AND (attempts > 0 AND due_at > ? OR attempts = 0 AND due_at > ?) "
            f"LIMIT {PAGE_ROWS}"
        )
        self.leases = backend.sql(
            "SELECT id FROM jobs WHERE state = 'running' AND kind = ? AND destination = ? AND lease_until > ?"
        )
        self._cap_due = backend.sql(
            "UPDATE jobs SET due_at = CASE WHEN attempts > 0 THEN ? ELSE ? END "
            f"WHERE state = 'waiting' AND due_at > ? AND id {backend.among}"
        )
        self._cap_leases = backend.sql(
            f"UPDATE jobs SET lease_until = ? WHERE state = 'running' AND lease_until > ? AND id {backend.among}"
        )
        self._rests = backend.sql("SELECT kind, destination FROM job_lanes WHERE rests_until > ?")
        self._cap_rests = backend.sql("UPDATE job_lanes SET rests_until = ? WHERE rests_until > ?")

    def excess(
        self, connection: Any, lanes: Mapping[Lane, Waits], rest_s: float, now: datetime
    ) -> dict[Lane, tuple[list[int], list[int]]]:
        """Find the jobs that are due, and the leases that end, later than any wait of their kind; lock nothing."""
        resting = {Lane(*row) for row in connection.execute(self._rests, (_after(now, rest_s),)).fetchall()}
        found = {}
        for lane, waits in lanes.items():
            again, first = _after(now, waits.again_s), _after(now, waits.first_s)
            due: list[int] = []
            for priority in (HIGH, MEDIUM, LOW):
                parameters = (*lane, priority, min(again, first), again, first)
                due += _ids(connection.execute(self.due, parameters))
            leases = list(_ids(connection.execute(self.leases, (*lane, _after(now, waits.lease_s)))))
            if due or leases or lane in resting:
                found[lane] = (due, leases)
        return found

    def cap(
        self,
        connection: Any,
        found: Mapping[Lane, tuple[list[int], list[int]]],
        lanes: Mapping[Lane, Waits],
        rest_s: float,
        now: datetime,
    ) -> None:
        """Let what `excess` has found come after the longest wait of its kind, as far as it still lies beyond."""
        rest = _after(now, rest_s)
        connection.execute(self._cap_rests, (rest, rest))
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
