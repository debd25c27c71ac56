"""What the largest operations cost in memory: the node stays below 200 MB whatever is asked of it.

Of what is many, two counts show how the memory grows from one to the other. `scripts/memory` does them as large as they
can come, with objects of 2 GB, 20,000 instances and 100,000 matches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.memory.operations import (
    CONVERT_MAX_BYTES,
    RESIDENT_MAX_BYTES,
    convert,
    fill_index,
    find_studies,
    move_study,
    peak_resident_bytes,
    store_and_get,
    store_study,
)
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node

ONE_PROCESS = {"node.processes": 1, "jobs.workers": 0}
"""So that it is always the same process that works."""


@pytest.fixture
def node(make_node) -> Node:
    return make_node(options=ONE_PROCESS)


def needed_for(count: int, node: Node, operation: Callable[[Node, int], int], few: int, many: int) -> float:
    """Return the memory for that many, if it grew on as it does from a few to many: what is freed stays with a process.

    A first time is not counted, in which modules and caches are filled.
    """
    peaks = {}
    for size in (few, few, many):
        assert operation(node, size) == size
        peaks[size] = peak_resident_bytes(node)
    return peaks[many] + (count - many) * (peaks[many] - peaks[few]) / (many - few)


def test_an_object_larger_than_the_memory_of_the_node(node: Node) -> None:
    store_and_get(node.start(), RESIDENT_MAX_BYTES)
    assert peak_resident_bytes(node) < RESIDENT_MAX_BYTES


def test_a_move_of_twenty_thousand_instances(node: Node, dcmtk: Dcmtk) -> None:
    few, many = 100, 700
    node.add_remote(dcmtk.start_storescp("STORESCP", options=["--ignore"]).address)
    node.start()
    studies = {count: store_study(node, count) for count in (few, many)}

    def move(node: Node, count: int) -> int:
        return move_study(node, studies[count], "STORESCP")

    assert needed_for(20_000, node, move, few, many) < RESIDENT_MAX_BYTES


def test_a_query_with_a_hundred_thousand_matches(node: Node) -> None:
    few, many = 500, 5_000
    fill_index(node, many)
    node.start()
    names = {few: "sato*", many: ""}

    def find(node: Node, count: int) -> int:
        return find_studies(node, names[count])

    assert needed_for(100_000, node, find, few, many) < RESIDENT_MAX_BYTES


def test_a_conversion_of_more_than_its_memory(tmp_path: Path) -> None:
    convert(tmp_path, 4 * CONVERT_MAX_BYTES)
