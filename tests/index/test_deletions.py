"""Orders of deletion: one of who deletes and who receives again is first, and the object is there in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medserver.index import Index, InstanceRecord, NewJob, Tombstone, open_index
from tests.index.samples import NOON, record

ROUNDS = 40


def tombstone_of(item: InstanceRecord) -> Tombstone:
    return Tombstone(item.sop_instance_uid, item.digest, item.transfer_syntax_uid, NOON, "test", "")


def order(index: Index, item: InstanceRecord) -> None:
    """Order that an instance is deleted."""
    index.deletions.order([one for one in index.locations() if one.path == item.path])


def no_jobs(copies: object) -> tuple[NewJob, ...]:
    return ()


def paths(index: Index) -> list[str]:
    return [one.path for one in index.locations()]


def test_what_was_not_ordered_is_not_deleted(index: Index) -> None:
    item = record()
    index.add(item)
    assert index.deletions.perform([tombstone_of(item)], no_jobs) == []
    assert (paths(index), list(index.tombstones.all())) == ([item.path], [])


def test_an_order_is_carried_out_once(index: Index) -> None:
    item, other, wanted = record(number=1), record(number=2), tombstone_of(record(number=1))
    for one in (item, other):
        index.add(one)
    order(index, item)
    order(index, item)
    jobs: list[str] = []
    assert index.deletions.perform([wanted], lambda copies: [jobs.append(copy.path) for copy in copies] and ())
    assert (paths(index), jobs) == ([other.path], [item.path])
    assert index.tombstones.performed([wanted]) == [replace(wanted, path=item.path)]
    assert index.add(item, is_receipt=True).outcome == "stored"
    assert index.deletions.perform([wanted], no_jobs) == []
    assert index.tombstones.performed([wanted]) == []
    assert sorted(paths(index)) == sorted([item.path, other.path])


@pytest.mark.parametrize(
    ("duplicates", "outcome", "stays"),
    [("keep", "kept", True), ("replace", "replaced", False), ("reject", "rejected", False)],
)
def test_other_bytes_that_come_after_the_order(index: Index, duplicates: str, outcome: str, stays: bool) -> None:
    """What is put aside is found beside what is there; what takes its place needs it no more."""
    item, other = record(), record(content="other", duplicates=duplicates)
    index.add(item)
    order(index, item)
    assert index.add(other, is_receipt=True).outcome == outcome
    assert bool(index.deletions.perform([tombstone_of(item)], no_jobs)) is not stays
    kept = {one.path for one in (item, other) if one is other and outcome != "rejected" or one is item and stays}
    assert set(paths(index)) == kept


def test_received_again_while_it_is_deleted(index: Index, index_url: str, tmp_path: Path) -> None:
    """Two processes at the same moment, over and over: the answer of the reception holds in any case."""
    item, wanted = record(), tombstone_of(record())
    index.add(item)
    with open_index(index_url, base=tmp_path) as another:
        for _ in range(ROUNDS):
            order(index, item)
            barrier, outcomes = threading.Barrier(2), []

            def together(act: Callable[[], object], barrier=barrier, outcomes=outcomes) -> None:
                barrier.wait(30)
                outcomes.append(act())

            threads = [
                threading.Thread(target=together, args=(lambda: another.deletions.perform([wanted], no_jobs),)),
                threading.Thread(target=together, args=(lambda: index.add(item, is_receipt=True),)),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert len(outcomes) == 2, "one of them failed"
            assert paths(index) == [item.path]
