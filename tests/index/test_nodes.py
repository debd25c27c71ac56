"""Which nodes may share an index, and what is known of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from medserver.errors import BadUsage
from medserver.index import Index, open_index
from medserver.index.database.clock import DatabaseClock
from medserver.index.nodes.nodes import NodeRuns
from medserver.index.nodes.records import SILENT_AFTER_S, NodeRecord, Serves
from medserver.index.nodes.topology import problem_of
from tests.clock import NOON, Clock
from tests.peers.node import REPOSITORY
from tests.peers.wall_clock import WallClock


def node(name: str = "a", machine: str = "", **serves: object) -> NodeRecord:
    """A node that receives on a disk of its own, unless it is said otherwise."""
    settings = {"volumes": {"main": f"disk of {name}"}, "primary": "main", "processes": 2} | serves
    return NodeRecord(str(uuid4()), name, machine or f"machine {name}", "serve", Serves(**settings))


SHARED = {"volumes": {"main": "shared"}}
SAFE = {"copies_before_success": 2}


def safe(name: str, **changes: object) -> dict:
    return {"volumes": {f"main-{name}": name, "near": "shared"}, "primary": f"main-{name}"} | SAFE | changes


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ([node("a")], None),
        ([node("a", **SHARED), node("b", **SHARED), node("c", **SHARED)], None),
        ([node("a"), node("b")], "volume main is another one here than on "),
        ([node("a", volumes={"main": "x", "near": "p"}, primary="near"),
          node("b", volumes={"main": "y", "near": "p"}, primary="near")], "volume main is another one"),
        ([node("a", volumes={"m1": "x"}, primary="m1"), node("b", volumes={"m2": "y"}, primary="m2")],
         "on the disk of one host alone"),
        # two names for one volume
        ([node("a", volumes={"m1": "x"}, primary="m1"), node("b", volumes={"m2": "x"}, primary="m2")], None),
        ([node("a", **safe("a")), node("b", **safe("b"))], None),
        ([node("a", **safe("a")), node("b", **safe("b", copies_before_success=1))], "copies_before_success = 2"),
        ([node("a", **safe("a")), node("b", **safe("b", copies_before_success=1, processes=0))], None),
        ([node("a", **safe("a")), node("b", **safe("b", volumes={"main-b": "b", "far": "y"}))],
         "copies_before_success = 2"),
    ],
)  # fmt: skip
def test_topologies(nodes: list[NodeRecord], problem: str | None) -> None:
    for one in nodes:
        found = problem_of(one, nodes)
        if problem is None:
            assert found is None
        else:
            assert found is not None and problem in found
            assert "\n" not in found and "medserver nodes forget" in found


@pytest.fixture
def index(index_url: str, tmp_path: Path, clock: Clock) -> Index:
    with open_index(index_url, base=tmp_path, clock=clock) as opened:
        yield opened


def test_a_node_and_its_heartbeat(index: Index, clock: Clock) -> None:
    ours = node()
    index.nodes.register(ours)
    clock.advance(60)
    [found] = index.nodes.list()
    assert (found.uuid, found.serves, found.started_at) == (ours.uuid, ours.serves, NOON)
    assert not found.is_heard(clock())
    assert index.nodes.beat(ours) is None
    [found] = index.nodes.list()
    assert found.heartbeat_at == clock() and found.started_at == NOON and found.is_heard(clock())
    index.nodes.register(ours)
    [found] = index.nodes.list()
    assert found.started_at == clock()


def test_a_heartbeat_tells_what_has_changed(index: Index, clock: Clock) -> None:
    """A configuration that was read again may not fit the others any more; a disk that is away is what it was."""
    if index.backend.name == "sqlite":
        return
    ours, other = node("a", **safe("a")), node("b", **safe("b"))
    for one in (ours, other):
        index.nodes.register(one)
    away = replace(ours, serves=replace(ours.serves, volumes={"main-a": "", "near": ""}))
    assert index.nodes.beat(away) is None
    index.nodes.register(away)
    assert index.nodes.list()[0].serves == ours.serves
    hasty = replace(ours, serves=replace(ours.serves, copies_before_success=1))
    assert "copies_before_success = 2" in (index.nodes.beat(hasty) or "")
    assert index.nodes.list()[0].serves == hasty.serves


def test_a_heartbeat_after_the_clock_was_ahead(index: Index, clock: Clock) -> None:
    ours = node()
    clock.advance(3 * 3600)
    index.nodes.register(ours)
    clock.advance(-3 * 3600)
    assert not index.nodes.list()[0].is_heard(clock())
    assert index.nodes.beat(ours) is None
    assert index.nodes.list()[0].heartbeat_at == clock()


def test_a_second_host(index: Index) -> None:
    index.nodes.register(node("a", **SHARED))
    if index.backend.name == "sqlite":
        with pytest.raises(NodeRuns, match="has to be in PostgreSQL"):
            index.nodes.register(node("b", **SHARED))
        return
    with pytest.raises(BadUsage, match="volume main is another one"):
        index.nodes.register(node("b"))
    assert len(index.nodes.list()) == 1
    index.nodes.register(node("b", **SHARED))
    assert [one.name for one in index.nodes.list()] == ["a", "b"]


def test_a_database_file_that_has_moved_to_another_host(index: Index, clock: Clock) -> None:
    index.nodes.register(node("a"))
    clock.advance(SILENT_AFTER_S)
    if index.backend.name == "sqlite":
        index.nodes.register(node("b"))
        assert [one.name for one in index.nodes.list()] == ["b"]
    else:
        with pytest.raises(BadUsage):
            index.nodes.register(node("b"))


def test_a_data_folder_that_was_copied(index: Index, clock: Clock) -> None:
    ours = node("a", **SHARED)
    copy = NodeRecord(ours.uuid, "b", "machine b", "serve", ours.serves)
    index.nodes.register(ours)
    with pytest.raises(NodeRuns, match="runs on a as well"):
        index.nodes.register(copy)
    clock.advance(SILENT_AFTER_S)
    index.nodes.register(copy)  # it has moved
    assert [one.name for one in index.nodes.list()] == ["b"]


def test_two_supervisors_on_one_host(index: Index) -> None:
    """In two containers, or with two ports: one host, which has one data folder."""
    ours = node("a")
    index.nodes.register(ours)
    index.nodes.register(ours)
    assert len(index.nodes.list()) == 1


def test_who_is_gone_is_forgotten(index: Index, clock: Clock) -> None:
    gone = node("a", "machine", **SHARED)
    index.nodes.register(gone)
    with pytest.raises(BadUsage, match="runs"):
        index.nodes.forget(gone.uuid)
    clock.advance(SILENT_AFTER_S)
    assert index.nodes.forget(gone.uuid)
    assert not index.nodes.forget(gone.uuid)
    index.nodes.register(node("b", "machine"))


def test_the_clock_of_the_database() -> None:
    """It goes on with the monotonic clock, and follows what the database says as far as that is beyond doubt."""
    monotonic = Clock(1000.0)
    clock = DatabaseClock(monotonic)
    asked_at = monotonic()
    monotonic.advance(0.2)
    clock.set(NOON, asked_at)
    assert clock() == NOON + timedelta(seconds=0.1)
    monotonic.advance(10)
    assert clock() == NOON + timedelta(seconds=10.1)
    asked_at = monotonic()
    monotonic.advance(0.4)
    clock.set(NOON + timedelta(seconds=10.3), asked_at)
    assert clock() == NOON + timedelta(seconds=10.5), "within the bounds it does not jump"
    asked_at = monotonic()
    clock.set(NOON - timedelta(hours=3), asked_at)
    assert clock() == NOON - timedelta(hours=3)


TELL = """
import pathlib, sys
from datetime import UTC, datetime
from medserver.index import open_index
with open_index(sys.argv[1], base=pathlib.Path(sys.argv[2])) as index:
    print(index.clock().isoformat(), datetime.now(UTC).isoformat())
"""


def test_hosts_whose_clocks_differ_share_one(new_database: Callable[[], str], tmp_path: Path) -> None:
    """The moments of an index are those of its database, whatever the host thinks."""
    wrong = WallClock(tmp_path)
    wrong.set(3 * 3600)
    url, command = new_database(), [sys.executable, "-c", TELL]
    told = []
    for environment in ({}, wrong.environment):
        output = subprocess.run(
            [*command, url, tmp_path], env=os.environ | environment, capture_output=True, text=True, check=True,
            cwd=REPOSITORY,
        ).stdout  # fmt: skip
        told.append([datetime.fromisoformat(text) for text in output.split()])
    [[right, _], [ours, theirs]] = told
    assert theirs - right > timedelta(hours=2), "the host is not wrong at all"
    assert timedelta() <= ours - right < timedelta(minutes=10)
