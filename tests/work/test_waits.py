"""A clock that was three hours ahead and is corrected delays nothing by more than its kind ever waits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.destinations import PAUSE_MAX_S
from medserver.index import Job, Lane, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.work.kinds import JOB_KINDS, Backoff, JobKind, Periodic
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.work.conftest import OpenNode, write_config

AHEAD_S = 3 * 3600.0
LANE = Lane("copy", "A")


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, tmp_path: Path, open_here: OpenNode, clock: Clock) -> Node:
    return open_here(write_config(request, tmp_path, request.param), clock)


def fail_first(node: Node, batch: Batch) -> Iterator[Outcome]:
    for job in batch:
        yield failed(job, "not now") if job.attempts == 1 else done(job)


def run(node: Node, *kinds: JobKind, periodic: tuple[Periodic, ...] = ()) -> int:
    """Do what is due, as a worker that has just been started; one that runs does the same every few seconds."""
    return Runner(node, kinds, periodic).run_due()


KIND = JobKind("copy", fail_first, backoff=Backoff(first_s=5, longest_s=60, jitter=0), first_wait_s=lambda config: 60)


def jobs(node: Node) -> list[Job]:
    return list(node.index.jobs.list())


def test_what_was_added_meanwhile(node: Node, clock: Clock) -> None:
    clock.advance(AHEAD_S)
    node.index.add_jobs([NewJob("copy", {}, "A"), NewJob("copy", {}, "A", due_at=clock.after(60))])
    clock.advance(-AHEAD_S)
    run(node, KIND)
    assert {job.due_at for job in jobs(node)} == {clock.after(60)}
    clock.advance(60)
    run(node, KIND)
    clock.advance(60)
    run(node, KIND)
    assert not jobs(node)


def test_what_failed_meanwhile(node: Node, clock: Clock) -> None:
    clock.advance(AHEAD_S)
    node.index.add_jobs([NewJob("copy", {}, "A")])
    run(node, KIND)
    clock.advance(-AHEAD_S)
    run(node, KIND)
    assert [job.due_at for job in jobs(node)] == [clock.after(60)]
    clock.advance(60)
    assert run(node, KIND) == 1
    assert not jobs(node)


def test_what_may_wait_until_the_night_waits(node: Node, clock: Clock) -> None:
    night = clock.after(11 * 3600)
    patient = JobKind("copy", fail_first, first_wait_s=lambda config: 24 * 3600.0)
    node.index.add_jobs([NewJob("copy", {}, "A", due_at=night)])
    run(node, patient)
    assert [job.due_at for job in jobs(node)] == [night]


def test_a_lease_of_a_worker_that_is_gone(node: Node, clock: Clock) -> None:
    node.index.add_jobs([NewJob("copy", {}, "A")])
    clock.advance(AHEAD_S)
    node.index.jobs.claim(LANE, owner="gone", lease_until=clock.after(KIND.lease_s))
    clock.advance(-AHEAD_S)
    assert run(node, KIND) == 0
    clock.advance(KIND.lease_s + 0.001)
    assert run(node, KIND) == 1


def test_a_lease_is_extended_though_the_clock_went_back(node: Node, clock: Clock) -> None:
    seen: list[Job] = []
    runner = Runner(node, [JobKind("copy", lambda node, batch: look(batch))], ())

    def look(batch: Batch) -> None:
        clock.advance(-AHEAD_S)
        runner._sweep()
        clock.advance(KIND.lease_s - 1)
        runner._sweep()
        seen.extend(jobs(node))

    node.index.add_jobs([NewJob("copy", {}, "A")])
    assert runner.run_due() == 1
    assert [(job.state, job.lease_until) for job in seen] == [("running", clock.after(KIND.lease_s))]


def test_a_destination_that_rests(node: Node, clock: Clock) -> None:
    node.index.add_jobs([NewJob("copy", {}, "A")])
    clock.advance(AHEAD_S)
    node.index.jobs.leave_alone([LANE], "nobody answers", lambda failures: clock.after(300))
    clock.advance(-AHEAD_S)
    assert run(node, KIND) == 0
    [state] = node.index.jobs.lanes()
    assert state.paused_until == clock.after(PAUSE_MAX_S)
    clock.advance(PAUSE_MAX_S)
    assert run(node, KIND) == 1


def test_what_comes_periodically(node: Node, clock: Clock) -> None:
    each = Periodic("minute", "copy", 60.0)
    clock.advance(AHEAD_S)
    run(node, KIND, periodic=(each,))
    for job in jobs(node):
        node.index.jobs.drop([job.id])
    clock.advance(-AHEAD_S)
    assert run(node, KIND, periodic=(each,)) == 1, "its next time is more than its interval off"


def test_no_kind_waits_for_ever(node: Node) -> None:
    """Without hours and rules nothing is delayed by three hours."""
    for kind in JOB_KINDS:
        waits = kind.waits(node.config.current)
        assert max(waits.first_s, waits.again_s, waits.lease_s) < AHEAD_S, kind.name
    assert timedelta(seconds=PAUSE_MAX_S) < timedelta(hours=1)
