"""What somebody decided about objects of an instance, and about conflicts; and what a new index makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from medserver.index import Index, InstanceRecord, NewJob, ObjectKey, Promotion, Resolution, open_index
from tests.clock import Clock
from tests.index.samples import NOON, find, record
from tests.index.test_add import J2K, brought_back, compressed

FIRST = record(instance_number="1")
SECOND = record(instance_number="2", digest="2" * 64, path="second.dcm")
THIRD = record(instance_number="3", digest="3" * 64, path="third.dcm")


def sealed_at(path: str) -> datetime:
    return NOON


def promote(index: Index, one: InstanceRecord, jobs: tuple[NewJob, ...] = ()) -> Promotion | None:
    performed = index.promotions.perform(one, by="mtra", why="right", sealed_at=sealed_at, jobs_of=lambda decided: jobs)
    return performed[0] if performed else None


def current(index: Index) -> ObjectKey:
    [found] = index.select([])
    return found.key


@pytest.fixture
def filled(index: Index) -> Index:
    for one in (FIRST, SECOND, THIRD):
        index.add(one)
    return index


def test_a_promoted_object_is_current_with_its_header_and_what_follows_is_added(filled: Index) -> None:
    decided = promote(filled, SECOND, (NewJob("note_decision"),))
    assert decided is not None
    assert (decided.key, decided.forms) == (SECOND.key, ())
    assert set(decided.others) == {FIRST.key, THIRD.key}
    assert decided.paths == (SECOND.path,)
    assert current(filled) == SECOND.key
    assert find(filled, "IMAGE", "InstanceNumber") == ["2"]
    assert [one.kind for one in filled.jobs.counts()] == ["note_decision"]
    assert [one.key for one in filled.promotions.of(FIRST.sop_instance_uid)] == [SECOND.key]


def test_what_is_current_or_not_there_or_to_be_deleted_is_not_promoted(filled: Index) -> None:
    assert promote(filled, FIRST) is None
    assert promote(filled, record(number=9)) is None
    assert promote(filled, replace(FIRST, digest="9" * 64)) is None
    filled.deletions.order(filled.copies_of(THIRD.key), lambda keys: [NewJob("delete", {"objects": []})])
    assert promote(filled, THIRD, (NewJob("note_decision"),)) is None
    assert [one.kind for one in filled.jobs.counts()] == ["delete"]
    assert current(filled) == FIRST.key


def test_decisions_are_later_than_what_they_are_about_and_than_each_other(
    index_url: str, tmp_path: Path
) -> None:
    clock = Clock(NOON - timedelta(days=1))
    with open_index(index_url, base=tmp_path, clock=clock) as index:
        for one in (FIRST, SECOND, replace(THIRD, received_at=NOON + timedelta(hours=1))):
            index.add(one)
        decided = [promote(index, one) for one in (SECOND, FIRST, THIRD)]
        clock.now = NOON + timedelta(days=1)
        decided.append(promote(index, FIRST))
        moments = [one.decided_at for one in decided if one]
        assert moments == sorted(set(moments)) and len(moments) == 4
        assert NOON + timedelta(hours=1) < moments[0] < NOON + timedelta(hours=1, seconds=1)
        assert moments[-1] == clock.now


def test_objects_have_numbers_that_stay(filled: Index) -> None:
    versions = filled.versions.of(FIRST.sop_instance_uid)
    assert [one.key for one in versions] == [FIRST.key, SECOND.key, THIRD.key]
    assert [one.is_current for one in versions] == [True, False, False]
    assert list(filled.versions.duplicates()) == versions[1:]
    promote(filled, THIRD)
    for before in versions:
        after = filled.versions.get(before.number)
        assert after is not None and (after.key, after.number) == (before.key, before.number)
    assert [one.key for one in filled.versions.duplicates()] == [FIRST.key, SECOND.key]
    assert filled.versions.get(4711) is None
    assert filled.versions.of("1.2.3.4") == []


def test_the_duplicates_of_some_instances_are_read_without_those_of_others(filled: Index) -> None:
    other = record(number=7)
    aside = replace(other, digest="7" * 64, path="aside.dcm")
    filled.add(other)
    filled.add(aside)

    def duplicates_of(*uids: str) -> list[ObjectKey]:
        return [one.key for one in filled.versions.duplicates_of(uids)]

    assert duplicates_of(FIRST.sop_instance_uid, "1.2.3.4") == [SECOND.key, THIRD.key]
    assert duplicates_of(other.sop_instance_uid) == [aside.key]
    assert duplicates_of() == []
    filled.release(filled.copies_of(aside.key))
    assert duplicates_of(other.sop_instance_uid) == []


def test_an_original_and_its_form_tell_each_other(index: Index) -> None:
    index.add(FIRST)
    index.add(compressed(FIRST))
    original, form = index.versions.of(FIRST.sop_instance_uid)
    assert (original.forms, original.made_from) == ((form.number,), None)
    assert (form.forms, form.made_from, form.made_how) == ((), original.number, "compressed")
    index.release(original.copies)
    known = index.versions.get(original.number)
    assert known is not None and known.copies == () and list(index.versions.duplicates()) == []


def test_the_lost_current_object_goes_when_another_is_current(filled: Index) -> None:
    filled.release(filled.copies_of(FIRST.key))
    assert [one.key for one in filled.versions.of(FIRST.sop_instance_uid)] == [FIRST.key, SECOND.key, THIRD.key]
    promote(filled, SECOND)
    assert [one.key for one in filled.versions.of(FIRST.sop_instance_uid)] == [SECOND.key, THIRD.key]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
def test_nothing_is_left_of_an_instance_of_which_every_copy_goes(filled: Index, order: tuple[int, ...]) -> None:
    """The current object is kept as long as there are others, and goes with the last of them."""
    filled.add(compressed(FIRST))
    copies = list(filled.locations())
    for number in order:
        filled.release([one for one in copies if one.key == (FIRST, SECOND, THIRD)[number].key])
    filled.release([one for one in copies if one.transfer_syntax_uid == J2K])
    counts = filled.counts()
    assert (counts.patients, counts.instances, counts.locations) == (0, 0, 0)
    assert filled.versions.of(FIRST.sop_instance_uid) == []


# -- an index that is made anew --


def decision(one: InstanceRecord, *others: InstanceRecord, after_s: float = 5) -> Promotion:
    key, moment = one.key, NOON + timedelta(seconds=after_s)
    return Promotion(
        key.sop_instance_uid, key.digest, key.transfer_syntax_uid, moment, "mtra", "right", (),
        tuple(other.key for other in others),
    )  # fmt: skip


def enter(index: Index, promotion: Promotion, *records: InstanceRecord) -> bool:
    """Enter a promotion as a rebuild does."""
    target = index.promotions.target(promotion)
    return index.promotions.enter(promotion, next((one for one in records if one.key == target), None))


def test_a_promotion_is_entered_once(filled: Index) -> None:
    promotion = decision(SECOND, FIRST, THIRD)
    assert not filled.promotions.is_known(promotion)
    assert enter(filled, promotion, SECOND)
    assert current(filled) == SECOND.key and filled.promotions.is_known(promotion)
    assert enter(filled, decision(THIRD, FIRST, SECOND, after_s=6), THIRD)
    assert not enter(filled, promotion, SECOND)
    assert current(filled) == THIRD.key


@pytest.mark.parametrize(
    ("promotion", "change"),
    [
        (decision(record(number=9)), "another instance"),
        (decision(replace(FIRST, digest="9" * 64), FIRST), "an object that is gone"),
        (decision(SECOND, THIRD), "the current object was received later"),
        (decision(FIRST, SECOND, THIRD), "it is current"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_changes_nothing_is_entered_all_the_same(filled: Index, promotion: Promotion, change: str) -> None:
    assert filled.promotions.target(promotion) is None
    assert enter(filled, promotion)
    assert current(filled) == FIRST.key
    assert [one.decided_at for one in filled.promotions.of(promotion.sop_instance_uid)] == [promotion.decided_at]


def test_a_form_follows_what_it_was_made_from(index: Index) -> None:
    """Where an index is made anew it stands behind that, before all decisions."""
    for one in (FIRST, SECOND, compressed(SECOND)):
        index.add(one)
    assert current(index) == FIRST.key
    assert enter(index, decision(SECOND, FIRST), compressed(SECOND))
    assert current(index).transfer_syntax_uid == J2K
    assert enter(index, decision(FIRST, SECOND, compressed(SECOND), after_s=6), FIRST)
    index.add(brought_back(SECOND))
    assert current(index) == FIRST.key
    assert enter(index, decision(compressed(SECOND), FIRST, after_s=7), brought_back(SECOND))
    assert current(index) == brought_back(SECOND).key


# -- conflicts --


def conflicting(index: Index) -> None:
    index.add(record(study=1, patient_id="X", patient_name="Doe^John"))
    assert index.add(record(study=2, patient_id="X", patient_name="Roe^Jane")).conflicts == ("patient",)


def resolved_by(decided: list[Resolution]) -> Callable[[Resolution], list[NewJob]]:
    def jobs_of(resolution: Resolution) -> list[NewJob]:
        decided.append(resolution)
        return [NewJob("note_decision")]

    return jobs_of


def test_a_resolution_and_its_jobs_are_one_transaction(index: Index) -> None:
    conflicting(index)
    [conflict] = index.conflicts()
    decided: list[Resolution] = []
    assert index.resolve_conflict(conflict.number, "mtra", "two persons", resolved_by(decided))
    assert not index.resolve_conflict(conflict.number, "mtra", "again", resolved_by(decided))
    assert not index.resolve_conflict(4711, "mtra", "none", resolved_by(decided))
    assert len({one.fingerprint for one in decided}) == 1
    assert [one.count for one in index.jobs.counts()] == [1]


def test_another_index_with_the_same_conflict_knows_what_was_decided(index: Index, tmp_path: Path) -> None:
    conflicting(index)
    [conflict] = index.conflicts()
    decided: list[Resolution] = []
    index.resolve_conflict(conflict.number, "mtra", "two persons", resolved_by(decided))
    [known] = index.conflicts()
    with open_index("sqlite:///other.db", base=tmp_path) as other:
        other.restore_resolutions(decided)
        assert list(other.conflicts()) == []
        conflicting(other)
        other.restore_resolutions(decided)
        other.restore_resolutions([replace(decided[0], reason="later")])
        [found] = other.conflicts()
    assert replace(found, number=known.number) == known
