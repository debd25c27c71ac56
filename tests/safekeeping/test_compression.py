"""Stored images are compressed in the background: nothing is lost, and the original stays."""

from __future__ import annotations

import hashlib
import io
from dataclasses import astuple, replace
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest

from medserver import archive
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.errors import OutOfResources
from medserver.index import NewJob, StoredCopy, Tombstone
from medserver.node import Node
from medserver.safekeeping.compression import queue_compression
from medserver.safekeeping.deletion import duplicates_of, order_deletion
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.verification import verify_copies
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import receive, stored_paths
from tests.peers.files import Sample, make_series
from tests.safekeeping.conftest import VOLUMES, all_good, flip, root, run_all, sent, served, states

J2K = SHORT_NAMES["j2k"]
COUNT = 3


@pytest.fixture
def series(node: Node, tmp_path: Path) -> list[Sample]:
    """Images that are to be compressed."""
    made = make_series(tmp_path / "made", COUNT, rows=64, columns=64)
    for sample in made:
        assert receive(node, sample, compress_to=J2K) == "stored"
    return made


def remove_originals(node: Node, worker: Runner) -> None:
    """Leave what earlier versions left, which removed the originals."""
    order_deletion(node, list(node.index.duplicates()), by="test", reason="as earlier versions did")
    run_all(worker)


def pixels(data_set: bytes, transfer_syntax_uid: str) -> bytes:
    dataset = pydicom.filereader.read_dataset(io.BytesIO(data_set), False, True)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    return dataset.pixel_array.tobytes()


def instances(node: Node) -> dict[str, StoredCopy]:
    return {one.sop_instance_uid: one for one in node.index.select([])}


def assert_compressed(node: Node, samples: list[Sample]) -> None:
    """Every image is there once, compressed, and is what was sent."""
    found, expected = instances(node), sent(samples)
    assert set(found) == set(expected)
    for uid, data_set in served(node).items():
        assert found[uid].transfer_syntax_uid == J2K
        assert pixels(data_set, J2K) == pixels(expected[uid], samples[0].transfer_syntax_uid)


def assert_retired(node: Node, samples: list[Sample]) -> None:
    """No file of an original is left on any volume."""
    assert list(node.index.duplicates()) == []
    assert states(node) == all_good(len(samples))
    assert len(stored_paths(node)) == len(samples) * len(VOLUMES)
    assert (node.index.forms.count(), node.index.forms.kept()) == (len(samples), (0, 0))


def test_images_are_compressed_and_the_originals_let_go(node: Node, worker: Runner, series: list[Sample]) -> None:
    run_all(worker)
    assert_compressed(node, series)
    assert_retired(node, series)
    assert list(archive.check(node, digests=True)) == []


def test_what_earlier_versions_had_queued_removes_no_original(
    node: Node, worker: Runner, series: list[Sample]
) -> None:
    """A job that looks for originals, and those that it added to delete them."""
    run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name != "retire"], periodic=()))
    ordered = {"by": "compression", "reason": "its compressed form has taken its place"}
    node.index.add_jobs([NewJob("retire")])
    order_deletion(node, list(node.index.duplicates()), **ordered)
    run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name == "delete"], periodic=()))
    assert [one.kind for one in node.index.jobs.counts() if one.kind in ("delete", "remove")] == []
    assert_compressed(node, series)
    assert states(node) == all_good(2 * COUNT)
    assert list(node.index.tombstones.all()) == []


def test_what_it_was_stays_provable(node: Node, worker: Runner, series: list[Sample]) -> None:
    """The index and the file itself know the digests of the original, and of its pixels."""
    run_all(worker)
    for sample in series:
        stored = instances(node)[sample.sop_instance_uid]
        original = node.index.forms.original_of(stored.key)
        assert original is not None
        assert original.digest == hashlib.sha256(sample.data_set()).hexdigest()
        assert original.size_bytes == len(sample.data_set())
        assert original.transfer_syntax_uid == sample.transfer_syntax_uid
        with node.primary_volume.open(stored.path) as file:
            meta = read_file_meta(file)
        assert meta.original == original
        assert meta.source_ae_title == "CT1"
        data_set = served(node)[sample.sop_instance_uid]
        assert hashlib.sha256(pixels(data_set, J2K)).hexdigest() == original.pixel_digest


def test_who_sends_it_again_is_told_that_it_is_there(node: Node, worker: Runner, series: list[Sample]) -> None:
    run_all(worker)
    for sample in series:
        assert receive(node, sample, compress_to=J2K) == "same"
    run_all(worker)
    assert_compressed(node, series)
    assert_retired(node, series)


def test_the_copies_that_success_demands_are_those_of_the_compressed_form(open_volumes, tmp_path: Path) -> None:
    node = open_volumes("store.copies_before_success=2")
    worker = Runner(node, periodic=())
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    receive(node, sample, compress_to=J2K)
    run_all(worker)
    remove_originals(node, worker)
    assert receive(node, sample) == "same"
    for copy in node.index.copies_of(instances(node)[sample.sop_instance_uid]):
        if copy.volume != "main":
            node.index.mark_location(copy.volume, copy.path, "bad")
    root(node, "near").rename(tmp_path / "away")
    (tmp_path / "near").write_text("not a directory")
    with pytest.raises(OutOfResources):
        receive(node, sample)


def test_other_content_is_put_aside_as_ever(node: Node, worker: Runner, series: list[Sample], tmp_path: Path) -> None:
    run_all(worker)
    dataset = pydicom.dcmread(series[0].path)
    dataset.PatientComments = "other bytes"
    dataset.save_as(tmp_path / "other.dcm")
    other = Sample(tmp_path / "other.dcm", *[getattr(series[0], name) for name in (
        "sop_class_uid", "sop_instance_uid", "transfer_syntax_uid")])  # fmt: skip
    assert receive(node, other) == "kept"
    assert_compressed(node, series)


@pytest.mark.parametrize("originals", ["kept", "removed"])
def test_a_new_index_is_the_same(
    node: Node, worker: Runner, series: list[Sample], open_volumes, tmp_path: Path, originals: str
) -> None:
    run_all(worker)
    if originals == "removed":
        remove_originals(node, worker)
    before = instances(node)
    other = open_volumes(index_url=f"sqlite:///{tmp_path / 'other.db'}")
    assert [one for one in archive.rebuild(other) if one.problem != archive.Problem.SURPLUS] == []
    after = instances(other)
    assert {uid: (one.digest, one.transfer_syntax_uid) for uid, one in after.items()} == {
        uid: (one.digest, one.transfer_syntax_uid) for uid, one in before.items()
    }
    for uid, stored in after.items():
        assert other.index.forms.original_of(stored.key) == node.index.forms.original_of(stored.key) is not None
    assert receive(other, series[0]) == "same"
    assert_compressed(other, series)
    assert other.index.forms.kept() == node.index.forms.kept()


def test_damage_is_repaired_as_ever(node: Node, worker: Runner, series: list[Sample]) -> None:
    run_all(worker)
    stored = instances(node)[series[0].sop_instance_uid]
    flip(root(node, "near") / stored.path, 1500)
    copies = list(node.index.locations())
    assert len(list(verify_copies(node, copies, Pace(None)))) == 1
    run_all(worker)
    assert states(node) == all_good(COUNT)


@pytest.mark.parametrize("name", ["j2k", "htj2k", "jpegls", "rle"])
def test_what_cannot_be_compressed_stays(node: Node, worker: Runner, tmp_path: Path, name: str) -> None:
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    dataset = pydicom.dcmread(sample.path)
    dataset.PixelData = bytes([0xFF]) * len(dataset.PixelData)  # the unused bits are in use
    dataset.save_as(sample.path)
    receive(node, sample, compress_to=SHORT_NAMES[name])
    run_all(worker)
    assert served(node) == sent([sample])
    assert node.index.jobs.counts() == []


def test_what_was_replaced_meanwhile_is_left_alone(open_volumes, tmp_path: Path) -> None:
    """A second object of the same UID has taken the place of the first when the job comes to that."""
    node = open_volumes("store.duplicates=replace")
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    receive(node, sample, compress_to=J2K)
    dataset = pydicom.dcmread(sample.path)
    dataset.PatientComments = "newer"
    dataset.save_as(sample.path)
    assert receive(node, sample) == "replaced"
    run_all(Runner(node, periodic=()))
    assert served(node) == sent([sample])


def test_deletion_takes_everything(node: Node, worker: Runner, series: list[Sample]) -> None:
    run_all(worker)
    found = list(instances(node).values())
    order_deletion(node, [*found, *duplicates_of(node, found)], by="test", reason="")
    run_all(worker)
    assert stored_paths(node) == []
    assert receive(node, series[0]) == "stored"  # a new decision


@pytest.mark.parametrize("is_performed", [False, True], ids=["ordered", "performed"])
def test_nothing_is_made_of_what_is_deleted_meanwhile(open_volumes, tmp_path: Path, is_performed: bool) -> None:
    node = open_volumes()
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    assert receive(node, sample) == "stored"
    [found] = node.index.select([])
    keys = order_deletion(node, [found], by="test", reason="")
    if is_performed:  # its file is still being read
        later = node.clock() + timedelta(seconds=1)
        tombstones = [Tombstone(*astuple(key), later, "test", "") for key in keys]
        expected = [replace(one, path=found.path) for one in tombstones]
        assert node.index.deletions.perform(tombstones, lambda copies: ()) == expected
    assert not archive.compress_object(node, found, J2K)
    assert len(instances(node)) == (0 if is_performed else 1)
    assert stored_paths(node) == [found.path]


def test_what_is_stored_already_is_compressed_on_demand(node: Node, worker: Runner, tmp_path: Path) -> None:
    made = make_series(tmp_path / "made", COUNT, rows=64, columns=64)
    for sample in made:
        receive(node, sample)
    run_all(worker)
    assert queue_compression(node, J2K) == COUNT
    run_all(worker)
    assert_compressed(node, made)
    assert queue_compression(node, J2K) == 0


def test_a_form_that_is_made_between_look_and_order_is_deleted_too(
    node: Node, worker: Runner, tmp_path: Path
) -> None:
    """Who deletes a study looks at it first, and workers compress meanwhile: it must not stay in that form."""
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    assert receive(node, sample) == "stored"
    [found] = node.index.select([])
    assert archive.compress_object(node, found, J2K)
    assert len(order_deletion(node, [found], by="test", reason="")) == 2
    run_all(worker)
    assert (instances(node), list(node.index.duplicates()), stored_paths(node)) == ({}, [], [])


def test_an_order_that_nobody_carries_out_keeps_nothing_from_being_compressed(
    node: Node, worker: Runner, tmp_path: Path
) -> None:
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    assert receive(node, sample) == "stored"
    run_all(worker)
    [found] = node.index.select([])
    order_deletion(node, [found], by="test", reason="")
    assert not archive.compress_object(node, found, J2K)
    assert len(node.index.jobs.drop([job.id for job in node.index.jobs.list()])) == 1
    assert archive.compress_object(node, found, J2K)
