"""Which studies a rule deletes, and what keeps them: each state of a study, and what happens while an order waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from medserver import archive
from medserver.archive.orders import OBJECTS_PER_JOB
from medserver.dicom.storage_commitment import Reference
from medserver.index import BAD, JobFilter, NewCommitment
from medserver.node import Node
from medserver.safekeeping.deletion import DELETE, order_deletion, ordered_by, removal_jobs
from medserver.store import TOMBSTONES
from medserver.workitems.content import data_set
from medserver.workitems.creating import create
from tests.archive.conftest import receive, stored_paths
from tests.clock import Clock
from tests.peers.files import Sample, make_series
from tests.retention.rules import (
    deliver,
    deliver_all,
    found,
    order,
    pass_time,
    route_undone,
    stored,
    work,
)
from tests.workitems.samples import new_item

Opened = Callable[..., Node]

COMMITS = ("ae ARCHIVE.must_commit=yes", "ae CLOUD.must_commit=yes")


def receive_all(node: Node, series: list[Sample]) -> None:
    for sample in series:
        receive(node, sample)


def compress_all(node: Node) -> None:
    """Compress what is stored; the originals stay for now."""
    for copy in [one for one in node.index.locations() if one.is_current]:
        assert archive.compress_object(node, copy, JPEG2000Lossless)


def other_bytes(sample: Sample, path: Path) -> bytes:
    """Return the data set of an instance with another Patient's name."""
    dataset = pydicom.dcmread(sample.path)
    dataset.PatientName = "Changed"
    dataset.save_as(path)
    return replace(sample, path=path).data_set()


def test_what_is_old_and_delivered_is_deleted(opened: Opened, clock: Clock, series: list[Sample]) -> None:
    node = opened()
    receive_all(node, series)
    deliver_all(node)
    assert found(node).kept == {"too young": 1}
    pass_time(node, clock, 31)
    assert (found(node).studies, found(node).instances) == (1, 3)
    work(node)
    assert (stored(node), stored_paths(node)) == (0, [])
    tombstones = list(node.index.tombstones.all())
    assert {one.deleted_by for one in tombstones} == {"rule r"}
    assert {one.reason for one in tombstones} == {"received 30 d ago or earlier, delivered to ARCHIVE"}
    assert [node.index.delivered.of(sample.sop_instance_uid) for sample in series] == [[]] * 3


def test_a_dry_run_deletes_nothing(opened: Opened, clock: Clock, series: list[Sample]) -> None:
    node = opened(dry_run="")  # the default
    receive_all(node, series)
    deliver_all(node)
    pass_time(node, clock, 31)
    work(node)
    assert (stored(node), found(node).studies) == (3, 1)


# What keeps a study

State = Callable[[Node, list[Sample], Path], None]


def undelivered(node: Node, series: list[Sample], directory: Path) -> None:
    receive_all(node, series)
    deliver(node, "CLOUD")


def partly_delivered(node: Node, series: list[Sample], directory: Path) -> None:
    receive_all(node, series)
    deliver(node, "CLOUD")
    deliver(node, "ARCHIVE", limit=2)


def waiting_for_another(node: Node, series: list[Sample], directory: Path) -> None:
    receive_all(node, series)
    deliver(node, "ARCHIVE")


def without_rule(node: Node, series: list[Sample], directory: Path) -> None:
    """What waits for a decision waits."""
    waiting_for_another(node, series, directory)
    [lane] = [job for job in node.index.jobs.list(JobFilter("deliver", "CLOUD"))][:1]
    node.index.jobs.amend([lane.id], {"route": "gone", "rule": "gone"})


def replaced_after_delivery(node: Node, series: list[Sample], directory: Path) -> None:
    receive_all(node, series)
    deliver_all(node)
    assert receive(node, series[0], other_bytes(series[0], directory / "other.dcm")) == "kept"


def with_a_conflict(node: Node, series: list[Sample], directory: Path) -> None:
    receive_all(node, series)
    other = make_series(
        directory / "more", 1, rows=16, columns=16, patient_name="Somebody^Else",
        study_instance_uid=str(pydicom.dcmread(series[0].path).StudyInstanceUID), patient_id="OTHER",
    )  # fmt: skip
    receive_all(node, other)
    deliver_all(node)
    assert list(node.index.conflicts())


def asked_to_commit(node: Node, series: list[Sample], directory: Path) -> None:
    receive_all(node, series)
    deliver_all(node)
    one = series[1]
    reference = Reference(one.sop_class_uid, one.sop_instance_uid)
    node.index.commitments.ask(NewCommitment("scp", "1.2.3", "CT1", "", (reference,)))


def grown_since(node: Node, series: list[Sample], directory: Path) -> None:
    """One instance of the study is younger than the rule wants."""
    receive_all(node, series[:2])
    deliver_all(node)
    clock = node.clock
    assert isinstance(clock, Clock)
    pass_time(node, clock, 20)
    receive_all(node, series[2:])
    deliver_all(node)


def delivered_late(node: Node, series: list[Sample], directory: Path) -> None:
    """The age counts from when it was delivered, if that was later."""
    receive_all(node, series)
    clock = node.clock
    assert isinstance(clock, Clock)
    pass_time(node, clock, 20)
    deliver_all(node)


def named_by_a_work_item(node: Node, series: list[Sample], directory: Path) -> None:
    """It is the input of something that nobody has done yet."""
    receive_all(node, series)
    deliver_all(node)
    study = str(pydicom.dcmread(series[0].path).StudyInstanceUID)
    inputs = [data_set(TypeOfInstances="DICOM", StudyInstanceUID=study)]
    create(node, "", new_item(InputInformationSequence=inputs), "REQUESTER")


def routed_later(node: Node, series: list[Sample], directory: Path) -> None:
    """Nobody has decided yet to whom an instance is sent."""
    receive_all(node, series)
    deliver_all(node)
    route_undone(node, series[0])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (undelivered, "not delivered to ARCHIVE"),
        (partly_delivered, "not delivered to ARCHIVE"),
        (waiting_for_another, "waiting to be sent, or for a decision about that"),
        (without_rule, "waiting to be sent, or for a decision about that"),
        (replaced_after_delivery, "not delivered to ARCHIVE"),
        (with_a_conflict, "in a conflict that nobody has decided on"),
        (asked_to_commit, "in a storage commitment that is to be reported"),
        (named_by_a_work_item, "named by a work item that has not ended"),
        (grown_since, "too young"),
        (delivered_late, "too young"),
        (routed_later, "waiting to be sent, or for a decision about that"),
    ],
)
def test_what_keeps_a_study(
    opened: Opened, clock: Clock, series: list[Sample], tmp_path: Path, state: State, reason: str
) -> None:
    node = opened()
    state(node, series, tmp_path)
    begun = clock.now
    before = stored(node)
    pass_time(node, clock, 29.9 if reason == "too young" else 31)
    assert found(node).kept == {reason: 1}
    assert order(node) == 0
    assert stored(node) == before
    assert begun < clock.now


def test_one_of_two_proofs_is_enough(opened: Opened, clock: Clock, series: list[Sample]) -> None:
    node = opened(*COMMITS, after="committed and delivered or delivered", to="ARCHIVE", dry_run="")
    receive_all(node, series)
    pass_time(node, clock, 31)
    assert found(node).kept == {"not committed to by ARCHIVE": 1}
    deliver_all(node)
    pass_time(node, clock, 31)
    assert found(node).studies == 1


def test_all_must_have_it(opened: Opened, clock: Clock, series: list[Sample]) -> None:
    node = opened(to="ARCHIVE, CLOUD", after="delivered")
    receive_all(node, series)
    deliver(node, "ARCHIVE")
    pass_time(node, clock, 31)
    assert found(node).kept == {"not delivered to CLOUD": 1}
    deliver(node, "CLOUD")
    pass_time(node, clock, 31)
    assert order(node) == 1


def test_what_was_committed_to_is_deleted(opened: Opened, clock: Clock, series: list[Sample]) -> None:
    node = opened(*COMMITS, after="committed")
    receive_all(node, series)
    deliver_all(node, is_committed=True)
    pass_time(node, clock, 31)
    work(node)
    assert stored(node) == 0


def test_the_compressed_form_of_what_was_delivered_counts(
    opened: Opened, clock: Clock, series: list[Sample]
) -> None:
    node = opened()
    receive_all(node, series)
    deliver_all(node)
    compress_all(node)
    pass_time(node, clock, 31)
    assert found(node).studies == 1
    work(node)
    assert (stored(node), stored_paths(node)) == (0, [])


def test_a_compressed_form_that_was_delivered_counts_for_its_original(
    opened: Opened, clock: Clock, series: list[Sample]
) -> None:
    """Also while the original is still there."""
    node = opened()
    receive_all(node, series)
    compress_all(node)
    deliver_all(node)
    pass_time(node, clock, 31)
    assert found(node).studies == 1


def test_a_study_of_several_jobs_is_deleted_as_a_whole(opened: Opened, clock: Clock, tmp_path: Path) -> None:
    node = opened()
    made = make_series(tmp_path / "large", 2 * OBJECTS_PER_JOB + 10, rows=8, columns=8)
    receive_all(node, made)
    deliver_all(node)
    deliver(node, "ARCHIVE", limit=1000)
    deliver(node, "CLOUD", limit=1000)
    pass_time(node, clock, 31)
    assert order(node) == 1
    assert len(list(node.index.jobs.list(JobFilter(DELETE)))) == 3
    work(node, rules=False)
    assert stored(node) == 0


# What is meant


@pytest.mark.parametrize(
    ("condition", "is_meant"),
    [
        ("Modality=CT", True),
        ("Modality=MR", False),
        ("StudyDate=20260101-", True),
        ("StudyDate=-20260101", False),
        ("ModalitiesInStudy=CT", True),
        ("PatientName=phantom*", True),
        ("calling_ae_title=CT?", True),
        ("calling_ae_title=MR*", False),
        ("PixelSpacing=0.5\\0.5", None),
        ("ImageType=ORIGINAL", True),
        ("Rows=16", True),
        ("Rows=17", False),
    ],
)
def test_conditions(
    opened: Opened, clock: Clock, series: list[Sample], condition: str, is_meant: bool | None
) -> None:
    node = opened(f"retention r.{condition}")
    receive_all(node, series)
    deliver_all(node)
    pass_time(node, clock, 31)
    one = found(node)
    if is_meant is not None:
        assert (one.studies, one.kept) == ((1, {}) if is_meant else (0, {"not meant by the rule": 1}))


def test_one_instance_that_is_not_meant_keeps_its_study(
    opened: Opened, clock: Clock, series: list[Sample], tmp_path: Path
) -> None:
    node = opened("retention r.InstanceNumber=1")
    receive_all(node, series)
    deliver_all(node)
    pass_time(node, clock, 31)
    assert found(node).kept == {"not meant by the rule": 1}


# What happens while an order waits


def gone_rule(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    return open_again(name="other", age="31 d")


def changed_rule(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    return open_again(age="32 d")


def dry_rule(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    return open_again(dry_run="yes")


def same_bytes(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    assert receive(node, series[1]) == "same"
    return node


def other_content(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    assert receive(node, series[1], other_bytes(series[1], directory / "other.dcm")) == "kept"
    return node


def other_content_in_its_place(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    node = open_again("store.duplicates=replace")
    assert receive(node, series[1], other_bytes(series[1], directory / "other.dcm")) == "replaced"
    return node


def another_instance(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    study = str(pydicom.dcmread(series[0].path).StudyInstanceUID)
    receive_all(node, make_series(directory / "more", 1, rows=16, columns=16, study_instance_uid=study))
    return node


def wanted_again(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    route_undone(node, series[1])
    return node


def asked_for(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    reference = Reference(series[1].sop_class_uid, series[1].sop_instance_uid)
    node.index.commitments.ask(NewCommitment("scp", "1.2.3", "CT1", "", (reference,)))
    return node


def unreachable_destination(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    """Nothing is asked of it again: that it has the study is known."""
    return open_again("ae ARCHIVE.address=127.0.0.1:105")


def bad_copy(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    one = next(node.index.locations())
    node.index.mark_location(one.volume, one.path, BAD)
    return node


def renamed_rule(open_again: Opened, node: Node, series: list[Sample], directory: Path) -> Node:
    """What it says is the same."""
    return open_again(name="other")


Event = Callable[[Opened, Node, list[Sample], Path], Node]


@pytest.mark.parametrize(
    ("event", "stays"),
    [
        (gone_rule, True),
        (changed_rule, True),
        (dry_rule, True),
        (same_bytes, True),
        (other_content, True),
        (other_content_in_its_place, True),
        (another_instance, True),
        (wanted_again, True),
        (asked_for, True),
        (unreachable_destination, False),
        (bad_copy, False),
        (renamed_rule, False),
    ],
)
def test_what_happens_while_an_order_waits(
    opened: Opened, clock: Clock, series: list[Sample], tmp_path: Path, event: Event, stays: bool
) -> None:
    """A study is deleted as a whole, or not at all; what is not wanted any more is not ordered any more."""
    node = opened()
    receive_all(node, series)
    deliver_all(node)
    pass_time(node, clock, 31)
    assert order(node) == 1
    node = event(opened, node, series, tmp_path)
    before = stored(node)
    work(node, rules=False)
    assert stored(node) == (before if stays else 0)
    assert not [job for job in node.index.jobs.list(JobFilter(DELETE))]
    left = [one for study in node.index.holdings.page() for one in node.index.holdings.objects(study)]
    assert not any(one.is_ordered for one in left)


def test_an_administrator_may_want_it_as_well(opened: Opened, clock: Clock, series: list[Sample]) -> None:
    """What he has ordered is deleted, though the rule does not want it any more."""
    node = opened()
    receive_all(node, series)
    deliver_all(node)
    pass_time(node, clock, 31)
    assert order(node) == 1
    one = node.index.instances([series[0].sop_instance_uid])[series[0].sop_instance_uid]
    order_deletion(node, [one], by="somebody", reason="")
    node = opened(age="40 d")
    work(node, rules=False)
    assert stored(node) == 2
    assert [one.deleted_by for one in node.index.tombstones.all()] == ["somebody"]


def test_a_repeated_deletion_writes_its_tombstones_though_the_rule_is_gone(
    opened: Opened, clock: Clock, series: list[Sample]
) -> None:
    """The worker is killed when the rows are gone; what was sent again since stays."""
    node = opened()
    receive_all(node, series)
    deliver_all(node)
    pass_time(node, clock, 31)
    order(node)
    [job] = node.index.jobs.list(JobFilter(DELETE))
    node.index.deletions.perform(ordered_by(job), lambda copies: removal_jobs(copies, also_on=node.volumes))
    assert noted(node) == set()
    clock.advance(60)
    assert receive(node, series[0]) == "stored"
    node = opened(dry_run="yes")
    work(node, rules=False)
    assert (stored(node), noted(node)) == (1, {sample.sop_instance_uid for sample in series})


def noted(node: Node) -> set[str]:
    """Return the instances of which the primary volume has a tombstone."""
    text = b"".join(node.primary_volume.notes(TOMBSTONES)).decode()
    return {one.sop_instance_uid for one in node.index.tombstones.all() if one.sop_instance_uid in text}
