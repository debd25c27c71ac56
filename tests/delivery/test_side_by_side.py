"""Several associations to one destination keep the order of each study."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pynetdicom import evt

from medserver.delivery.side_by_side import merged
from tests.delivery.outbox import outbox, send, wait_until_empty
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.receiver import Receiver

STUDIES, COUNT = 8, 4
DEADLINE_S = 20


def test_what_comes_of_several_is_told_as_it_comes() -> None:
    """The second goes on although the first waits for what the second has told."""
    told = threading.Event()

    def first() -> Iterator[int]:
        assert told.wait(DEADLINE_S)
        yield 1

    found = []
    for item in merged([first, lambda: iter([2, 3])]):
        found.append(item)
        told.set()
    assert sorted(found) == [1, 2, 3]
    assert found[0] == 2


def test_an_error_comes_after_what_was_done() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        for item in merged([failing, lambda: iter([2, 3])]):
            found.append(item)
    assert sorted(found) == [1, 2, 3]
    assert list(merged([])) == []
    assert list(merged([lambda: iter([1])])) == [1]


def test_the_order_of_each_study(make_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path) -> None:
    arrived: dict[str, list[int]] = defaultdict(list)
    by_association: dict[str, set[int]] = defaultdict(set)
    together = threading.Barrier(2)
    met: list[bool] = []

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        if not met:
            try:
                together.wait(DEADLINE_S)  # two associations at a time, or nobody gets on
                met.append(True)
            except threading.BrokenBarrierError:
                met.append(False)
        arrived[dataset.StudyInstanceUID].append(int(dataset.InstanceNumber))
        by_association[dataset.StudyInstanceUID].add(id(event.assoc))
        return 0x0000

    with Receiver("ARCHIVE", respond=store) as archive:
        node = make_node()
        node.add_remote(archive.address, allow=(), options={"send_associations": 4})
        node.set_section("route all", {"to": "ARCHIVE", "hours": "0-24"})
        node.start()
        node.cli("jobs", "pause", "deliver").check()  # so that all of it is one batch
        for number in range(STUDIES):
            send(dcmtk, node, make_series(tmp_path / f"{number}", COUNT, rows=16, columns=16))
        wait_until(lambda: [one["waiting"] for one in outbox(node)] == [STUDIES * COUNT], what="the outbox")
        node.cli("jobs", "resume", "deliver").check()
        wait_until_empty(node)
    assert met[0] is True
    assert len(arrived) == STUDIES
    assert all(numbers == sorted(numbers) and len(numbers) == COUNT for numbers in arrived.values())
    assert all(len(associations) == 1 for associations in by_association.values())
