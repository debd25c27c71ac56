"""The lanes of jobs: which there are, which are paused, when their next job is due; and what comes periodically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.memory import Memory
from medserver.index.database.moments import from_text, to_text
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
        self._known: Memory[Lane, bool] = Memory(_REMEMBERED_MAX)
        self._insert_kind = backend.sql("INSERT INTO job_kinds (kind, paused) VALUES (?, 0) ON CONFLICT DO NOTHING")
        self._insert_lane = backend.sql(
            "INSERT INTO job_lanes (kind, destination, paused) VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
        )
        self._lock = backend.sql("SELECT paused FROM job_kinds WHERE kind = ?" + backend.for_update)
        self._at_rest = backend.sql("SELECT paused, rests_until FROM job_lanes WHERE kind = ? AND destination = ?")
        self._failures = backend.sql("SELECT failures FROM job_lanes WHERE kind = ? AND destination = ?")
        self._rest = backend.sql(
            "UPDATE job_lanes SET rests_until = ?, rest_reason = ?, failures = ? WHERE kind = ? AND destination = ?"
        )
        self._wake = backend.sql(
            "UPDATE job_lanes SET rests_until = NULL, rest_reason = NULL, failures = 0 "
            "WHERE kind = ? AND destination = ? AND failures > 0"
        )
        self._pause_kind = backend.sql("UPDATE job_kinds SET paused = ? WHERE kind = ?")
        self._pause_lane = backend.sql("UPDATE job_lanes SET paused = ? WHERE kind = ? AND destination = ?")
        self._resume_lanes = backend.sql("UPDATE job_lanes SET paused = 0 WHERE kind = ?")
        due = ", ".join(
            "(SELECT MIN(due_at) FROM jobs WHERE jobs.kind = job_lanes.kind "
            f"AND jobs.destination = job_lanes.destination AND priority = {priority} "
            "AND state = 'waiting' AND ready = 1)"
            for priority in PRIORITIES
        )
        lanes = (
            "SELECT job_lanes.kind, job_lanes.destination, job_lanes.paused, job_kinds.paused, "
            f"rests_until, rest_reason, failures, {due} "
            "FROM job_lanes JOIN job_kinds ON job_kinds.kind = job_lanes.kind"
        )
        self.select = backend.sql(f"{lanes} ORDER BY job_lanes.kind, job_lanes.destination")
        self._select_of_kind = backend.sql(f"{lanes} WHERE job_lanes.kind = ? ORDER BY job_lanes.destination")
        self._counts = backend.sql(
            "SELECT kind, destination, state, COUNT(*), MIN(created_at) FROM jobs "
            "GROUP BY state, kind, destination ORDER BY kind, destination, state"
        )
        self._schedule = backend.sql("INSERT INTO job_schedule (name, due_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
        self._take = backend.sql(
            "UPDATE job_schedule SET due_at = ? WHERE name = ? AND (due_at <= ? OR due_at > ?) RETURNING name"
        )
        self._due = backend.sql("SELECT due_at FROM job_schedule WHERE name = ?")

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
        """Let nobody else claim jobs of this kind until the end of the transaction; False if it is paused, or rests."""
        rows = connection.execute(self._lock, lane[:1]).fetchall()
        if not rows or rows[0][0]:
            return False
        rows = connection.execute(self._at_rest, lane).fetchall()
        if not rows:
            return False
        paused, rests_until = rows[0]
        return not paused and (rests_until is None or rests_until <= to_text(now))

    def rests(self, connection: Any, lane: Lane, now: datetime) -> bool:
        """Whether a lane rests; a look that locks nothing."""
        rows = connection.execute(self._at_rest, lane).fetchall()
        return bool(rows) and rows[0][1] is not None and rows[0][1] > to_text(now)

    # Resting

    def rest(self, connection: Any, lane: Lane, reason: str, until: Callable[[int], datetime]) -> datetime:
        """Claim no job of a lane until a moment, which depends on the failures in a row; return it."""
        self.ensure(connection, lane)
        failures = self.failures(connection, lane) + 1
        moment = until(failures)
        connection.execute(self._rest, (to_text(moment), reason, failures, *lane))
        return moment

    def failures(self, connection: Any, lane: Lane) -> int:
        """Return how often in a row the destination of a lane could not be reached."""
        rows = connection.execute(self._failures, lane).fetchall()
        return rows[0][0] if rows else 0

    def wake(self, connection: Any, lane: Lane) -> None:
        """Forget the failures of a lane."""
        connection.execute(self._wake, lane)

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

    # Looking

    def all(self, connection: Any, kind: str | None = None) -> list[LaneState]:
        """Return the lanes, or those of one kind."""
        if kind is None:
            rows = connection.execute(self.select).fetchall()
        else:
            rows = connection.execute(self._select_of_kind, (kind,)).fetchall()
        return [
            LaneState(
                lane=Lane(row[0], row[1]),
                paused=bool(row[2] or row[3]),
                due_at=_due_at(row[4], row[7:]),
                rests_until=from_text(row[4]) if row[4] else None,
                rest_reason=row[5] or "",
                failures=row[6],
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


def _following(now: datetime, interval_s: float) -> str:
    return to_text(now + timedelta(seconds=interval_s))


def _due_at(rests_until: str | None, moments: Sequence[str | None]) -> datetime | None:
    """Return when the next job can be claimed: it is due, and the lane does not rest."""
    due = [text for text in moments if text]
    return from_text(max(min(due), rests_until or "")) if due else None
