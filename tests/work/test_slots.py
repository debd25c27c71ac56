"""Each remote AE has threads of its own: who is slow holds up nobody else, and idle threads end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medserver.index import Lane, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.printing.following import FOLLOW
from medserver.printing.queue import PRINT
from medserver.routing.deliveries import SENDING_KINDS
from medserver.work.kinds import JOB_KINDS, JobKind
from medserver.work.runner import Runner
from medserver.work.slots import Slots
from tests.peers.process import wait_until
from tests.work.conftest import OpenNode

PATIENCE_S = 20.0


class Gate:
    """Lanes that are performed, and wait until they are let go."""

    def __init__(self) -> None:
        self.begun: list[Lane] = []
        self.ended: list[Lane] = []
        self._may_end: set[Lane] = set()
        self._changed = threading.Condition()

    def perform(self, lane: Lane) -> None:
        with self._changed:
            self.begun.append(lane)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: lane in self._may_end, PATIENCE_S)
            self.ended.append(lane)
            self._changed.notify_all()

    def let_go(self, *lanes: Lane) -> None:
        with self._changed:
            self._may_end.update(lanes)
            self._changed.notify_all()

    def wait_for_begun(self, *lanes: Lane) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: sorted(self.begun) == sorted(lanes), PATIENCE_S), self.begun


def lane(destination: str) -> Lane:
    return Lane("deliver", destination)


@contextmanager
def started(gate: Gate, **options: object) -> Iterator[Slots]:
    slots = Slots(gate.perform, **{"threads_max": 8} | options)
    slots.start()
    yield slots
    slots.close()
    gate.let_go(*gate.begun)
    slots.join(time.monotonic() + PATIENCE_S)
    assert not slots._threads


def test_each_lane_has_a_thread_and_none_waits_for_another() -> None:
    gate, lanes = Gate(), [lane(name) for name in "ABCDE"]
    with started(gate) as slots:
        slots.add(lanes)
        gate.wait_for_begun(*lanes)


def test_no_lane_is_performed_twice_at_a_time_and_none_is_forgotten() -> None:
    gate = Gate()
    with started(gate) as slots:
        slots.add([lane("A")])
        gate.wait_for_begun(lane("A"))
        slots.add([lane("A"), lane("B")])
        gate.wait_for_begun(lane("A"), lane("B"))
        gate.let_go(lane("A"))
        gate.wait_for_begun(lane("A"), lane("A"), lane("B"))


def test_the_rest_in_turn() -> None:
    gate = Gate()
    with started(gate, threads_max=2) as slots:
        slots.add([lane("A"), lane("B"), lane("C"), lane("D")])
        gate.wait_for_begun(lane("A"), lane("B"))
        slots.add([lane("A")])
        gate.let_go(lane("A"))
        gate.wait_for_begun(lane("A"), lane("B"), lane("C"))
        gate.let_go(lane("C"))
        gate.wait_for_begun(lane("A"), lane("B"), lane("C"), lane("D"))
        gate.let_go(lane("D"))
        gate.wait_for_begun(lane("A"), lane("A"), lane("B"), lane("C"), lane("D"))


def test_idle_threads_end() -> None:
    gate = Gate()
    with started(gate, idle_s=0.01) as slots:
        slots.add([lane("A"), lane("B")])
        gate.let_go(lane("A"), lane("B"))
        wait_until(lambda: len(gate.ended) == 2 and not slots._threads, what="the end of the threads")
        slots.add([lane("A")])
        wait_until(lambda: len(gate.ended) == 3, what="another one")


def test_nothing_is_begun_any_more_once_closed() -> None:
    gate = Gate()
    with started(gate, threads_max=1) as slots:
        slots.add([lane("A"), lane("B")])
        gate.wait_for_begun(lane("A"))
        slots.close()
    assert gate.begun == [lane("A")]


def test_without_threads_who_asks_takes_them() -> None:
    slots = Slots(lambda lane: None, threads_max=1)
    slots.add([lane("A"), lane("B"), lane("A")])
    assert [slots.take_now() for _ in range(3)] == [lane("A"), lane("B"), None]


def test_the_kinds_that_wait_for_their_destination_have_slots() -> None:
    assert {kind.name for kind in JOB_KINDS if kind.is_for_remote} == {*SENDING_KINDS, PRINT, FOLLOW}
    # A slot performs its lane once at a time.
    assert {kind.destination_concurrency for kind in JOB_KINDS if kind.is_for_remote} == {1}


# -- a worker ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def node(sqlite_config: Path, open_here: OpenNode) -> Node:
    return open_here(sqlite_config)


@contextmanager
def working(node: Node, *kinds: JobKind) -> Iterator[Runner]:
    runner = Runner(node, kinds, (), threads=1)
    runner.start()
    yield runner
    runner.stop(PATIENCE_S)


def noting(seen: list[str]) -> Callable[[Node, Batch], None]:
    return lambda node, batch: seen.append(batch.destination)


def test_slow_destinations_hold_up_neither_others_nor_the_work_of_the_node(node: Node) -> None:
    gate, copied, sent = threading.Event(), list[str](), list[str]()

    def send(node: Node, batch: Batch) -> None:
        if batch.destination.startswith("SLOW"):
            assert gate.wait(PATIENCE_S)
        sent.append(batch.destination)

    kinds = (
        JobKind("deliver", send, concurrency=64, destination_concurrency=1, is_for_remote=True),
        JobKind("copy", noting(copied)),
    )
    with working(node, *kinds):
        node.index.add_jobs([NewJob("deliver", {}, f"SLOW{number}") for number in range(40)])
        running = lambda: sum(job.state == "running" for job in node.index.jobs.list())  # noqa: E731
        wait_until(lambda: running() == 40, what="all slow ones")
        node.index.add_jobs([NewJob("deliver", {}, "QUICK"), NewJob("copy", {}, "second")])
        wait_until(lambda: (sent, copied) == (["QUICK"], ["second"]), what="what is not slow")
        gate.set()
        wait_until(lambda: len(sent) == 41, what="all")


def test_what_computes_for_long_holds_up_nothing_else_and_runs_as_often_as_it_has_threads(node: Node) -> None:
    gate, copied, computed = threading.Event(), list[str](), list[str]()

    def compute(node: Node, batch: Batch) -> None:
        assert gate.wait(PATIENCE_S)
        computed.append(batch.destination)

    long = JobKind("compute", compute, concurrency=64, destination_concurrency=64, own_threads=2)
    with working(node, long, JobKind("copy", noting(copied))):
        node.index.add_jobs([NewJob("compute", {}) for _ in range(5)])
        wait_until(lambda: sum(job.state == "running" for job in node.index.jobs.list()) == 2, what="two of them")
        node.index.add_jobs([NewJob("copy", {}, "second")])
        wait_until(lambda: copied == ["second"], what="what is not long")
        assert sum(job.state == "running" for job in node.index.jobs.list()) == 2
        gate.set()
        wait_until(lambda: len(computed) == 5, what="all")


def test_beyond_the_limit_of_a_kind_each_has_its_turn(node: Node) -> None:
    order: list[str] = []

    def send(node: Node, batch: Batch) -> None:
        if len(order) < 3:  # the other one waits
            other = Lane("deliver", "B" if batch.destination == "A" else "A")
            wait_until(lambda: other in runner._slots._lanes, what="the other one in the queue")
        order.append(batch.destination)

    kind = JobKind("deliver", send, concurrency=1, destination_concurrency=1, is_for_remote=True)
    node.index.add_jobs([NewJob("deliver", {}, name) for name in "AABB"])
    runner = Runner(node, [kind], (), threads=1)
    runner.start()
    wait_until(lambda: len(order) == 4, what="all of it")
    runner.stop(PATIENCE_S)
    assert sorted(order[:2]) == sorted(order[2:]) == ["A", "B"]


@pytest.mark.parametrize(("counts", "rests"), [((1, 1, 1), False), ((4, 4, 1), False), ((2,), True)])
def test_what_comes_in_one_by_one_is_not_sent_one_by_one(node: Node, counts: tuple[int, ...], rests: bool) -> None:
    """Behind a batch of several the next begins later; not behind a single one, nor where more are waiting. A worker
    that is asked to stop does not wait."""
    sizes: list[int] = []
    options = {"batch_max": 4, "destination_concurrency": 1, "is_for_remote": True}
    kind = JobKind("deliver", lambda node, batch: sizes.append(len(batch)), **options)
    runner = Runner(node, [kind], (), threads=1, sweep_interval_s=0.02, batch_interval_s=3600.0)
    runner.start()
    for number, count in enumerate(counts, start=1):
        node.index.add_jobs([NewJob("deliver", {}, "A") for _ in range(count)])
        wait_until(lambda number=number: len(sizes) == number, what="a batch")
    wait_until(lambda: not node.index.jobs.owners(), what="the end of the last one")
    wait_until(lambda: runner._slots.performs(Lane("deliver", "A")) is rests, what="what the thread does then")
    runner.stop(PATIENCE_S)
    assert sizes == [*counts] and not runner._slots._threads


def test_who_has_had_a_turn_gives_way(node: Node) -> None:
    """A long batch ends when another one has waited for longer than a turn, and goes on when that had its own."""
    order: list[str] = []

    def send(node: Node, batch: Batch) -> Iterator[Outcome]:
        for job in batch:
            if batch.gives_way:
                return
            order.append(batch.destination)
            yield done(job)
            if order == ["A"]:
                node.index.add_jobs([NewJob("deliver", {}, "B")])
                wait_until(lambda: batch.gives_way, what="the turn of the other one")

    kind = JobKind("deliver", send, concurrency=1, destination_concurrency=1, batch_max=100, is_for_remote=True)
    node.index.add_jobs([NewJob("deliver", {}, "A") for _ in range(3)])
    runner = Runner(node, [kind], (), threads=1, sweep_interval_s=0.02, turn_s=0.1)
    runner.start()
    wait_until(lambda: len(order) == 4, what="all of it")
    runner.stop(PATIENCE_S)
    assert order == ["A", "B", "A", "A"]


def test_nobody_gives_way_to_nobody(node: Node) -> None:
    """What waits for the same remote AE is no reason, however long the batch takes."""
    seen: list[bool] = []

    def send(node: Node, batch: Batch) -> None:
        ends_at = time.monotonic() + 0.2
        wait_until(lambda: time.monotonic() > ends_at, what="a long batch")
        seen.append(batch.gives_way)

    kind = JobKind("deliver", send, concurrency=1, destination_concurrency=1, is_for_remote=True)
    node.index.add_jobs([NewJob("deliver", {}, "A") for _ in range(2)])
    runner = Runner(node, [kind], (), threads=1, sweep_interval_s=0.02, turn_s=0.05)
    runner.start()
    wait_until(lambda: len(seen) == 2, what="all of it")
    runner.stop(PATIENCE_S)
    assert seen == [False, False]
