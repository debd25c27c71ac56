"""Orders of deletion: one of who deletes and who receives again is first, and the object is there in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.index import Index, InstanceRecord, NewJob, Tombstone, open_index
from medserver.index.objects.lineage import BEHIND
from tests.index.samples import NOON, compressed, find, record

ROUNDS = 40
LATER = NOON + timedelta(seconds=1)


def tombstone_of(item: InstanceRecord) -> Tombstone:
    return Tombstone(item.sop_instance_uid, item.digest, item.transfer_syntax_uid, LATER, "test", "")


def received_after(deleted: Tombstone, item: InstanceRecord) -> InstanceRecord:
    """Return the record of the same bytes, received again behind a deletion: in a file of their own."""
    received_at = max(deleted.deleted_at, item.received_at) + timedelta(seconds=1)
    return replace(item, received_at=received_at, path=f"2026/{received_at:%m/%d/%H%M/%S}.dcm")


def order(index: Index, item: InstanceRecord) -> None:
    """Order that an instance is deleted."""
    index.deletions.order([one for one in index.locations() if one.path == item.path])


def is_current(index: Index, item: InstanceRecord) -> bool:
    copy = index.location(item.volume, item.path)
    assert copy is not None
    return copy.is_current


def no_jobs(copies: object) -> tuple[NewJob, ...]:
    return ()


def together(*acts: Callable[[], object]) -> None:
    """Do several things at the same moment."""
    barrier = threading.Barrier(len(acts))

    def act_with_others(act: Callable[[], object]) -> None:
        barrier.wait(30)
        act()

    with ThreadPoolExecutor(len(acts)) as threads:
        for done in [threads.submit(act_with_others, act) for act in acts]:
            done.result(60)


def paths(index: Index) -> list[str]:
    return [one.path for one in index.locations()]


def test_what_was_not_ordered_is_not_deleted(index: Index) -> None:
    item = record()
    index.add(item)
    assert index.deletions.perform([tombstone_of(item)], no_jobs) == []
    assert (paths(index), list(index.tombstones.all())) == ([item.path], [])


def test_a_duplicate_that_was_promoted_since_somebody_looked_is_not_deleted(index: Index) -> None:
    """The instance would have no current object."""
    first, second = record(), record(content="other")
    index.add(first)
    assert index.add(second).outcome == "kept"
    seen = [one for one in index.locations() if one.path == second.path]
    performed = index.promotions.perform(
        second, by="test", why="", sealed_at=lambda path: NOON, jobs_of=lambda decided: ()
    )
    assert performed is not None
    assert index.deletions.order(seen) == []
    assert index.deletions.order([one for one in index.locations() if one.path == first.path]) == [first.key]
    assert is_current(index, second)


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
    assert index.add(item, is_receipt=True).outcome == "deleted"
    again = received_after(wanted, item)
    assert index.add(again, is_receipt=True).outcome == "stored"
    assert index.deletions.perform([wanted], no_jobs) == []
    assert index.tombstones.performed([wanted]) == [replace(wanted, path=item.path)]
    assert sorted(paths(index)) == sorted([again.path, other.path])


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


@pytest.mark.parametrize("content", ["put aside", "compressed"])
@pytest.mark.parametrize("is_current_first", [True, False])
def test_nothing_is_left_of_an_instance_of_several_objects(
    index: Index, content: str, is_current_first: bool
) -> None:
    """Whatever is forgotten first: the current object, which stays as long as there are others, or those."""
    first, third = record(), record(content="third", duplicates="keep")
    second = compressed(first) if content == "compressed" else record(content="second", duplicates="keep")
    for one in (first, second, third):
        index.add(one)
    [current] = [one for one in (first, second, third) if is_current(index, one)]
    others = [one for one in (first, second, third) if one is not current]
    order(index, current)  # and with it all others
    for item in [current, *others] if is_current_first else [*others, current]:
        assert index.deletions.perform([tombstone_of(item)], no_jobs)
    assert (paths(index), index.counts().instances, find(index, "PATIENT")) == ([], 0, [])
    assert index.upkeep.tally().copies == {}


def test_received_again_while_it_is_deleted(index: Index, index_url: str, tmp_path: Path) -> None:
    """Two processes at the same moment, over and over: the answer of the reception holds in any case."""
    item, wanted = record(), tombstone_of(record())
    index.add(item)
    with open_index(index_url, base=tmp_path) as another:
        for _ in range(ROUNDS):
            order(index, item)
            again = received_after(wanted, item)
            together(
                lambda: another.deletions.perform([wanted], no_jobs),
                lambda again=again: index.add(again, is_receipt=True),
            )
            assert paths(index) in ([item.path], [again.path])
            item = again if paths(index) == [again.path] else item


def test_a_copy_is_let_go_while_its_object_is_deleted(index: Index, index_url: str, tmp_path: Path) -> None:
    """Each of two processes forgets a copy at the same moment: the object goes with the last of them."""
    with open_index(index_url, base=tmp_path) as another:
        for number in range(ROUNDS):
            item = record(number=number)
            index.add(item)
            [copy] = [one for one in index.locations() if one.path == item.path]
            elsewhere = replace(copy, volume="near")
            assert index.add_location(elsewhere)
            order(index, item)
            together(
                lambda item=item: another.deletions.perform([tombstone_of(item)], no_jobs),
                lambda elsewhere=elsewhere: index.release([elsewhere]),
            )
            assert (paths(index), index.counts().instances, find(index, "PATIENT")) == ([], 0, [])


def test_the_last_two_instances_of_a_patient_are_deleted_at_the_same_moment(
    index: Index, index_url: str, tmp_path: Path
) -> None:
    """Each of two workers has a part of the study: who is second must see that the first has left nothing."""
    with open_index(index_url, base=tmp_path) as another:
        for round_number in range(ROUNDS):
            both = [record(number=2 * round_number + number) for number in range(2)]
            for one in both:
                index.add(one)
                order(index, one)
            first, second = ([tombstone_of(one)] for one in both)
            together(
                lambda first=first: index.deletions.perform(first, no_jobs),
                lambda second=second: another.deletions.perform(second, no_jobs),
            )
            assert (paths(index), find(index, "PATIENT")) == ([], [])


def test_a_copy_of_a_file_that_was_deleted_while_it_was_made_is_not_entered(index: Index) -> None:
    """The object is there again, but an index that is made anew of that volume alone would not have it."""
    item, wanted = record(), tombstone_of(record())
    index.add(item)
    [copied] = index.locations()
    order(index, item)
    assert index.deletions.perform([wanted], no_jobs)
    again = received_after(wanted, item)
    assert index.add(again, is_receipt=True).outcome == "stored"
    assert not index.add_location(replace(copied, volume="near"))
    assert index.add_location(replace(copied, volume="near", path=again.path))
    assert paths(index) == [again.path] * 2


def test_what_was_known_last_of_an_instance(index: Index) -> None:
    """Whatever is received of it comes later, also of one that is deleted."""
    item = record()
    assert index.last_known(item.sop_instance_uid) == (None, None)
    index.add(item)
    assert index.last_known(item.sop_instance_uid) == (item.received_at, item.path)
    order(index, item)
    later = replace(tombstone_of(item), deleted_at=item.received_at.replace(year=item.received_at.year + 1))
    assert index.deletions.perform([later], no_jobs)
    assert index.last_known(item.sop_instance_uid) == (later.deleted_at, None)


def test_a_deletion_is_later_than_a_form_that_was_left(index: Index) -> None:
    """Also if a clock that was ahead at the reception is right at the deletion."""
    item = record(received_at=NOON + timedelta(hours=3))
    form = replace(compressed(item), received_at=item.received_at + BEHIND)
    index.add(item)
    order(index, item)
    assert index.deletions.perform([tombstone_of(item)], no_jobs)
    assert index.tombstones.is_made_from_deleted(form)
    moment, _ = index.last_known(item.sop_instance_uid)
    assert moment is not None and moment >= form.received_at


def test_a_second_file_is_kept_if_the_first_cannot_be_read(index: Index) -> None:
    first = record()
    index.add(first)
    second = replace(first, path=first.path.replace(".dcm", "-7.dcm"))
    assert not index.add(second, is_receipt=True).file_needed
    assert index.add(second, is_receipt=True, must_keep=True).file_needed
    assert paths(index) == sorted([first.path, second.path])


def test_what_nobody_has_read_and_notes_that_are_missed(index: Index) -> None:
    item = record()
    index.add(item)
    index.upkeep.note_verified(list(index.locations()), NOON)
    index.upkeep.forget_verified(item.volume)
    assert [one.verified_at for one in index.locations()] == [None]
    assert index.volumes.missed_notes("near") is None
    index.volumes.note_missed_notes("near")
    missed = index.volumes.missed_notes("near")
    assert missed is not None
    index.volumes.forget_missed_notes("near", "before")
    assert index.volumes.missed_notes("near") == missed
    index.volumes.forget_missed_notes("near", missed)
    assert index.volumes.missed_notes("near") is None
