"""A rule with a watermark begins when its volume is filled, deletes the oldest studies, and ends below."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medserver.config import Watermark
from medserver.node import Node
from medserver.retention.space import Space
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.peers.files import Sample, make_series
from tests.peers.small_disk import SmallDisk, requires_mount
from tests.retention.rules import deliver_all, found, order, pass_time, stored, work

MIB = 1024 * 1024
STUDIES = 6
WATERMARK = {"age": "1 d", "volume": "main", "watermark": "50 %", "until": "30 %"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Give a disk of 21 MiB."""
    requires_mount()
    one = SmallDisk(tmp_path / "disk", 21 * MIB)
    yield one
    one.close()


@pytest.fixture
def node(opened: Callable[..., Node], disk: SmallDisk) -> Node:
    """Give a node with its volume on that disk."""
    return opened(f"volume main.path={disk.path}/store", "volume main.free_min_bytes=0 B", **WATERMARK)


def add_study(node: Node, directory: Path) -> list[Sample]:
    """Receive a study of 2 MiB, and have it delivered."""
    made = make_series(directory, 2, rows=724, columns=724)
    for sample in made:
        receive(node, sample)
    deliver_all(node)
    return made


def test_the_oldest_go_until_there_is_space(node: Node, clock: Clock, tmp_path: Path) -> None:
    """Of 12 MiB in 21 MiB, which are 57 %, three studies have to go for 30 %."""
    studies = []
    for number in range(STUDIES):
        studies.append(add_study(node, tmp_path / f"{number}"))
        pass_time(node, clock, 1)
        work(node)
        expected = number + 1 if number < 5 else 3
        assert stored(node) == 2 * expected, number
    left = {sample.sop_instance_uid for study in studies[3:] for sample in study}
    assert set(node.index.instances([sample.sop_instance_uid for study in studies for sample in study])) == left
    work(node)
    assert stored(node) == 6
    assert (found(node).studies, found(node).left_bytes) == (0, 0)


def test_what_was_begun_is_ended(node: Node, clock: Clock, tmp_path: Path) -> None:
    """Below the watermark it goes on, for it has begun above; what is still to be removed is not counted twice."""
    for number in range(STUDIES):
        add_study(node, tmp_path / f"{number}")
    pass_time(node, clock, 2)
    assert found(node).studies == 3
    assert (order(node), order(node)) == (3, 0)
    work(node)  # the orders wait: nothing more is ordered before they are carried out
    assert stored(node) == 6


def test_what_may_not_be_deleted_is_told(
    node: Node, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(STUDIES):
        add_study(node, tmp_path / f"{number}")
    work(node)
    assert stored(node) == 12
    assert found(node).left_bytes > 5 * MIB
    told = next(record.getMessage() for record in caplog.records if "not freed" in record.getMessage())
    assert "6 too young" in told


@pytest.mark.parametrize(
    ("taken", "is_begun", "excess"),
    [(79, False, 0), (80, False, 0), (81, False, 11), (75, True, 5), (70, True, 0), (10, True, 0)],
)
def test_when_it_begins_and_ends(taken: int, is_begun: bool, excess: int) -> None:
    assert Space("main", 100, taken, is_begun).excess_bytes(Watermark("main", 80, 70)) == excess
