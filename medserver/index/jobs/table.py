"""The table of jobs: the SQL of adding, claiming and settling them. Every method works in a transaction of its caller.

How a state leads to the next::

    add --> waiting --claim--> running --done--> (deleted)
               ^  ^               |
               |  +--retry, released, lease expired
               |                  |
               +---- retry ---- dead                       drop: waiting or dead --> (deleted)
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.jobs.lanes import PRIORITIES, LaneTable
from medserver.index.jobs.order import IS_READY, Order, OrderKey
from medserver.index.jobs.records import ERROR_LENGTH_MAX, Job, JobFilter, Lane, NewJob, PayloadCount, Verdict

PAGE_ROWS = 500
EXPIRED = "the lease ran out: its worker was killed, or lost the database"

_COLUMNS = (
    "id, kind, destination, order_key, payload, priority, state, attempts, due_at, created_at, lease_until, owner, "
    "last_error"
)
_CLAIMABLE = "kind = ? AND destination = ? AND priority = ? AND state = 'waiting' AND ready = 1 AND due_at <= ?"
_MATCHES = "(? IS NULL OR kind = ?) AND (? IS NULL OR destination = ?) AND (? IS NULL OR state = ?)"


class JobTable:
    """The table of jobs.

    Parameters
    ----------
    backend : Backend
        The database.
    lanes : LaneTable
        The lanes that the jobs belong to.
    """

    def __init__(self, backend: Backend, lanes: LaneTable) -> None:
        self._backend = backend
        self._lanes = lanes
        self._order = Order(backend)
        self._prepare_life()
        self._prepare_administration()

    def _prepare_life(self) -> None:
        sql, among = self._backend.sql, self._backend.among
        self._insert = sql(
            "INSERT INTO jobs (kind, destination, order_key, payload, priority, state, ready, attempts, due_at, "
            "created_at) VALUES (?, ?, ?, ?, ?, 'waiting', ?, 0, ?, ?) RETURNING id"
        )
        self._running = sql(
            "SELECT COUNT(DISTINCT owner), COUNT(DISTINCT CASE WHEN destination = ? THEN owner END) FROM jobs "
            "WHERE state = 'running' AND kind = ?"
        )
        self.claimable = sql(
            f"SELECT {_COLUMNS} FROM jobs WHERE {_CLAIMABLE} ORDER BY due_at, id LIMIT ?" + self._backend.skip_locked
        )
        self._begin = sql(
            "UPDATE jobs SET state = 'running', owner = ?, lease_until = ?, attempts = attempts + 1 "
            f"WHERE id {among}"
        )
        self._complete = sql(f"DELETE FROM jobs WHERE owner = ? AND state = 'running' AND id {among} RETURNING id")
        self._wait = sql(
            "UPDATE jobs SET state = 'waiting', owner = NULL, lease_until = NULL, due_at = ?, attempts = attempts - ?, "
            f"last_error = COALESCE(?, last_error), ready = {IS_READY} "
            "WHERE owner = ? AND state = 'running' AND id = ? RETURNING id"
        )
        self._bury = sql(
            "UPDATE jobs SET state = 'dead', ready = 0, owner = NULL, lease_until = NULL, last_error = ? "
            "WHERE owner = ? AND state = 'running' AND id = ? RETURNING id"
        )
        self._extend = sql("UPDATE jobs SET lease_until = ? WHERE state = 'running' AND owner = ? AND id " + among)
        self._owners = sql("SELECT DISTINCT owner FROM jobs WHERE state = 'running'")
        self._expire = sql("UPDATE jobs SET lease_until = ? WHERE state = 'running' AND owner = ? AND lease_until > ?")
        self.expired = sql(
            f"SELECT {_COLUMNS} FROM jobs WHERE state = 'running' AND lease_until < ? "
            f"ORDER BY lease_until LIMIT {PAGE_ROWS}"
        )
        self._still_expired = sql(
            f"SELECT {_COLUMNS} FROM jobs WHERE state = 'running' AND lease_until < ? AND id {among} ORDER BY id"
            + self._backend.skip_locked
        )

    def _prepare_administration(self) -> None:
        sql, among = self._backend.sql, self._backend.among
        if self._backend.name == "postgresql":  # which does not guess the type of a parameter from IS NULL
            matches = _MATCHES.replace("? IS", "CAST(? AS TEXT) IS")
        else:
            matches = _MATCHES
        self._page = sql(f"SELECT {_COLUMNS} FROM jobs WHERE {matches} AND id > ? ORDER BY id LIMIT ?")
        self._some = sql(f"SELECT {_COLUMNS} FROM jobs WHERE id {among} ORDER BY id")
        self._lock_some = sql(
            f"SELECT {_COLUMNS} FROM jobs WHERE id {among} AND state <> 'running' ORDER BY id"
            + self._backend.for_update
        )
        self._revive = sql(
            "UPDATE jobs SET due_at = ?, attempts = CASE WHEN state = 'dead' THEN 0 ELSE attempts END, "
            f"state = 'waiting', ready = {IS_READY} WHERE id = ? AND state <> 'running' RETURNING id"
        )
        self._amend = sql("UPDATE jobs SET payload = ? WHERE id = ? AND state <> 'running' RETURNING id")
        self._drop = sql(f"DELETE FROM jobs WHERE state <> 'running' AND id {among} RETURNING id")

    # A job's life

    def add(self, connection: Any, jobs: Sequence[NewJob], now: datetime) -> list[int]:
        """Add jobs, and return their numbers."""
        moment = to_text(now)
        for lane in sorted({job.lane for job in jobs}):
            self._lanes.ensure(connection, lane)
        self._order.lock(connection, map(_key_of_new, jobs))
        return [self._add(connection, job, moment) for job in jobs]

    def _add(self, connection: Any, job: NewJob, moment: str) -> int:
        """Add a job whose lane is there and whose order key is locked."""
        ready = not job.order_key or not self._order.has_any(connection, _key_of_new(job))
        due_at = to_text(job.due_at) if job.due_at else moment
        row = (*job.lane, job.order_key, job.payload_text(), job.priority, int(ready), due_at, moment)
        return connection.execute(self._insert, row).fetchall()[0][0]

    def add_only(self, connection: Any, job: NewJob, order_key: str, now: datetime) -> bool:
        """Add a job with an order key unless another one with it waits or runs; tell whether it was added."""
        self._lanes.ensure(connection, job.lane)
        [key] = self._order.lock(connection, [OrderKey(*job.lane, order_key)])
        if self._order.has_any(connection, key):
            return False
        self._add(connection, replace(job, order_key=order_key), to_text(now))
        return True

    def has_claimable(self, connection: Any, lane: Lane, now: datetime) -> bool:
        """Whether a lane has a job that is due, and does not rest; a look that locks nothing."""
        if self._lanes.rests(connection, lane, now):
            return False
        statement = self.claimable.removesuffix(self._backend.skip_locked)
        return any(
            connection.execute(statement, (*lane, level, to_text(now), 1)).fetchall() for level in PRIORITIES
        )

    def claim(
        self,
        connection: Any,
        lane: Lane,
        *,
        owner: str,
        now: datetime,
        lease_until: datetime,
        limit: int,
        concurrency: int,
        destination_concurrency: int,
    ) -> list[Job]:
        """Claim the jobs of a lane whose turn it is; see `Jobs.claim`."""
        if not self._lanes.lock(connection, lane, now):
            return []
        [[of_kind, of_lane]] = connection.execute(self._running, (lane.destination, lane.kind)).fetchall()
        if of_kind >= concurrency or of_lane >= destination_concurrency:
            return []
        rows: list[Sequence[Any]] = []
        for level in PRIORITIES:
            if len(rows) < limit:
                parameters = (*lane, level, to_text(now), limit - len(rows))
                rows += connection.execute(self.claimable, parameters).fetchall()
        if not rows:
            return []
        ids = self._backend.list_parameter([row[0] for row in rows])
        connection.execute(self._begin, (owner, to_text(lease_until), ids))
        return [
            _job((*row[:6], "running", row[7] + 1, *row[8:10], to_text(lease_until), owner, row[12])) for row in rows
        ]

    def settle(
        self, connection: Any, verdicts: Sequence[Verdict], now: datetime, following: Sequence[NewJob] = ()
    ) -> set[int]:
        """Do with jobs what the verdicts say, and add those that follow.

        Returns
        -------
        set of int
            The numbers of those that still belonged to their claim.
        """
        for lane in sorted({job.lane for job in following}):
            self._lanes.ensure(connection, lane)
        keys = [_key(verdict.job) for verdict in verdicts]
        self._order.lock(connection, [*keys, *map(_key_of_new, following)])
        settled = self._settle(connection, verdicts, now)
        self._order.promote(connection, sorted({key for key in keys if key.order_key}))
        self.add(connection, following, now)
        return settled

    def _settle(self, connection: Any, verdicts: Sequence[Verdict], now: datetime) -> set[int]:
        settled: set[int] = set()
        done: dict[str, list[int]] = {}
        for verdict in verdicts:
            job = verdict.job
            if verdict.outcome == "done":
                done.setdefault(job.owner or "", []).append(job.id)
            elif verdict.outcome == "dead":
                settled |= _ids(connection.execute(self._bury, (_text(verdict.error), job.owner, job.id)))
            else:
                settled |= self._put_back(connection, verdict, now)
        for owner, ids in done.items():
            settled |= _ids(connection.execute(self._complete, (owner, self._backend.list_parameter(ids))))
        return settled

    def _put_back(self, connection: Any, verdict: Verdict, now: datetime) -> set[int]:
        """Let a job wait again: after a failure, or because it was not tried."""
        released = int(verdict.outcome == "released")
        error = _text(verdict.error) or None
        due_at = to_text(verdict.due_at or now)
        return _ids(connection.execute(self._wait, (due_at, released, error, verdict.job.owner, verdict.job.id)))

    def extend(self, connection: Any, owner: str, ids: Collection[int], lease_until: datetime) -> None:
        """Extend the lease of jobs that belong to a claim."""
        connection.execute(self._extend, (to_text(lease_until), owner, self._backend.list_parameter(list(ids))))

    def owners(self, connection: Any) -> list[str]:
        """Return who has jobs now."""
        return [row[0] for row in connection.execute(self._owners).fetchall()]

    def expire(self, connection: Any, owner: str, now: datetime) -> None:
        """Let the leases of a claim end a moment ago, unless they have."""
        ended = to_text(now - timedelta(microseconds=1))
        connection.execute(self._expire, (ended, owner, ended))

    def has_expired(self, connection: Any, now: datetime) -> bool:
        """Whether the lease of any job has run out; a look that locks nothing."""
        return bool(connection.execute(self.expired, (to_text(now),)).fetchall())

    def sweep(self, connection: Any, now: datetime, attempts_max: Mapping[str, int]) -> list[Job]:
        """Take back jobs whose lease has run out, a page of them, and return them as they were."""
        rows = connection.execute(self.expired, (to_text(now),)).fetchall()
        self._order.lock(connection, (OrderKey(*row[1:4]) for row in rows))  # before the jobs, as everybody
        ids = self._backend.list_parameter([row[0] for row in rows])
        rows = connection.execute(self._still_expired, (to_text(now), ids)).fetchall()
        jobs = [_job(row) for row in rows]
        verdicts = []
        for job in jobs:
            is_last = job.kind in attempts_max and job.attempts >= attempts_max[job.kind]
            verdicts.append(Verdict(job, "dead" if is_last else "retry", now, EXPIRED))
        settled = self.settle(connection, verdicts, now)
        return [job for job in jobs if job.id in settled]

    # Administration

    def page(self, connection: Any, chosen: JobFilter, after: int, limit: int = PAGE_ROWS) -> list[Job]:
        """Return the next jobs after a number."""
        filters = (chosen.kind, chosen.destination, chosen.state)
        parameters = (*(value for each in filters for value in (each, each)), after, limit)
        return [_job(row) for row in connection.execute(self._page, parameters).fetchall()]

    def some(self, connection: Any, ids: Sequence[int]) -> list[Job]:
        """Return jobs by their numbers, those that there are."""
        parameters = (self._backend.list_parameter(ids),)
        return [_job(row) for row in connection.execute(self._some, parameters).fetchall()]

    def revive(self, connection: Any, ids: Sequence[int], now: datetime) -> list[Job]:
        """Let jobs that wait or are dead be due now; return them as they were."""
        jobs, keys = self._locked(connection, ids)
        revived: set[int] = set()
        for job in jobs:
            revived |= _ids(connection.execute(self._revive, (to_text(now), job.id)))
        self._order.renew(connection, keys)
        return [job for job in jobs if job.id in revived]

    def amend(self, connection: Any, ids: Sequence[int], changes: Mapping[str, Any], now: datetime) -> list[Job]:
        """Change the payloads of jobs that don't run, and let them be due now; return them as they were."""
        jobs, keys = self._locked(connection, ids)
        amended: set[int] = set()
        for job in jobs:
            changed = NewJob(job.kind, {**job.payload, **changes})
            if connection.execute(self._amend, (changed.payload_text(), job.id)).fetchall():
                amended |= _ids(connection.execute(self._revive, (to_text(now), job.id)))
        self._order.renew(connection, keys)
        return [job for job in jobs if job.id in amended]

    def counts_by(self, connection: Any, keys: Sequence[str], kinds: Sequence[str]) -> list[PayloadCount]:
        """Count the jobs of some kinds that don't run, by lane and what their payload says for some keys."""
        payload = "CAST(payload AS json)" if self._backend.name == "postgresql" else "payload"
        values = ", ".join([f"{payload} ->> ?"] * len(keys))
        columns = ", ".join(str(number) for number in range(1, len(keys) + 3))
        statement = self._backend.sql(
            f"SELECT kind, destination, {values}, COUNT(*) FROM jobs WHERE state <> 'running' "
            f"AND kind {self._backend.among} GROUP BY {columns} ORDER BY {columns}"
        )
        rows = connection.execute(statement, (*keys, self._backend.list_parameter(kinds))).fetchall()
        return [PayloadCount(kind, destination, tuple(found), count) for kind, destination, *found, count in rows]

    def drop(self, connection: Any, ids: Sequence[int]) -> list[Job]:
        """Delete jobs that don't run; return them."""
        jobs, keys = self._locked(connection, ids)
        dropped = _ids(connection.execute(self._drop, (self._backend.list_parameter(ids),)))
        self._order.promote(connection, keys)
        return [job for job in jobs if job.id in dropped]

    def _locked(self, connection: Any, ids: Sequence[int]) -> tuple[list[Job], list[OrderKey]]:
        """Lock order keys, then jobs: everybody in this order."""
        keys = self._order.lock(connection, map(_key, self.some(connection, ids)))
        rows = connection.execute(self._lock_some, (self._backend.list_parameter(ids),)).fetchall()
        return [_job(row) for row in rows], keys


def _key(job: Job) -> OrderKey:
    return OrderKey(job.kind, job.destination, job.order_key)


def _key_of_new(job: NewJob) -> OrderKey:
    return OrderKey(*job.lane, job.order_key)


def _ids(cursor: Any) -> set[int]:
    return {row[0] for row in cursor.fetchall()}


def _text(error: str) -> str:
    """Return an error as the databases can hold it."""
    return error[:ERROR_LENGTH_MAX].replace("\0", "").encode("utf-8", "replace").decode()


def _job(row: Sequence[Any]) -> Job:
    return Job(
        *row[:4],
        payload=json.loads(row[4]),
        priority=row[5],
        state=row[6],
        attempts=row[7],
        due_at=from_text(row[8]),
        created_at=from_text(row[9]),
        lease_until=from_text(row[10]) if row[10] else None,
        owner=row[11],
        last_error=row[12],
    )
