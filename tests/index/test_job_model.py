"""The jobs in a database behave like a few lines of Python, whatever happens in whatever order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from medserver.index import Index, JobFilter, Lane, NewJob, Verdict, open_index
from medserver.index.jobs.outcome import changed
from medserver.index.jobs.payloads import NoPayload
from medserver.index.jobs.records import IN_TURN, Change
from tests.index.job_model import JobModel, ModelJob
from tests.index.samples import NOON

LANES = [Lane("copy", "A"), Lane("copy", "B"), Lane("check")]
EXAMPLES = {"sqlite": 60, "postgresql": 12}
KEYS = st.sampled_from(["", "", "1.2.3", "1.2.4"])
TABLES = ("jobs", "job_kinds", "job_lanes")


class JobMachine(RuleBasedStateMachine):
    """Does everything twice: to the index, and to the model."""

    index: Index
    clock: list

    @initialize()
    def begin(self) -> None:
        connection = self.index.backend.connect(writing=True)
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")
        connection.close()
        self.index.jobs._lanes._known.forget()  # the rows that it remembers are gone
        self.clock[0] = NOON
        self.model = JobModel(NOON)
        self.owners = 0

    @rule(lane=st.sampled_from(LANES), key=KEYS, priority=st.integers(0, 2), delay=st.sampled_from([0, 0, 0, 20]))
    def add(self, lane: Lane, key: str, priority: int, delay: int) -> None:
        due_at = self.model.now + timedelta(seconds=delay)
        new = NewJob(*lane[:1], {"n": 1}, lane.destination, key, priority, due_at if delay else None)
        [number] = self.index.add_jobs([new])
        self.model.jobs[number] = ModelJob(number, lane, key, priority, due_at)

    @rule(
        lane=st.sampled_from(LANES),
        limit=st.integers(1, 4),
        of_kind=st.integers(1, 4),
        of_lane=st.integers(1, 3),
        lease_s=st.sampled_from([5, 50]),
    )
    def claim(self, lane: Lane, limit: int, of_kind: int, of_lane: int, lease_s: int) -> None:
        self.owners += 1
        owner = f"owner {self.owners}"
        claimed = self.index.jobs.claim(
            lane,
            owner=owner,
            lease_until=self.model.now + timedelta(seconds=lease_s),
            limit=limit,
            concurrency=of_kind,
            destination_concurrency=of_lane,
        )
        assert [job.id for job in claimed] == self.model.claim(lane, owner, limit, of_kind, of_lane, lease_s)

    @rule(
        data=st.data(),
        outcome=st.sampled_from(["done", "retry", "dead", "undecided", "released", "changed"]),
        delay=st.none() | st.integers(0, 9),
        kind=st.sampled_from(["copy", "check", "new"]),
    )
    def settle(self, data: st.DataObject, outcome: str, delay: int | None, kind: str) -> None:
        running = list(self.index.jobs.list(JobFilter(state="running")))
        if not running:
            return
        job = data.draw(st.sampled_from(running))
        due_at = None if delay is None else self.model.now + timedelta(seconds=delay)
        if outcome == "changed":
            if job.order_key:
                with pytest.raises(ValueError, match="order key"):
                    changed(job, kind, NoPayload(), IN_TURN)
                return
            due_at = due_at or IN_TURN
            verdict = Verdict(job, outcome, change=Change(kind, NoPayload(), due_at))
        else:
            verdict = Verdict(job, outcome, due_at, "why")
        assert self.index.jobs.settle([verdict]) == {job.id}
        self.model.settle(job.id, outcome, due_at, Lane(kind, job.destination) if verdict.change else None)
        assert self.index.jobs.settle([verdict]) == set()

    @rule(seconds=st.sampled_from([1, 6, 30]))
    def advance(self, seconds: int) -> None:
        self.model.advance(seconds)
        self.clock[0] = self.model.now

    @rule(attempts_max=st.integers(1, 3))
    def sweep(self, attempts_max: int) -> None:
        swept = self.index.jobs.sweep(dict.fromkeys(("copy", "check"), attempts_max))
        assert {job.id for job in swept} == self.model.sweep(attempts_max)

    @rule(data=st.data(), drop=st.booleans())
    def change(self, data: st.DataObject, drop: bool) -> None:
        if not self.model.jobs:
            return
        number = data.draw(st.sampled_from(sorted(self.model.jobs)))
        if drop:
            assert bool(self.index.jobs.drop([number])) == self.model.drop(number)
        else:
            assert bool(self.index.jobs.retry([number])) == self.model.retry(number)

    @rule(lane=st.sampled_from(LANES), whole=st.booleans(), paused=st.booleans())
    def pause(self, lane: Lane, whole: bool, paused: bool) -> None:
        change = self.index.jobs.pause if paused else self.index.jobs.resume
        change(lane.kind, None if whole else lane.destination)
        if paused:
            self.model.paused.add(lane.kind if whole else lane)
        elif whole:
            self.model.paused -= {lane.kind, *(other for other in LANES if other.kind == lane.kind)}
        else:
            self.model.paused.discard(lane)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        for job in self.index.jobs.list():
            expected = self.model.jobs[job.id]
            assert job.lane == expected.lane
            names = ("state", "attempts", "due_at", "owner", "lease_until")
            assert [getattr(job, name) for name in names] == [getattr(expected, name) for name in names]
        connection = self.index.backend.connect()
        rows = connection.execute("SELECT id, ready FROM jobs WHERE state = 'waiting'").fetchall()
        connection.close()
        assert {number: bool(ready) for number, ready in rows} == {
            job.id: self.model.is_ready(job) for job in self.model.jobs.values() if job.state == "waiting"
        }


@pytest.mark.parametrize("database", EXAMPLES)
def test_the_jobs_are_those_of_the_model(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = "sqlite:///index.db" if database == "sqlite" else request.getfixturevalue("new_database")()
    clock = [NOON]
    with open_index(url, base=tmp_path, clock=lambda: clock[0]) as index:
        machine = type("Machine", (JobMachine,), {"index": index, "clock": clock})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES[database],
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
