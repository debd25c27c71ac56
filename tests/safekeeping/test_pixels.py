"""Pixels that earlier versions lost by compression are found by their digest, and brought back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medserver import archive
from medserver.archive import PixelState
from medserver.dicom.part10 import read_file_meta
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS
from medserver.dicom.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.safekeeping.compression import queue_compression
from medserver.safekeeping.deletion import order_deletion
from medserver.safekeeping.pixels import verify_all_pixels
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.codecs.images import pixels_of
from tests.codecs.stored import StoredObject
from tests.peers.files import make_series
from tests.safekeeping.conftest import flip, root, run_all, sent, served
from tests.safekeeping.lost_pixels import LOST, SIZE, compress_as_before, make_image, no_sign, overlay, padding

JPEG_2000_PART_2 = "1.2.840.10008.1.2.4.92"


def delete_asides(node: Node, worker: Runner) -> None:
    """Delete what is put aside, as earlier versions did with originals."""
    order_deletion(node, list(node.index.duplicates()), by="test", reason="as earlier versions did")
    run_all(worker)


def current(node: Node) -> StoredCopy:
    [instance] = node.index.select([])
    return instance


def served_pixels(node: Node) -> bytes:
    """Return what a receiver makes of the pixels of the only instance."""
    [data_set] = served(node).values()
    return pixels_of(StoredObject("served", current(node).transfer_syntax_uid, data_set))


def plain_pixels(node: Node) -> bytes:
    """Return the Pixel Data of the only instance, which is uncompressed, in little endian order."""
    [data_set] = served(node).values()
    one = StoredObject("served", current(node).transfer_syntax_uid, data_set)
    pixels = one.read().PixelData
    is_big = one.transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN
    return np.frombuffer(pixels, ">u2").astype("<u2").tobytes() if is_big else pixels


def states_of(node: Node) -> list[PixelState]:
    return [check.state for check in verify_all_pixels(node)]


@pytest.mark.parametrize("originals", ["kept", "deleted"])
@pytest.mark.parametrize("change", LOST, ids=lambda one: one.__name__)
def test_lost_pixels_are_brought_back(
    node: Node, worker: Runner, tmp_path: Path, change: Callable, originals: str
) -> None:
    sample = make_image(tmp_path / "made", change)
    receive(node, sample)
    pixels = compress_as_before(node, sample)
    run_all(worker)
    if originals == "deleted":
        delete_asides(node, worker)
    compressed = current(node)
    assert compressed.transfer_syntax_uid == HTJ2K_LOSSLESS
    assert served_pixels(node) != pixels  # so that there is something to bring back
    assert states_of(node) == [PixelState.RESTORED]
    assert plain_pixels(node) == pixels
    aside = {one.digest for one in node.index.duplicates()}
    assert compressed.digest in aside
    assert len(aside) == (2 if originals == "kept" else 1)
    run_all(worker)
    assert list(archive.check(node, digests=True)) == []
    assert {copy.volume for copy in node.index.copies_of(current(node))} == set(node.volumes)
    assert states_of(node) == []  # it is not compressed any more
    assert receive(node, sample) == "same"


@pytest.mark.parametrize(
    "uid", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN], ids=["EL", "IL", "EB"]
)
def test_it_comes_back_in_the_transfer_syntax_of_the_original(
    node: Node, worker: Runner, tmp_path: Path, uid: str
) -> None:
    """In a simple case it is the original, byte for byte, although that was deleted."""
    sample = make_image(tmp_path / "made", no_sign, uid)
    receive(node, sample)
    pixels = compress_as_before(node, sample)
    delete_asides(node, worker)
    assert states_of(node) == [PixelState.RESTORED]
    assert plain_pixels(node) == pixels
    assert current(node).transfer_syntax_uid == uid
    assert served(node) == sent([sample])


@pytest.mark.parametrize("originals", ["kept", "deleted"])
def test_a_new_index_is_the_same(
    node: Node, worker: Runner, open_volumes, tmp_path: Path, originals: str
) -> None:
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    compress_as_before(node, sample)
    run_all(worker)
    if originals == "deleted":
        delete_asides(node, worker)
    assert states_of(node) == [PixelState.RESTORED]
    run_all(worker)
    before = current(node)
    other = open_volumes(index_url=f"sqlite:///{tmp_path / 'other.db'}")
    for _ in range(2):  # to enter everything again changes nothing
        assert [one for one in archive.rebuild(other) if one.problem != archive.Problem.SURPLUS] == []
        assert (current(other).digest, current(other).path) == (before.digest, before.path)
    assert {one.digest for one in other.index.duplicates()} == {one.digest for one in node.index.duplicates()}
    of = other.index.forms.original_of(before.key)
    assert of == node.index.forms.original_of(before.key)
    assert (of is None) == (originals == "deleted")  # then the original itself is there again, byte for byte
    assert receive(other, sample) == "same"


def test_an_image_that_was_replaced_since_comes_back_aside(open_volumes, clock: Clock, tmp_path: Path) -> None:
    """What took its place stays there."""
    node = open_volumes("store.duplicates=replace")
    worker = Runner(node, periodic=())
    sample = make_image(tmp_path / "made", padding)
    receive(node, sample)
    pixels = compress_as_before(node, sample)
    delete_asides(node, worker)
    dataset = pydicom.dcmread(sample.path)
    dataset.PatientComments = "newer"
    dataset.save_as(sample.path)
    clock.advance(60)
    assert receive(node, sample) == "replaced"
    assert states_of(node) == [PixelState.RESTORED]
    assert served(node) == sent([sample])
    [back] = [one for one in node.index.duplicates() if one.transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN]
    assert StoredObject("aside", EXPLICIT_VR_LITTLE_ENDIAN, _data_set(node, back.path)).read().PixelData == pixels
    assert states_of(node) == []
    before = {one.digest for one in node.index.duplicates()}
    other = open_volumes("store.duplicates=replace", index_url=f"sqlite:///{tmp_path / 'other.db'}")
    assert [one for one in archive.rebuild(other) if one.problem != archive.Problem.SURPLUS] == []
    assert served(other) == sent([sample])
    assert {one.digest for one in other.index.duplicates()} == before


def _data_set(node: Node, path: str) -> bytes:
    with node.primary_volume.open(path) as file:
        file.seek(read_file_meta(file).data_set_offset)
        return file.read()


def test_what_no_decoder_gives_is_said_and_left_alone(node: Node, worker: Runner, tmp_path: Path) -> None:
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    compress_as_before(node, sample, native=bytes(2 * SIZE * SIZE))
    delete_asides(node, worker)
    before = current(node)
    [check] = verify_all_pixels(node)
    assert (check.state, check.sop_instance_uid) == (PixelState.LOST, sample.sop_instance_uid)
    assert "no decoder here gives the pixels" in check.detail
    assert current(node) == before
    assert states_of(node) == [PixelState.LOST]


def test_an_original_that_is_kept_helps_where_no_decoder_does(node: Node, tmp_path: Path) -> None:
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    pixels = compress_as_before(node, sample, native=bytes(2 * SIZE * SIZE))
    assert states_of(node) == [PixelState.RESTORED]
    assert plain_pixels(node) == pixels


def test_a_decoder_helps_where_the_original_is_damaged(node: Node, tmp_path: Path) -> None:
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    pixels = compress_as_before(node, sample)
    [original] = node.index.duplicates()
    flip(root(node, "main") / original.path, -1)
    assert states_of(node) == [PixelState.RESTORED]
    assert plain_pixels(node) == pixels


def test_what_no_decoder_is_installed_for_is_left_alone(node: Node, tmp_path: Path) -> None:
    """That says nothing of the pixels, although the original is kept."""
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    compress_as_before(node, sample, transfer_syntax_uid=JPEG_2000_PART_2)
    before = current(node)
    [check] = verify_all_pixels(node)
    assert (check.state, current(node)) == (PixelState.LOST, before)
    assert "cannot be brought into" in check.detail


def test_what_cannot_be_read_is_said(node: Node, worker: Runner, tmp_path: Path) -> None:
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    compress_as_before(node, sample)
    delete_asides(node, worker)
    for name in node.volumes:
        flip(root(node, name) / current(node).path, -1)
    assert states_of(node) == [PixelState.LOST]


@pytest.mark.parametrize("name", ["j2k", "htj2k", "jpegls", "rle"])
def test_what_is_compressed_well_stays(node: Node, worker: Runner, tmp_path: Path, name: str) -> None:
    made = make_series(tmp_path / "made", 3, rows=SIZE, columns=SIZE)
    dataset = pydicom.dcmread(made[1].path)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = (np.arange(3 * SIZE * SIZE) // 48).astype("u1").tobytes()
    dataset.save_as(made[1].path)
    for sample in made:
        receive(node, sample)
    queue_compression(node, SHORT_NAMES[name])
    run_all(worker)
    before = {one.sop_instance_uid: one.transfer_syntax_uid for one in node.index.select([])}
    assert set(before.values()) == {SHORT_NAMES[name]}
    assert states_of(node) == [PixelState.SAME] * 3
    assert {one.sop_instance_uid: one.transfer_syntax_uid for one in node.index.select([])} == before
