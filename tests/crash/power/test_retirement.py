"""An original that has been let go is not missed after a power cut, whatever of the index that takes."""

from __future__ import annotations

import hashlib
import io
from contextlib import closing
from pathlib import Path

import pydicom
import pytest

from medserver.dicom.conditions import SingleValue
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.node import Node
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.crash.power.archive import opened, read_object, started
from tests.crash.power.recording import Recording
from tests.hurry import hurried
from tests.peers.files import Sample, make_series

SEED, CUTS = 20261129, 20
RLE = SHORT_NAMES["rle"]
OPTIONS = ("store.duplicates=replace",)


@pytest.fixture
def versions(tmp_path: Path) -> list[Sample]:
    """Give two versions of an image."""
    [first] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    dataset = pydicom.dcmread(first.path)
    dataset.PixelData = bytes(reversed(dataset.PixelData[1::2])) + bytes(len(dataset.PixelData) // 2)
    dataset.save_as(tmp_path / "second.dcm")
    uids = (first.sop_class_uid, first.sop_instance_uid, first.transfer_syntax_uid)
    return [first, Sample(tmp_path / "second.dcm", *uids)]


def pixels_of(node: Node, sample: Sample) -> list[str]:
    """Return the SHA-256 of the pixels of an instance; nothing if it is not there."""
    found = []
    for copy in node.index.select([SingleValue("SOPInstanceUID", sample.sop_instance_uid)]):
        dataset = pydicom.filereader.read_dataset(io.BytesIO(read_object(node, copy)), False, True)
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = copy.transfer_syntax_uid
        found.append(hashlib.sha256(dataset.pixel_array.tobytes()).hexdigest())
    return found


def digest_of(sample: Sample) -> str:
    return hashlib.sha256(pydicom.dcmread(sample.path).pixel_array.tobytes()).hexdigest()


def work(node: Node) -> None:
    """Compress, and let go of the originals."""
    with hurried():
        runner = Runner(node, periodic=())
        while runner.run_due():
            pass


def store_and_retire(recorded: Recording, sample: Sample) -> None:
    """Receive a version, which is placed, compressed and let go."""
    node = opened(recorded.folder, *OPTIONS, receives=True)
    receive(node, sample, compress_to=RLE)
    recorded.acknowledge(digest_of(sample))
    node.primary_volume.place_all()
    work(node)
    recorded.acknowledge("let go")


def test_an_original_is_there_until_the_index_has_its_form(tmp_path: Path, versions: list[Sample]) -> None:
    [sample, _] = versions
    recording = Recording(tmp_path).run(lambda recorded: store_and_retire(recorded, sample))
    for cut in recording.cuts(CUTS, SEED, at_the_end=CUTS // 4):
        with started(cut.folder, *OPTIONS) as (node, _):
            if cut.acknowledged:
                assert pixels_of(node, sample) == [digest_of(sample)], cut.what
    assert cut.acknowledged[-1] == "let go"
    with started(recording.folder, *OPTIONS) as (node, _):  # without any cut: the original was let go indeed
        assert len(list(node.primary_volume.walk())) == 1


def test_the_second_version_stays_when_the_first_was_compressed(tmp_path: Path, versions: list[Sample]) -> None:
    first, second = versions
    with closing(opened(tmp_path, *OPTIONS)) as node:
        receive(node, first, compress_to=RLE)
        work(node)
    recording = Recording(tmp_path).run(lambda recorded: store_and_retire(recorded, second))
    for cut in recording.cuts(CUTS, SEED, at_the_end=CUTS // 4):
        with started(cut.folder, *OPTIONS) as (node, _):
            allowed = [digest_of(second)] if cut.acknowledged else [digest_of(first), digest_of(second)]
            [found] = pixels_of(node, second)
            assert found in allowed, cut.what
            work(node)
            assert pixels_of(node, second) == [found], f"{cut.what}, after its jobs"
