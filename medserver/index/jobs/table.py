"""The table of jobs: the SQL of adding, claiming and settling them. Every method works in a transaction of its caller.

How a state leads to the next::

    add --> waiting --claim--> running --done--> (deleted)
               ^  ^               |
               |  +--retry, released, changed, lease expired
               |                  |
               +-- retry -- dead, undecided            drop: waiting, dead or undecided --> (deleted)

A job that is changed keeps its number and its age: what was wanted is one row until it is done, whatever has to be done
for it next. One that was not tried keeps its place as well: it is due as before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from peewee import EXCLUDED, SQL, Case, Expression, Node, Query, Select, fn

from medserver.index.database.backend import Backend
from medserver.index.database.models import Delivered as DeliveredRows
from medserver.index.database.models import Instances, Jobs
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, spelled, statement
from medserver.index.jobs.lanes import PRIORITIES, LaneTable
from medserver.index.jobs.order import Order, OrderKey, is_ready
from medserver.index.jobs.records import (
    ERROR_LENGTH_MAX,
    IN_TURN,
    STATES,
    Job,
    JobFilter,
    JobGroup,
    Lane,
    NewJob,
    PayloadCount,
    Verdict,
    payload_text,
)

PAGE_ROWS = 500
TRIED_WITHIN_S = 60.0
"""How long the other lanes of a destination that could not be reached wait for what comes of the one that tries it."""

EXPIRED = "the lease ran out: its worker was killed, or lost the database"

_COLUMNS = [
    *(Jobs.id, Jobs.kind, Jobs.destination, Jobs.order_key, Jobs.payload, Jobs.priority, Jobs.state, Jobs.attempts),
    *(Jobs.due_at, Jobs.created_at, Jobs.lease_until, Jobs.owner, Jobs.last_error),
]
_IS_HELD = (Jobs.owner == PARAMETER) & (Jobs.state == "running")
_IS_EXPIRED = (Jobs.state == "running") & (Jobs.lease_until < PARAMETER)


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

    @statement
    def _insert(self) -> Query:
        given = ("kind", "destination", "order_key", "payload", "priority", "ready", "due_at", "created_at")
        return insertion(Jobs, given, state="waiting", attempts=0).returning(Jobs.id)

    @statement
    def _running(self) -> Query:
        of_lane = Case(None, [(Jobs.destination == PARAMETER, Jobs.owner)])
        counts = (fn.COUNT(Jobs.owner.distinct()), fn.COUNT(fn.DISTINCT(of_lane)))
        return Jobs.select(*counts).where((Jobs.state == "running") & (Jobs.kind == PARAMETER))

    @statement
    def _claimable(self) -> Query:
        return self._backend.locked(_claimable(*_COLUMNS), skips=True)

    @statement
    def _has_claimable(self) -> Query:
        return _claimable(SQL("1"))

    @statement
    def _begin(self) -> Query:
        claimed = {Jobs.state: "running", Jobs.owner: PARAMETER, Jobs.lease_until: PARAMETER}
        return Jobs.update({**claimed, Jobs.attempts: Jobs.attempts + 1}).where(self._backend.is_among(Jobs.id))

    @statement
    def _complete(self) -> Query:
        return Jobs.delete().where(_IS_HELD & self._backend.is_among(Jobs.id)).returning(Jobs.id)

    @statement
    def _wait(self) -> Query:
        waiting = {
            **{Jobs.state: "waiting", Jobs.owner: None, Jobs.lease_until: None},
            Jobs.due_at: fn.COALESCE(PARAMETER, Jobs.due_at),
            Jobs.attempts: Jobs.attempts - PARAMETER,
            Jobs.last_error: fn.COALESCE(PARAMETER, Jobs.last_error),
            Jobs.ready: is_ready(),
        }
        return Jobs.update(waiting).where(_IS_HELD & (Jobs.id == PARAMETER)).returning(Jobs.id)

    @statement
    def _change(self) -> Query:
        changed = {
            **{Jobs.state: "waiting", Jobs.owner: None, Jobs.lease_until: None, Jobs.last_error: PARAMETER},
            **{Jobs.kind: PARAMETER, Jobs.destination: PARAMETER, Jobs.payload: PARAMETER, Jobs.due_at: PARAMETER},
            **{Jobs.attempts: 0, Jobs.ready: 1},
        }
        in_any_order = Jobs.order_key == ""
        return Jobs.update(changed).where(_IS_HELD & in_any_order & (Jobs.id == PARAMETER)).returning(Jobs.id)

    @statement
    def _set_aside(self) -> Query:
        ended = {Jobs.ready: 0, Jobs.owner: None, Jobs.lease_until: None}
        ended |= {Jobs.state: PARAMETER, Jobs.last_error: PARAMETER}
        return Jobs.update(ended).where(_IS_HELD & (Jobs.id == PARAMETER)).returning(Jobs.id)

    @statement
    def _deliver(self) -> Query:
        keys = [DeliveredRows.sop_instance_uid, DeliveredRows.digest, DeliveredRows.destination]
        values = (*keys, DeliveredRows.rule, DeliveredRows.is_committed, DeliveredRows.delivered_at)
        # What was deleted meanwhile has taken what was known of its deliveries along.
        instance = Instances.select(SQL("1")).where(Instances.sop_instance_uid == PARAMETER)
        row = Select(columns=[PARAMETER] * len(values)).where(fn.EXISTS(instance))
        renewed = {
            field: EXCLUDED[field.column_name]
            for field in (DeliveredRows.rule, DeliveredRows.is_committed, DeliveredRows.delivered_at)
        }
        return DeliveredRows.insert_from(row, values).on_conflict(conflict_target=keys, update=renewed)

    @statement
    def _extend(self) -> Query:
        return Jobs.update({Jobs.lease_until: PARAMETER}).where(_IS_HELD & self._backend.is_among(Jobs.id))

    @statement
    def _owners(self) -> Query:
        return Jobs.select(Jobs.owner).where(Jobs.state == "running").distinct()

    @statement
    def _expire(self) -> Query:
        return Jobs.update({Jobs.lease_until: PARAMETER}).where(_IS_HELD & (Jobs.lease_until > PARAMETER))

    @statement
    def _expired(self) -> Query:
        return Jobs.select(*_COLUMNS).where(_IS_EXPIRED).order_by(Jobs.lease_until).limit(PAGE_ROWS)

    @statement
    def _still_expired(self) -> Query:
        expired = Jobs.select(*_COLUMNS).where(_IS_EXPIRED & self._backend.is_among(Jobs.id)).order_by(Jobs.id)
        return self._backend.locked(expired, skips=True)

    @statement
    def _page(self) -> Query:
        # A filter that is not given is NULL: the rows are read in their order, however many others there are.
        fits = [
            PARAMETER.cast("TEXT").is_null() | (field == PARAMETER)
            for field in (Jobs.kind, Jobs.destination, Jobs.state)
        ]
        return Jobs.select(*_COLUMNS).where(*fits, Jobs.id > PARAMETER).order_by(Jobs.id).limit(PARAMETER)

    @statement
    def _due_later(self) -> Query:
        lane = (Jobs.kind == PARAMETER) & (Jobs.destination == PARAMETER) & (Jobs.priority == PARAMETER)
        waits = lane & (Jobs.state == "waiting") & (Jobs.ready == 1) & (Jobs.due_at >= PARAMETER)
        is_next = (Jobs.due_at > PARAMETER) | (Jobs.id > PARAMETER)
        later = Jobs.select(*_COLUMNS).where(waits & is_next & Jobs.last_error.is_null())
        return later.order_by(Jobs.due_at, Jobs.id).limit(PARAMETER)

    @statement
    def _some(self) -> Query:
        return Jobs.select(*_COLUMNS).where(self._backend.is_among(Jobs.id)).order_by(Jobs.id)

    @statement
    def _lock_some(self) -> Query:
        idle = self._backend.is_among(Jobs.id) & (Jobs.state != "running")
        return self._backend.locked(Jobs.select(*_COLUMNS).where(idle).order_by(Jobs.id))

    @statement
    def _revive(self) -> Query:
        waiting = {
            Jobs.due_at: PARAMETER,
            Jobs.attempts: Case(None, [(Jobs.state == "waiting", Jobs.attempts)], 0),
            Jobs.state: "waiting",
            Jobs.ready: is_ready(),
        }
        return Jobs.update(waiting).where((Jobs.id == PARAMETER) & (Jobs.state != "running")).returning(Jobs.id)

    @statement
    def _amend(self) -> Query:
        idle = (Jobs.id == PARAMETER) & (Jobs.state != "running")
        return Jobs.update({Jobs.payload: PARAMETER}).where(idle).returning(Jobs.id)

    @statement
    def _drop(self) -> Query:
        return Jobs.delete().where((Jobs.state != "running") & self._backend.is_among(Jobs.id)).returning(Jobs.id)

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
        """Whether a lane has a job that is due, and is not paused; a look that locks nothing."""
        if self._lanes.is_paused(connection, lane, now):
            return False
        return any(
            connection.execute(self._has_claimable, (*lane, level, to_text(now), 1)).fetchall() for level in PRIORITIES
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
    ) -> list[Sequence[Any]]:
        """Claim the jobs of a lane whose turn it is, see `Jobs.claim`; return their rows, for `claimed`."""
        if not self._lanes.lock(connection, lane, now):
            return []
        [[of_kind, of_lane]] = connection.execute(self._running, (lane.destination, lane.kind)).fetchall()
        if of_kind >= concurrency or of_lane >= destination_concurrency:
            return []
        rows: list[Sequence[Any]] = []
        for level in PRIORITIES:
            if len(rows) < limit:
                parameters = (*lane, level, to_text(now), limit - len(rows))
                rows += connection.execute(self._claimable, parameters).fetchall()
        if not rows:
            return []
        ids = self._backend.list_parameter([row[0] for row in rows])
        connection.execute(self._begin, (owner, to_text(lease_until), ids))
        self._lanes.hold_others(connection, lane, now + timedelta(seconds=TRIED_WITHIN_S))
        return rows

    @staticmethod
    def claimed(rows: Iterable[Sequence[Any]], owner: str, lease_until: datetime) -> list[Job]:
        """Return the jobs of which `claim` has returned the rows; outside of its transaction, for which others wait."""
        until = to_text(lease_until)
        return [_job((*row[:6], "running", row[7] + 1, *row[8:10], until, owner, row[12])) for row in rows]

    def settle(
        self, connection: Any, verdicts: Sequence[Verdict], now: datetime, following: Sequence[NewJob] = ()
    ) -> set[int]:
        """Do with jobs what the verdicts say, and add those that follow.

        Returns
        -------
        set of int
            The numbers of those that still belonged to their claim.
        """
        changes = {each.change.lane_of(each.job) for each in verdicts if each.change}
        for lane in sorted({job.lane for job in following} | changes):
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
            elif verdict.outcome in ("dead", "undecided"):
                aside = (verdict.outcome, _text(verdict.error), job.owner, job.id)
                settled |= _ids(connection.execute(self._set_aside, aside))
            elif verdict.change is not None:
                change = verdict.change
                becomes = (_text(change.answer) or None, *change.lane_of(job), payload_text(change.payload))
                row = (*becomes, to_text(change.due_at), job.owner, job.id)
                settled |= _ids(connection.execute(self._change, row))
            else:
                settled |= self._put_back(connection, verdict)
        for owner, ids in done.items():
            settled |= _ids(connection.execute(self._complete, (owner, self._backend.list_parameter(ids))))
        self._note_delivered(connection, [each for each in verdicts if each.job.id in settled], now)
        return settled

    def _put_back(self, connection: Any, verdict: Verdict) -> set[int]:
        """Let a job wait again: after a failure, or because it was not tried."""
        released = int(verdict.outcome == "released")
        error = _text(verdict.error) or None
        due_at = to_text(verdict.due_at) if verdict.due_at else None
        return _ids(connection.execute(self._wait, (due_at, released, error, verdict.job.owner, verdict.job.id)))

    def _note_delivered(self, connection: Any, verdicts: Sequence[Verdict], now: datetime) -> None:
        noted = [each.delivered for each in verdicts if each.delivered is not None]
        moment = to_text(now)
        rows = [(each.sop_instance_uid, each.digest, each.destination, each.rule, each.is_committed) for each in noted]
        for *key, rule, is_committed in sorted(rows):  # in one order, as everybody
            connection.execute(self._deliver, (*key, rule, int(is_committed), moment, key[0]))

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
        return bool(connection.execute(self._expired, (to_text(now),)).fetchall())

    def sweep(self, connection: Any, now: datetime, attempts_max: Mapping[str, int]) -> list[Job]:
        """Take back jobs whose lease has run out, a page of them, and return them as they were."""
        rows = connection.execute(self._expired, (to_text(now),)).fetchall()
        self._order.lock(connection, (OrderKey(*row[1:4]) for row in rows))  # before the jobs, as everybody
        ids = self._backend.list_parameter([row[0] for row in rows])
        rows = connection.execute(self._still_expired, (to_text(now), ids)).fetchall()
        jobs = [_job(row) for row in rows]
        verdicts = []
        for job in jobs:
            is_last = job.kind in attempts_max and job.attempts >= attempts_max[job.kind]
            verdicts.append(Verdict(job, "dead" if is_last else "retry", error=EXPIRED))
        settled = self.settle(connection, verdicts, now)
        return [job for job in jobs if job.id in settled]

    # Administration

    def page(self, connection: Any, chosen: JobFilter, after: int, limit: int = PAGE_ROWS) -> list[Job]:
        """Return the next jobs after a number."""
        filters = (chosen.kind, chosen.destination, chosen.state)
        parameters = (*(value for each in filters for value in (each, each)), after, limit)
        return [_job(row) for row in connection.execute(self._page, parameters).fetchall()]

    def due_later(
        self, connection: Any, lane: Lane, priority: int, due_at: datetime, after: int, limit: int = PAGE_ROWS
    ) -> list[Job]:
        """Return the next jobs of a lane that have not failed, and are due later than a moment and a number."""
        moment = to_text(due_at)
        parameters = (*lane, priority, moment, moment, after, limit)
        return [_job(row) for row in connection.execute(self._due_later, parameters).fetchall()]

    def some(self, connection: Any, ids: Sequence[int]) -> list[Job]:
        """Return jobs by their numbers, those that there are."""
        parameters = (self._backend.list_parameter(ids),)
        return [_job(row) for row in connection.execute(self._some, parameters).fetchall()]

    def revive(self, connection: Any, ids: Sequence[int]) -> list[Job]:
        """Let jobs that don't run be due in their turn; return them as they were."""
        jobs, keys = self._locked(connection, ids)
        revived: set[int] = set()
        for job in jobs:
            revived |= _ids(connection.execute(self._revive, (to_text(IN_TURN), job.id)))
        self._order.renew(connection, keys)
        return [job for job in jobs if job.id in revived]

    def amend(
        self, connection: Any, ids: Sequence[int], changes: Mapping[str, Any], kinds: Collection[str] = ()
    ) -> list[Job]:
        """Change the payloads of jobs that don't run, and let them be due in their turn; return them as they were."""
        jobs, keys = self._locked(connection, ids)
        amended: set[int] = set()
        for job in (each for each in jobs if not kinds or each.kind in kinds):
            changed = payload_text({**job.payload, **changes})
            if connection.execute(self._amend, (changed, job.id)).fetchall():
                amended |= _ids(connection.execute(self._revive, (to_text(IN_TURN), job.id)))
        self._order.renew(connection, keys)
        return [job for job in jobs if job.id in amended]

    def counts_by(self, connection: Any, keys: Sequence[str], kinds: Sequence[str], state: str) -> list[PayloadCount]:
        """Count the jobs of some kinds in a state, by lane and what their payload says for some keys."""
        columns = [Jobs.kind, Jobs.destination, *self._values(keys)]
        chosen = (Jobs.state == SQL(f"'{_known(state)}'")) & self._backend.is_among(Jobs.kind)
        statement = spelled(self._backend, _grouped(columns, fn.COUNT(SQL("*"))).where(chosen))
        rows = connection.execute(statement, (*keys, self._backend.list_parameter(kinds))).fetchall()
        return [PayloadCount(kind, destination, tuple(found), count) for kind, destination, *found, count in rows]

    def groups(self, connection: Any, keys: Sequence[str], kinds: Sequence[str], now: datetime) -> list[JobGroup]:
        """Count the jobs of some kinds that are alike, see `JobGroup`."""
        is_due = Case(None, [(Jobs.due_at <= PARAMETER, 1)], 0)
        has_failed = Case(None, [(Jobs.last_error.is_null(), 0)], 1)
        columns = [Jobs.kind, Jobs.destination, Jobs.state, *self._values(keys), is_due, has_failed]
        ends = (fn.MIN(Jobs.created_at), fn.MIN(Jobs.due_at), fn.MAX(Jobs.last_error))
        grouped = _grouped(columns, fn.COUNT(SQL("*")), *ends).where(self._backend.is_among(Jobs.kind))
        parameters = (*keys, to_text(now), self._backend.list_parameter(kinds))
        rows = connection.execute(spelled(self._backend, grouped), parameters).fetchall()
        return [
            JobGroup(*row[:3], tuple(row[3:-6]), row[-4], from_text(row[-3]), from_text(row[-2]), row[-1])
            for row in rows
        ]

    def _values(self, keys: Sequence[str]) -> list[Expression]:
        """Return what a payload says for some keys, which are parameters."""
        payload = Jobs.payload.cast("json") if self._backend.name == "postgresql" else Jobs.payload
        return [Expression(payload, "->>", PARAMETER) for _ in keys]

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


def _claimable(*columns: Node) -> Query:
    """Build the query for the next jobs of a lane and priority."""
    lane = (Jobs.kind == PARAMETER) & (Jobs.destination == PARAMETER) & (Jobs.priority == PARAMETER)
    is_due = (Jobs.state == "waiting") & (Jobs.ready == 1) & (Jobs.due_at <= PARAMETER)
    return Jobs.select(*columns).where(lane & is_due).order_by(Jobs.due_at, Jobs.id).limit(PARAMETER)


def _grouped(columns: Sequence[Node], *aggregates: Node) -> Query:
    """Build the query for aggregates by columns; what the columns say stands in the statement once."""
    numbers = [SQL(str(number)) for number in range(1, len(columns) + 1)]
    return Jobs.select(*columns, *aggregates).group_by(*numbers).order_by(*numbers)


def _known(state: str) -> str:
    """Return a state as it may stand in a statement: a partial index is used for a constant only."""
    if state not in STATES:
        raise ValueError(f"no state '{state}'")
    return state


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
