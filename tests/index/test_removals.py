"""Copies that are removed while others stay: they are not missed, and never the last ones."""

from __future__ import annotations

from dataclasses import replace

from medserver.index import BAD, Index, NewJob, StoredCopy
from tests.index.samples import record


def held(index: Index, *volumes: str, number: int = 1) -> dict[str, StoredCopy]:
    """Enter an object with copies on volumes besides ``main``; return its copies by volume."""
    item = record(number=number)
    index.add(item)
    [first] = [one for one in index.copies_of(item.key)]
    for name in volumes:
        index.add_location(replace(first, volume=name))
    return {one.volume: one for one in index.copies_of(item.key)}


def remove(index: Index, copy: StoredCopy, *others: str) -> list[StoredCopy]:
    return index.removals.perform([copy], others, lambda gone: [NewJob("remove", {"paths": [gone[0].path]})])


def missing(index: Index, volume: str) -> list[str]:
    found, cursor = index.upkeep.missing(volume)
    while cursor is not None:
        page, cursor = index.upkeep.missing(volume, cursor)
        found += page
    return [one.sop_instance_uid for one in found]


def test_it_is_forgotten_and_not_missed(index: Index) -> None:
    copies, other = held(index, "far"), held(index, "far", number=2)
    assert remove(index, copies["main"], "far") == [copies["main"]]
    assert [one.volume for one in index.copies_of(copies["far"])] == ["far"]
    assert missing(index, "main") == []
    assert index.removals.counts() == {"main": 1}
    assert [one.kind for one in index.jobs.list()] == ["remove"]
    index.release([other["main"]])  # lost, and not removed on purpose
    assert missing(index, "main") == [other["main"].sop_instance_uid]


def test_the_last_good_copy_stays(index: Index) -> None:
    copies = held(index, "far", "near")
    assert remove(index, copies["main"], "elsewhere") == []
    index.mark_location("far", copies["far"].path, BAD)
    assert remove(index, copies["main"], "far") == []
    assert remove(index, copies["main"], "far", "near") == [copies["main"]]
    assert remove(index, copies["near"], "near", "far") == []
    assert remove(index, copies["main"], "far", "near") == []  # it is not known any more
    assert len(list(index.jobs.list())) == 1


def test_it_may_be_wanted_again(index: Index) -> None:
    copies = held(index, "far")
    remove(index, copies["main"], "far")
    index.removals.forget("main")
    assert missing(index, "main") == [copies["main"].sop_instance_uid]
    index.add_location(copies["main"])
    assert remove(index, copies["main"], "far") == [copies["main"]]
    index.add_location(copies["main"])
    assert index.removals.counts() == {}


def test_what_was_removed_goes_with_its_object(index: Index) -> None:
    copies = held(index, "far")
    remove(index, copies["main"], "far")
    index.release([copies["far"]])
    assert index.counts().instances == 0
    assert not any("removed" in what for what in index.only_here())
