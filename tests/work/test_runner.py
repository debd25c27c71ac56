"""What becomes of jobs by what their function does; in this thread, at moments that the test sets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.errors import ConnectionFailed
from medserver.index import Job, JobFilter, Lane, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.node import Node
from medserver.work.kinds import JOB_KINDS, PERIODIC, Backoff, JobKind, Periodic
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.work.conftest import OpenNode

STEADY = Backoff(first_s=10, longest_s=35, jitter=0)
TEN = [NewJob("copy", {"n": n}, "A") for n in range(10)]

Function = Callable[[Node, Batch], Iterable[Outcome] | None]


@pytest.fixture
def node(sqlite_config: Path, open_here: OpenNode, clock: Clock) -> Node:
    return open_here(sqlite_config, clock)


def runner(node: Node, function: Function, periodic: tuple[Periodic, ...] = (), **options: object) -> Runner:
    settings = {"attempts_max": 3, "batch_max": 4, "backoff": STEADY} | options
    return Runner(node, [JobKind("copy", function, **settings)], periodic)


def jobs(node: Node, state: str | None = None) -> list[Job]:
    return list(node.index.jobs.list(JobFilter(state=state)))


def test_none_means_done(node: Node) -> None:
    seen: list[int] = []
    node.index.add_jobs(TEN)
    assert runner(node, lambda node, batch: seen.append(len(batch))).run_due() == 3
    assert seen == [4, 4, 2] and jobs(node) == []


def test_what_is_raised_is_a_failure_of_all_that_are_left(node: Node) -> None:
    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        yield done(batch[0])
        raise ConnectionFailed("nobody answers")

    node.index.add_jobs(TEN[:4])
    runner(node, copy).run_due()
    assert [(job.payload["n"], job.attempts, job.last_error) for job in jobs(node, "waiting")] == [
        (n, 1, "nobody answers") for n in (1, 2, 3)
    ]


def test_a_bug_takes_only_its_own_job_with_it(node: Node) -> None:
    seen: list[list[int]] = []

    def copy(node: Node, batch: Batch) -> None:
        seen.append([job.payload["n"] for job in batch])
        if any(job.payload["n"] == 2 for job in batch):
            raise KeyError("size")

    node.index.add_jobs(TEN[:4])
    runner(node, copy).run_due()
    assert seen == [[0, 1, 2, 3], [0], [1], [2], [3]]
    assert [(job.payload["n"], job.last_error) for job in jobs(node)] == [(2, "internal error: KeyError: 'size'")]


def test_a_bug_behind_the_last_one_takes_none_with_it(node: Node) -> None:
    """What came of them is written: else all would be done again when their lease has run out."""

    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        yield from map(done, batch)
        raise KeyError("size")

    node.index.add_jobs(TEN[:4])
    runner(node, copy).run_due()
    assert jobs(node) == []


def test_back_off_and_death(node: Node, clock: Clock) -> None:
    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        return (failed(job, f"attempt {job.attempts}") for job in batch)

    [number] = node.index.add_jobs(TEN[:1])
    worker = runner(node, copy, attempts_max=4)
    for attempts, delay in ((1, 10), (2, 20), (3, 35)):
        assert worker.run_due() == 1
        job = node.index.jobs.get(number)
        assert (job.state, job.attempts, job.last_error) == ("waiting", attempts, f"attempt {attempts}")
        assert (job.due_at - clock()).total_seconds() == delay
        clock.advance(delay - 0.001)
        assert worker.run_due() == 0
        clock.advance(0.001)
    worker.run_due()
    assert node.index.jobs.get(number).state == "dead"
    clock.advance(1e6)
    assert worker.run_due() == 0


def test_a_function_may_know_better(node: Node, clock: Clock) -> None:
    def copy(node: Node, batch: Batch) -> list[Outcome]:
        return [failed(batch[0], "never", final=True), failed(batch[1], "later", delay_s=500)]

    node.index.add_jobs(TEN[:2])
    runner(node, copy).run_due()
    dead, waiting = jobs(node)
    assert (dead.state, waiting.state) == ("dead", "waiting")
    assert (waiting.due_at - clock()).total_seconds() == 500


def test_jobs_without_an_outcome_were_not_tried(node: Node) -> None:
    seen: list[int] = []

    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        seen.append(len(batch))
        yield done(batch[0])

    node.index.add_jobs(TEN[:4])
    runner(node, copy).run_due()
    assert seen == [4, 3, 2, 1] and jobs(node) == []


def test_what_follows_is_added(node: Node) -> None:
    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        for job in batch:
            left = job.payload["n"] - 1
            yield done(job, *([NewJob("copy", {"n": left}, "A")] if left > 0 else []))

    node.index.add_jobs([NewJob("copy", {"n": 5}, "A")])
    assert runner(node, copy).run_due() == 5
    assert jobs(node) == []


def test_who_lost_the_lease_meanwhile_changes_nothing(node: Node, clock: Clock) -> None:
    def copy(node: Node, batch: Batch) -> None:
        clock.advance(1_000)  # as if the machine had slept
        node.index.jobs.sweep({})
        node.index.jobs.claim(batch[0].lane, owner="another", lease_until=clock(), destination_concurrency=5)

    node.index.add_jobs(TEN[:1])
    runner(node, copy).run_due()
    [job] = jobs(node)
    assert (job.state, job.owner) == ("running", "another")


def test_what_others_can_do_is_left_to_them(node: Node) -> None:
    node.index.add_jobs([NewJob("unheard of"), *TEN[:1]])
    assert runner(node, lambda node, batch: None).run_due() == 1
    assert [job.kind for job in jobs(node)] == ["unheard of"]


def test_what_comes_periodically(node: Node, clock: Clock) -> None:
    seen: list[object] = []
    periodic = (Periodic("nightly", "copy", 60, "A"),)
    worker = runner(node, lambda node, batch: seen.append(batch.destination), periodic)
    for _ in range(3):
        worker.run_due()
        worker.run_due()
        clock.advance(60)
    assert seen == ["A"] * 3


def test_other_lanes_get_their_turn(node: Node) -> None:
    seen: list[str] = []
    node.index.add_jobs([NewJob("copy", {}, destination) for destination in "AB" for _ in range(12)])
    runner(node, lambda node, batch: seen.append(batch.destination)).run_due()
    assert sorted(seen[:2]) == sorted(seen[2:4]) == ["A", "B"]


def test_room_within_a_limit_is_used_at_once(node: Node) -> None:
    node.index.add_jobs([*TEN[:1], NewJob("copy", {}, "B")])
    held = node.index.jobs.claim(Lane("copy", "A"), owner="another", lease_until=node.clock())
    worker = runner(node, lambda node, batch: None, concurrency=1)
    assert worker.run_due() == 0
    node.index.jobs.complete(held)
    assert worker.run_due() == 1


@given(st.integers(1, 10_000), st.integers())
def test_the_delay_grows_and_has_a_limit(attempts: int, seed: int) -> None:
    backoff = Backoff(first_s=5, longest_s=3600, jitter=0.2)
    delay = backoff.delay_s(attempts, random.Random(seed))
    exact = min(5 * 2 ** (attempts - 1), 3600)
    assert 0.8 * exact <= delay <= 1.2 * exact


def test_the_table_is_consistent() -> None:
    names = [kind.name for kind in JOB_KINDS]
    assert len(names) == len(set(names))
    assert {each.kind for each in PERIODIC} <= set(names)
    assert all(1 <= kind.destination_concurrency <= kind.concurrency for kind in JOB_KINDS)
