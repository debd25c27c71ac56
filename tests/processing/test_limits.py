"""What computes hangs, dies, eats memory or is not wanted any longer; and what is done before what."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.errors import WorkStopped
from medserver.node import Node, open_node
from medserver.processing.inputs import Input
from medserver.processing.performing import AGAIN_S, DEATHS_MAX, LARGE_INSTANCES, LOST_MAX, NODE_FAILED_S
from medserver.processing.staging import write_inputs
from medserver.work.runner import Runner
from medserver.workitems.cancelling import request_cancel
from tests.clock import Clock
from tests.peers import starts_programs
from tests.peers.process import wait_until
from tests.processing import items, misbehaving

SLICES = LARGE_INSTANCES + 1
CANCEL_MAX_S = 1.0
PATIENCE_S = 60.0
LIMITS = ("limits.processing_time_max_s=1", "limits.processing_memory_max_bytes=64 MiB")


@pytest.fixture(autouse=True)
def types(tmp_path: Path) -> Iterator[None]:
    """Have types that misbehave."""
    starts_programs()
    with misbehaving.installed(tmp_path / "installed"):
        yield


@pytest.fixture
def open_one(tmp_path: Path) -> Callable[..., Node]:
    """Give a function that opens a node with a series."""

    def opened(*overrides: str, slices: int = 1, **arguments: object) -> Node:
        (tmp_path / "data").mkdir()
        (tmp_path / "config.ini").write_text("[node]\n")
        config = ConfigFile(tmp_path / "config.ini", (f"node.data={tmp_path / 'data'}", *overrides))
        node = open_node(config, **arguments)
        items.store_series(node, tmp_path / "made", slices)
        return node

    return opened


@contextmanager
def working(node: Node) -> Iterator[Runner]:
    """Have a worker in this process."""
    runner = items.performer(node)
    runner.start()
    try:
        yield runner
    finally:
        runner.stop(10.0)


def has_begun(node: Node, count: int = 1) -> bool:
    """Tell whether so many types that misbehave compute."""
    folder = node.config.current.node.data / "processing"
    return len(list(folder.glob(f"*/out/{misbehaving.BEGUN}"))) >= count


def test_a_cancel_ends_what_computes_within_a_second(open_one: Callable[..., Node]) -> None:
    with closing(open_one()) as node, working(node):
        items.request(node, items.instances(1), kind="wait")
        wait_until(lambda: has_begun(node), deadline_s=PATIENCE_S, what="the computation")
        asked_at = time.monotonic()
        assert request_cancel(node, items.UID, "REQUESTER") is None
        wait_until(lambda: items.row_of(node).state == "CANCELED", deadline_s=PATIENCE_S, what="the end")
        assert time.monotonic() - asked_at < CANCEL_MAX_S
        assert items.reason_of(node) == "110513"
        wait_until(lambda: not has_begun(node), what="an empty folder")
        items.request(node, items.instances(1), uid="2.25.2")  # there is a process for what comes next
        wait_until(lambda: items.row_of(node, "2.25.2").state == "COMPLETED", deadline_s=PATIENCE_S, what="the next")


def test_what_waits_for_a_process_is_cancelled_within_a_second(open_one: Callable[..., Node]) -> None:
    with closing(open_one()) as node:
        for _ in range(node.processors.count):
            node.processors._idle.get()  # nobody computes anything
        items.request(node, items.instances(1))
        runner = items.performer(node)
        runner.start()
        wait_until(lambda: items.row_of(node).state == "IN PROGRESS", what="the start")
        asked_at = time.monotonic()
        request_cancel(node, items.UID, "REQUESTER")
        wait_until(lambda: items.row_of(node).state == "CANCELED", deadline_s=PATIENCE_S, what="the end")
        assert time.monotonic() - asked_at < CANCEL_MAX_S
        runner.stop(10.0)
        for each in node.processors._workers:
            node.processors._idle.put(each)


def test_what_is_scheduled_is_cancelled_at_once(open_one: Callable[..., Node]) -> None:
    with closing(open_one()) as node:
        items.request(node, items.instances(1))
        request_cancel(node, items.UID, "REQUESTER")
        assert items.row_of(node).state == "CANCELED"
        items.perform(node)
        assert items.outputs_of(node) == {} and not list(node.index.jobs.list())


def test_staging_ends_when_nobody_wants_it(open_one: Callable[..., Node], tmp_path: Path) -> None:
    with closing(open_one(slices=SLICES)) as node:
        found = node.index.instances(items.instances(SLICES)).values()
        folder = tmp_path / "in"
        folder.mkdir()
        with pytest.raises(WorkStopped):
            write_inputs(node, [Input(one, "") for one in found], folder, lambda: bool(list(folder.iterdir())))
        assert len(list(folder.iterdir())) < SLICES


def test_priority_decides_what_is_done_first(open_one: Callable[..., Node]) -> None:
    with closing(open_one(clock=Clock(step_s=0.001))) as node:
        given = {"2.25.1": "LOW", "2.25.2": "MEDIUM", "2.25.3": "LOW", "2.25.4": "HIGH", "2.25.5": "MEDIUM"}
        for uid, priority in given.items():
            items.request(node, items.instances(1), uid=uid, priority=priority)
        items.perform(node)
        done = sorted((str(items.row_of(node, uid).ended_at), uid) for uid in given)
        assert [uid for _, uid in done] == ["2.25.4", "2.25.2", "2.25.5", "2.25.1", "2.25.3"]


def test_large_items_do_not_hold_up_small_ones(open_one: Callable[..., Node]) -> None:
    with closing(open_one(slices=SLICES)) as node, working(node):
        large = ["2.25.1", "2.25.2", "2.25.3"]
        for uid in large:
            items.request(node, items.instances(SLICES), kind="wait", uid=uid)
        wait_until(lambda: has_begun(node, 1), deadline_s=PATIENCE_S, what="a large item")
        for number in range(4, 8):
            items.request(node, items.instances(1), uid=f"2.25.{number}")
        small = [f"2.25.{number}" for number in range(4, 8)]
        wait_until(
            lambda: all(items.row_of(node, uid).state == "COMPLETED" for uid in small),
            deadline_s=PATIENCE_S, what="the small ones",
        )  # fmt: skip
        assert "COMPLETED" not in {items.row_of(node, uid).state for uid in large}
        for uid in large:
            request_cancel(node, uid, "REQUESTER")
        wait_until(lambda: all(items.row_of(node, uid).state == "CANCELED" for uid in large), what="the end")


@pytest.mark.parametrize(("kind", "code"), [("spin", "110527"), ("eat", "110527"), ("scribble", "110521")])
def test_what_breaks_a_limit_or_writes_nonsense_is_cancelled(
    open_one: Callable[..., Node], kind: str, code: str
) -> None:
    with closing(open_one(*LIMITS)) as node:
        items.request(node, items.instances(1), kind=kind)
        items.request(node, items.instances(1), uid="2.25.2")
        items.perform(node)
        assert items.reason_of(node) == code
        assert items.row_of(node, "2.25.2").state == "COMPLETED"
        assert len(items.outputs_of(node)) == 1 and not list(node.index.jobs.list())


@pytest.mark.parametrize("kind", ["be_killed", "segfault"])
def test_what_dies_again_and_again_is_cancelled(open_one: Callable[..., Node], clock: Clock, kind: str) -> None:
    with closing(open_one(clock=clock)) as node:
        items.request(node, items.instances(1), kind=kind)
        for attempt in range(1, DEATHS_MAX):
            items.perform(node)
            assert items.row_of(node).state == "IN PROGRESS", attempt
            [job] = node.index.jobs.list()
            assert "died with code" in str(job.last_error)
            clock.advance(AGAIN_S * attempt)
        items.perform(node)
        assert items.reason_of(node) == "110501" and not list(node.index.jobs.list())


def test_what_dies_once_is_completed(open_one: Callable[..., Node], clock: Clock, tmp_path: Path) -> None:
    with closing(open_one(clock=clock)) as node:
        items.request(node, items.instances(1), kind="be_killed_once", parameters={"mark": str(tmp_path / "mark")})
        items.perform(node)
        assert items.row_of(node).state == "IN PROGRESS" and items.outputs_of(node) == {}
        clock.advance(AGAIN_S)
        items.perform(node)
        assert items.row_of(node).state == "COMPLETED" and len(items.outputs_of(node)) == 1


def test_an_item_with_which_workers_are_lost_is_given_up(open_one: Callable[..., Node], clock: Clock) -> None:
    with closing(open_one(clock=clock)) as node:
        items.request(node, items.instances(1))
        for _ in range(LOST_MAX):
            clock.advance(60)
            node.index.jobs.sweep({})
            lease = {"lease_until": clock.after(10), "limit": 1, "concurrency": 9, "destination_concurrency": 9}
            [job] = node.index.jobs.claim(next(iter(node.index.jobs.list())).lane, owner="lost", **lease)
        clock.advance(60)
        items.perform(node)
        assert items.reason_of(node) == "110501"


def test_a_failure_of_this_node_is_waited_for(open_one: Callable[..., Node], clock: Clock) -> None:
    with closing(open_one(clock=clock)) as node:
        items.request(node, items.instances(1))
        store = Path(str(node.primary_volume.root))
        store.rename(store.with_name("away"))
        for _ in range(LOST_MAX + 1):
            items.perform(node)
            clock.advance(NODE_FAILED_S)
        assert items.row_of(node).state == "IN PROGRESS"
        store.with_name("away").rename(store)
        items.perform(node)
        assert items.row_of(node).state == "COMPLETED" and len(items.outputs_of(node)) == 1
