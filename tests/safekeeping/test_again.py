"""What is sent again is safe when that is said: after deletions within a minute, clocks that step, disks that fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.reconciling import reconcile
from medserver.backups.replay import replay
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.errors import OutOfResources
from medserver.index import NewJob, StoredCopy
from medserver.node import Node
from medserver.safekeeping.deletion import order_deletion
from medserver.safekeeping.draining import begin_draining
from medserver.safekeeping.renewal import renew
from medserver.safekeeping.schedule import SEEK, SURVEY
from medserver.volumes import record_present
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.peers.files import Sample, make_series
from tests.safekeeping.conftest import bring_back, flip, root, run_all, sent, served, states, take_away

RLE = SHORT_NAMES["rle"]
HOURS_AHEAD_S = 3 * 3600


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return make_series(tmp_path / "made", 1, rows=64, columns=64)[0]


def work(node: Node, clock: Clock) -> None:
    """Do all jobs, also those that wait for each other."""
    for _ in range(3):
        run_all(Runner(node, periodic=()))
        clock.advance(6)


def delete(node: Node) -> None:
    order_deletion(node, list(node.index.select([])), by="me", reason="a test")


def rebuilt(open_volumes: Callable[..., Node], tmp_path: Path, clock: Clock) -> Node:
    """Return a node with an index made of the volumes, which has run since."""
    node = open_volumes(f"index.url=sqlite:///{tmp_path / 'new.db'}")
    list(archive.rebuild(node))
    work(node, clock)
    return node


def other_pixels(sample: Sample) -> bytes:
    content = bytearray(sample.data_set())
    content[-1] ^= 1
    return bytes(content)


def run(node: Node, *kinds: str) -> None:
    """Run what is due of some kinds of jobs."""
    run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name in kinds], periodic=()))


def only_on_main(node: Node) -> StoredCopy:
    """Place what is in the journal; return the copy on the primary volume."""
    node.primary_volume.seal_if_idle()
    node.primary_volume.place_all()
    [copy] = [one for one in node.index.locations() if one.volume == "main"]
    return copy


def damage(node: Node, copy: StoredCopy) -> None:
    flip(root(node, copy.volume) / copy.path, -1)
    archive.report_damage(node, copy.volume, copy.path, "a test")


# Deletion


def test_form_of_what_is_sent_again_within_a_minute_is_not_the_deleted_one(
    node: Node, open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample
) -> None:
    receive(node, sample, compress_to=RLE)
    work(node, clock)
    delete(node)
    work(node, clock)
    assert receive(node, sample, compress_to=RLE) == "stored"
    work(node, clock)
    assert [one.transfer_syntax_uid for one in node.index.locations()] == [RLE] * 3  # the original is let go
    assert len(served(rebuilt(open_volumes, tmp_path, clock))) == 1


@pytest.mark.parametrize("how", ["restore", "rebuild"])
def test_clock_that_was_ahead_at_the_deletion(
    node: Node, open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample, how: str
) -> None:
    """The tombstone of an original that was let go has no path, and means all that was received until then."""
    receive(node, sample, compress_to=RLE)
    work(node, clock)
    delete(node)
    work(node, clock)
    clock.advance(-HOURS_AHEAD_S)
    assert receive(node, sample) == "stored"
    work(node, clock)
    if how == "rebuild":
        node = rebuilt(open_volumes, tmp_path, clock)
    else:
        assert list(replay(node, clock())) == []
        work(node, clock)
    assert served(node) == sent([sample])


def test_restore_of_a_backup_that_was_made_while_the_clock_was_days_ahead(
    node: Node, open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample
) -> None:
    receive(node, sample)
    work(node, clock)
    node.index.dump(tmp_path / "backup.db")
    made_at = clock() + timedelta(days=3)
    take_away(root(node, "near"))
    delete(node)
    work(node, clock)
    bring_back(root(node, "near"))
    restored = open_volumes(f"index.url=sqlite:///{tmp_path / 'backup.db'}")
    assert list(replay(restored, made_at)) == []
    assert (served(restored), states(restored)) == ({}, {})
    work(restored, clock)
    assert not list(root(restored, "near").rglob("*.dcm"))


@pytest.mark.parametrize("is_known", [True, False])
def test_what_is_deleted_while_it_is_received_again_must_be_sent_once_more(
    node: Node, clock: Clock, sample: Sample, is_known: bool
) -> None:
    """Also if the first one of two senders at a time was the slower one."""
    if is_known:
        receive(node, sample, compress_to=RLE)
        work(node, clock)
    names = {name: getattr(sample, name) for name in ("sop_class_uid", "sop_instance_uid", "transfer_syntax_uid")}
    with archive.receive(node, **names, calling_ae_title="CT1") as reception:
        clock.advance(1)
        if not is_known:
            receive(node, sample, compress_to=RLE)
            work(node, clock)
            clock.advance(1)
        delete(node)
        work(node, clock)
        reception.write(sample.data_set())
        with pytest.raises(OutOfResources, match="deleted while"):
            reception.commit()
    assert (served(node), states(node)) == ({}, {})
    assert receive(node, sample) == "stored"


def test_restore_removes_no_copy_on_a_volume_that_was_away(node: Node, clock: Clock, sample: Sample) -> None:
    """What was received in the minute of the deletion, after it, is not what was deleted."""
    receive(node, sample, compress_to=RLE)
    work(node, clock)
    delete(node)
    run_all(Runner(node, periodic=()))
    clock.advance(1)
    receive(node, sample)
    run_all(Runner(node, periodic=()))
    take_away(root(node, "near"))
    list(replay(node, clock()))
    bring_back(root(node, "near"))
    run(node, "remove")
    [copy] = [one for one in node.index.locations() if one.volume == "near"]
    assert (root(node, "near") / copy.path).exists()


# Clocks


@pytest.mark.parametrize(("duplicates", "outcome"), [("keep", "kept"), ("replace", "replaced")])
def test_order_of_receipt_outlives_a_clock_that_was_ahead(
    open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample, duplicates: str, outcome: str
) -> None:
    node = open_volumes(f"store.duplicates={duplicates}")
    clock.advance(HOURS_AHEAD_S)
    receive(node, sample)
    clock.advance(-HOURS_AHEAD_S)
    assert receive(node, sample, other_pixels(sample)) == outcome
    assert served(rebuilt(open_volumes, tmp_path, clock)) == served(node)


def test_power_cut_after_a_clock_that_was_ahead(
    open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample
) -> None:
    node = open_volumes()
    clock.advance(HOURS_AHEAD_S)
    for other in make_series(tmp_path / "others", 3, rows=8, columns=8):
        receive(node, other)
    clock.advance(-HOURS_AHEAD_S)
    receive(node, sample)
    node.index.release([one for one in node.index.locations() if one.sop_instance_uid == sample.sop_instance_uid])
    assert reconcile(node).adopted == 1
    assert served(node).keys() > sent([sample]).keys()


# Disks


def test_sent_again_while_the_stored_one_cannot_be_read(node: Node, sample: Sample) -> None:
    """The disk has failed there, which is no verdict: but what is sent must be readable before success is said."""
    receive(node, sample)
    file = root(node, "main") / only_on_main(node).path
    file.unlink()
    file.symlink_to(file.name)  # an error, and not "missing"
    assert receive(node, sample) == "same"
    assert served(node) == sent([sample])
    assert receive(node, sample) == "same"
    assert states(node)["main"] == ["good"] * 2


@pytest.mark.parametrize("is_detached", [False, True], ids=["away", "detached"])
def test_copy_on_a_volume_that_is_away_is_not_enough(
    open_volumes: Callable[..., Node], clock: Clock, sample: Sample, is_detached: bool
) -> None:
    node = open_volumes(receives=True)
    receive(node, sample)
    work(node, clock)
    damage(node, only_on_main(node))
    for name in ("near", "cold"):
        if is_detached:
            node.index.volumes.set_detached(name, True)
            node.watch.look()
        else:
            take_away(root(node, name))
    assert receive(node, sample) == "same"
    assert served(node) == sent([sample])


@pytest.mark.parametrize("receives", [False, True])
def test_copy_on_a_volume_that_is_away_does_not_count(
    open_volumes: Callable[..., Node], clock: Clock, sample: Sample, receives: bool
) -> None:
    node = open_volumes("store.copies_before_success=2", receives=receives)
    assert receive(node, sample) == "stored"
    take_away(root(node, "near"))
    with pytest.raises(OutOfResources, match="1 of 2 copies"):
        receive(node, sample)
    bring_back(root(node, "near"))
    assert receive(node, sample) == "same"


def test_copies_on_a_disk_that_comes_back_in_the_place_of_another_are_not_believed(
    open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample
) -> None:
    node = open_volumes(receives=True)
    near = root(node, "near")
    old = take_away(near)
    near.mkdir()
    renew(node, node.volumes["near"])
    receive(node, sample)
    work(node, clock)
    shutil.move(near, tmp_path / "new")
    old.rename(near)
    record_present(node.index, [node.volumes["near"]])
    take_away(root(node, "cold"))
    assert [one.verified_at for one in node.index.locations() if one.volume == "near"] == [None]
    damage(node, only_on_main(node))
    assert receive(node, sample) == "same"
    assert served(node) == sent([sample])


@pytest.mark.parametrize("how", ["back", "anew"])
def test_decision_reaches_a_volume_that_was_away(
    open_volumes: Callable[..., Node], clock: Clock, tmp_path: Path, sample: Sample, how: str
) -> None:
    """From this volume alone comes an index with the same current object."""
    node = open_volumes("store.duplicates=keep")
    receive(node, sample)
    assert receive(node, sample, other_pixels(sample)) == "kept"
    work(node, clock)
    near = root(node, "near")
    take_away(near)
    [duplicate] = node.index.versions.duplicates()
    archive.promote(node, duplicate.key, by="me", why="a test")
    work(node, clock)
    if how == "back":
        bring_back(near)
    else:
        near.mkdir()
        renew(node, node.volumes["near"])
    node.index.add_jobs([NewJob(SEEK, destination="near")])
    work(node, clock)
    for name in ("main", "cold"):
        take_away(root(node, name))
    assert served(rebuilt(open_volumes, tmp_path, clock)) == {sample.sop_instance_uid: other_pixels(sample)}


def test_volume_that_is_drained_gets_empty_again(
    open_volumes: Callable[..., Node], clock: Clock, sample: Sample
) -> None:
    node = open_volumes("store.copies_before_success=2")
    begin_draining(node, "near")
    work(node, clock)
    receive(node, sample)  # which makes a copy there, for success needs it
    work(node, clock)
    assert states(node)["near"] == ["good"]
    node.index.add_jobs([NewJob(SURVEY)])
    work(node, clock)
    assert "near" not in states(node)
    assert not list(root(node, "near").rglob("*.dcm"))
