"""With ``last_copy = keep`` copies are removed from the primary volume, of what has a good one elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medserver import archive
from medserver.errors import StoreFailure
from medserver.index import BAD
from medserver.node import Node
from medserver.safekeeping.seeking import queue_missing
from medserver.safekeeping.status import status_of
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.hurry import hurried
from tests.peers.files import Sample
from tests.retention.rules import deliver_all, found, order, pass_time, work

VOLUMES = (
    "volume main.path=main",
    "volume main.role=primary",
    "volume far.path=far",
    "volume far.role=archive",
)
MOVES = {"after": "archived", "to": "", "last_copy": ""}  # keep is the default


@pytest.fixture
def node(opened: Callable[..., Node], clock: Clock, series: list[Sample]) -> Node:
    """Give a node that has copied a study, which is old now."""
    node = opened(*VOLUMES, **MOVES)
    for sample in series:
        receive(node, sample)
    deliver_all(node)
    work(node)
    assert volumes(node) == {"main": 3, "far": 3}
    pass_time(node, clock, 31)
    return node


def volumes(node: Node) -> dict[str, int]:
    """Return how many objects lie on each volume, which is what the index has there."""
    found = {name: sorted(volume.walk()) for name, volume in node.volumes.items() if volume.condition().is_present}
    copies = list(node.index.locations())
    assert found == {name: sorted(one.path for one in copies if one.volume == name) for name in found}
    return {name: len(paths) for name, paths in found.items()}


def test_copies_go_and_images_stay(node: Node, series: list[Sample]) -> None:
    assert (found(node).studies, found(node).instances) == (1, 3)
    work(node)
    assert volumes(node) == {"main": 0, "far": 3}
    instances = node.index.instances([sample.sop_instance_uid for sample in series])
    for sample in series:
        with archive.open_data_set(node, instances[sample.sop_instance_uid]) as opened:
            assert opened.read() == sample.data_set()
    assert list(node.index.tombstones.all()) == []
    assert found(node).kept == {"not on the primary volume any more": 1}


def test_what_was_removed_is_not_missed(node: Node) -> None:
    work(node)
    assert queue_missing(node, "main")
    assert list(node.index.jobs.list()) == []
    assert [one.missing for one in status_of(node).volumes] == [0, 0]


def test_an_administrator_can_have_it_back(node: Node) -> None:
    work(node)
    node.index.removals.forget("main")
    queue_missing(node, "main")
    work(node, rules=False)
    assert volumes(node) == {"main": 3, "far": 3}


@pytest.mark.parametrize("event", ["bad", "away", "draining"])
def test_a_copy_that_cannot_be_relied_on_is_none(node: Node, event: str) -> None:
    far = next(one for one in node.index.locations() if one.volume == "far")
    if event == "bad":
        node.index.mark_location("far", far.path, BAD)
    elif event == "away":
        node.index.volumes.set_detached("far", True)
        node.watch.look()
    else:
        node.index.progress.set("drain:far", "draining")
    assert found(node).kept == {"not archived": 1}
    assert order(node) == 0


def test_a_copy_that_turns_out_to_be_bad_saves_the_other(node: Node) -> None:
    """What is removed is removed when another copy was read to its end, and no earlier."""
    assert order(node) == 1
    for path in (Path(node.volumes["far"].root, name) for name in node.volumes["far"].walk()):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.chmod(0o600)
        path.write_bytes(content)
    work(node, rules=False)
    states = {(one.volume, one.state) for one in node.index.locations()}
    assert ("main", "good") in states
    assert [one.volume for one in node.index.locations()].count("main") == 3


def test_the_primary_volume_is_away(node: Node) -> None:
    node.index.volumes.set_detached("main", True)
    node.watch.look()
    with pytest.raises(StoreFailure, match="main is away"):
        found(node)
    work(node)
    assert [one.volume for one in node.index.locations()].count("main") == 3


def test_a_volume_that_is_away_loses_its_copies_when_it_is_back(
    opened: Callable[..., Node], clock: Clock, series: list[Sample]
) -> None:
    """A rule deletes every copy; until then what lies there is not taken in."""
    node = opened(*VOLUMES)
    for sample in series:
        receive(node, sample)
    deliver_all(node)
    work(node)
    pass_time(node, clock, 31)
    assert order(node) == 1
    node.index.volumes.set_detached("far", True)
    node.watch.look()
    with hurried():
        work(node, rules=False)
    assert node.index.counts().instances == 0
    assert volumes(node) == {"main": 0}
    node.index.volumes.set_detached("far", False)
    node.watch.look()
    clock.advance(300)
    work(node, rules=False)
    assert volumes(node) == {"main": 0, "far": 0}


def test_it_is_received_again_and_removed_again(node: Node, clock: Clock, series: list[Sample]) -> None:
    work(node)
    assert receive(node, series[0]) == "same"
    assert volumes(node) == {"main": 1, "far": 3}
    work(node)
    assert volumes(node) == {"main": 1, "far": 3}  # it is young again
    pass_time(node, clock, 31)
    work(node)
    assert volumes(node) == {"main": 0, "far": 3}
