"""Several locations of one object: queries tell it once, and the best copy is read first."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from medserver.index import BAD, GOOD, Index, InstanceRecord, Query, StoredCopy, open_index
from medserver.index.find.selection import PAGE_ROWS
from tests.index.samples import NOON, conditions, find, record

EVERY_VOLUME = ("main", "near", "far")
TALLIES = 100


@pytest.fixture
def index(index_url: str, tmp_path: Path) -> Iterator[Index]:
    """An empty index that reads from `main` first, then from `near`, then from others."""
    with open_index(index_url, base=tmp_path, volumes=("main", "near")) as opened:
        yield opened


def add_everywhere(index: Index, item: InstanceRecord) -> None:
    """Enter an object with a copy on each volume, the one to be read last first."""
    far, near = (dataclasses.replace(item, volume=name) for name in ("far", "near"))
    assert index.add(far).file_needed
    for one in (near, item):
        assert index.add_location(copy_on(location_of(index, far), one.volume))


def location_of(index: Index, item: InstanceRecord) -> StoredCopy:
    return next(one for one in index.locations() if (one.volume, one.path) == (item.volume, item.path))


def copy_on(copy: StoredCopy, volume: str, verified_at: datetime | None = None) -> StoredCopy:
    return dataclasses.replace(copy, volume=volume, verified_at=verified_at)


def places(copies: list[StoredCopy]) -> list[str]:
    return [copy.volume for copy in copies]


def test_an_instance_with_several_copies_comes_once(index: Index) -> None:
    total = PAGE_ROWS + 3
    for number in range(total):
        if number % 25 == 0:  # on every page
            add_everywhere(index, record(number=number))
        else:
            index.add(record(number=number))
    selection = index.select(conditions(StudyInstanceUID="1.2.1"))
    assert selection.count == len(list(selection)) == total
    assert {stored.volume for stored in selection} == {"main"}
    assert selection.contexts[0][2] == total
    answers = list(index.find(Query("IMAGE", (), ("SOPInstanceUID",), with_location=True)))
    assert len(answers) == len({answer["SOPInstanceUID"] for answer in answers}) == total
    assert {answer["location"].volume for answer in answers} == {"main"}
    assert find(index, "STUDY", "NumberOfStudyRelatedInstances") == [total]
    counts = index.counts()
    copies = 2 * len(range(0, total, 25))
    assert (counts.instances, counts.locations, counts.size_bytes) == (total, total + copies, 1000 * total)


def test_copies_come_in_the_order_in_which_they_are_read(index: Index) -> None:
    add_everywhere(index, record())
    [stored] = index.select(())
    assert places(index.copies_of(stored)) == ["main", "near", "far"]
    assert index.mark_location("main", stored.path, BAD)
    assert not index.mark_location("main", stored.path, BAD)
    [stored] = index.select(())
    assert stored.volume == "near"
    assert places(index.copies_of(stored)) == ["near", "far", "main"]
    for volume in ("near", "far"):
        assert index.mark_location(volume, stored.path, BAD)
    [stored] = index.select(())
    assert (stored.volume, stored.state) == ("main", BAD)
    assert index.mark_location("far", stored.path, GOOD, verified_at=NOON)
    [stored] = index.select(())
    assert (stored.volume, stored.state, stored.verified_at) == ("far", GOOD, NOON)


def test_what_is_known_of_a_copy(index: Index) -> None:
    item = record()
    index.add(item)
    [original] = index.locations()
    assert (original.state, original.verified_at) == (GOOD, None)
    assert index.add_location(copy_on(original, "near", NOON))
    copy = next(one for one in index.locations() if one.volume == "near")
    assert copy == dataclasses.replace(original, volume="near", verified_at=NOON)
    later = NOON + timedelta(days=1)
    assert index.mark_location("near", item.path, GOOD, verified_at=later)
    assert index.mark_location("near", item.path, BAD)
    [_, copy] = index.copies_of(original)
    assert (copy.state, copy.verified_at) == (BAD, later)
    assert not index.mark_location("near", "2026/elsewhere.dcm", BAD)


def test_entering_a_copy_again_makes_it_good(index: Index) -> None:
    item = record()
    index.add(item)
    [original] = index.locations()
    for _ in range(2):
        assert index.add_location(copy_on(original, "near", NOON))
        assert index.counts().locations == 2
        index.mark_location("near", item.path, BAD)
    assert not index.add_location(dataclasses.replace(original, digest="0" * 64, path="2026/x.dcm"))
    assert index.counts().locations == 2


def test_an_object_found_on_another_volume_is_a_copy(index: Index) -> None:
    item = record()
    assert index.add(item).outcome == "stored"
    added = index.add(dataclasses.replace(item, volume="near"))
    assert (added.outcome, added.file_needed) == ("same", True)
    again = index.add(dataclasses.replace(item, volume="near", path="2026/again.dcm"))
    assert (again.outcome, again.file_needed) == ("same", False)
    assert [one.volume for one in index.locations()] == ["main", "near"]
    assert index.counts().instances == 1


def test_copies_of_a_duplicate(index: Index) -> None:
    index.add(record())
    other = record(content="other")
    assert index.add(other).outcome == "kept"
    assert index.add(dataclasses.replace(other, volume="near")).file_needed
    duplicate = location_of(index, other)
    assert index.add_location(copy_on(duplicate, "far"))
    assert places(index.copies_of(duplicate)) == list(EVERY_VOLUME)
    assert not any(one.is_current for one in index.copies_of(duplicate))
    [listed] = index.duplicates()
    assert (listed.volume, listed.path) == ("main", other.path)
    assert len(list(index.select(()))) == 1


def test_copies_follow_an_instance_that_is_replaced(index: Index) -> None:
    first = record()
    add_everywhere(index, first)
    [stored] = index.select(())
    second = record(content="other", duplicates="replace")
    assert index.add(second).outcome == "replaced"
    assert not any(one.is_current for one in index.copies_of(stored))
    assert index.add(dataclasses.replace(second, volume="near")).file_needed
    [stored] = index.select(())
    assert (stored.volume, stored.digest) == ("main", second.digest)
    assert places(index.copies_of(stored)) == ["main", "near"]
    assert len(list(index.duplicates())) == 1


def test_a_copy_that_is_made_while_its_object_is_replaced_is_none_of_what_took_its_place(index: Index) -> None:
    """Who copies has read the old bytes, and enters the copy when the new ones are current."""
    index.add(record())
    [stored] = index.select(())
    second = record(content="other", duplicates="replace")
    index.add(second)
    assert index.add_location(copy_on(stored, "near"))
    assert index.add_locations([copy_on(stored, "far")]) == [True]
    [current] = index.select(())
    assert (current.digest, places(index.copies_of(current))) == (second.digest, ["main"])
    assert {one.digest for one in index.copies_of(stored)} == {stored.digest}
    assert places(index.copies_of(stored)) == list(EVERY_VOLUME)
    with pytest.raises(ValueError, match="another object lies there"):
        index.add_location(dataclasses.replace(current, path=stored.path))


def test_an_instance_is_looked_up_by_its_current_object_and_best_copy(index: Index) -> None:
    """Which may be bad, and says so."""
    first, uid = record(), record().sop_instance_uid
    add_everywhere(index, first)
    assert index.add(record(content="aside")).outcome == "kept"
    assert index.mark_location("main", first.path, BAD)
    found = index.instances([uid])[uid]
    assert (found.digest, found.volume, found.state) == (first.digest, "near", GOOD)
    for volume in ("near", "far"):
        index.mark_location(volume, first.path, BAD)
    found = index.instances([uid])[uid]
    assert (found.digest, found.state) == (first.digest, BAD)
    second = record(content="other", duplicates="replace")
    index.add(second)
    found = index.instances([uid])[uid]
    assert (found.digest, found.path, found.state) == (second.digest, second.path, GOOD)


def test_an_instance_goes_with_its_last_copy(index: Index) -> None:
    item = record()
    add_everywhere(index, item)
    for left, volume in enumerate(EVERY_VOLUME):
        assert index.counts().instances == 1
        assert len(list(index.locations())) == 3 - left
        index.release([one for one in index.locations() if one.volume == volume])
    assert index.counts().patients == index.counts().instances == 0


def test_objects_are_counted_by_their_good_copies(index: Index) -> None:
    for number in range(6):
        add_everywhere(index, record(number=number))
    assert index.upkeep.tally().copies == {3: 6}
    bad = {0: (), 1: ("near",), 2: ("far",), 3: ("near", "far"), 4: EVERY_VOLUME, 5: EVERY_VOLUME}
    for number, volumes in bad.items():
        for volume in volumes:
            assert index.mark_location(volume, record(number=number).path, BAD)
    tally = index.upkeep.tally()
    assert tally.copies == {0: 2, 1: 1, 2: 2, 3: 1}
    assert {name: (one.copies, one.bad) for name, one in tally.volumes.items()} == {
        "far": (6, 4), "main": (6, 2), "near": (6, 4),
    }  # fmt: skip


def test_copies_and_volumes_are_counted_at_one_moment(index: Index) -> None:
    numbers = count()
    is_enough = threading.Event()

    def receive() -> None:
        while not is_enough.is_set():
            add_everywhere(index, record(number=next(numbers)))

    with ThreadPoolExecutor(1) as others:
        receiving = others.submit(receive)
        try:
            for _ in range(TALLIES):
                tally = index.upkeep.tally()
                copies = sum(number * count_ for number, count_ in tally.copies.items())
                assert copies == sum(one.copies for one in tally.volumes.values())
        finally:
            is_enough.set()
        receiving.result()
    assert next(numbers) > 0


def test_a_sample_is_taken_from_all_copies(index: Index) -> None:
    for number in range(10):
        index.add(record(number=number))
    everything = {one.path for one in index.locations()}
    assert len(everything) == 10
    assert {one.path for one in index.upkeep.sample([step / 100 for step in range(101)])} == everything
    assert len(index.upkeep.sample([0.5] * 10)) == 1
    assert index.upkeep.sample([0.1, 0.9], "near") == []
