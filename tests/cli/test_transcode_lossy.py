"""Compression with loss derives another instance, which says what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import Result
from pydicom.uid import JPEG2000

from tests.codecs.images import image, stored
from tests.peers import files, requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.peers.process import run

Derive = Callable[..., Result]


@pytest.fixture
def derive(invoke) -> Derive:
    """Give a function that compresses files with loss."""
    return lambda *arguments: invoke("transcode", *map(str, arguments), "--to", "j2k-lossy")


def errors(path: Path) -> set[str]:
    """Return what dciodvfy calls an error."""
    return {line for line in run(["dciodvfy", path]).output.splitlines() if line.startswith("Error")}


def test_a_ct_image(derive: Derive, tmp_path: Path) -> None:
    requires("dicom3tools", "gdcm")
    [sample] = files.make_series(tmp_path / "images", 1)
    result = derive(tmp_path / "images", tmp_path / "out", "--ratio", 10)
    assert result.exit_code == 0, result.output
    [path] = (tmp_path / "out").iterdir()
    derived, original = pydicom.dcmread(path), pydicom.dcmread(sample.path)
    assert derived.file_meta.TransferSyntaxUID == JPEG2000
    assert derived.SOPInstanceUID == derived.file_meta.MediaStorageSOPInstanceUID != original.SOPInstanceUID
    assert derived.SeriesInstanceUID == original.SeriesInstanceUID
    assert list(derived.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert derived.LossyImageCompression == "01"
    assert derived.LossyImageCompressionMethod == "ISO_15444_1"
    assert 9 < derived.LossyImageCompressionRatio < 11
    [source] = derived.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Uncompressed predecessor"
    assert derived.DerivationCodeSequence[0].CodeValue == "113040"
    error = np.abs(derived.pixel_array.astype(int) - original.pixel_array)
    assert 0 < error.mean() < 20  # of 4096 values, with the noise of the phantom
    assert errors(path) <= errors(sample.path)
    run(["gdcmconv", "--raw", path, tmp_path / "raw.dcm"]).check()
    np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "raw.dcm").pixel_array, derived.pixel_array)


def test_twice_is_said_twice(derive: Derive, tmp_path: Path) -> None:
    files.make_series(tmp_path / "images", 1, rows=64, columns=64)
    assert derive(tmp_path / "images", tmp_path / "once", "--ratio", 4).exit_code == 0
    assert derive(tmp_path / "once", tmp_path / "twice", "--ratio", 8).exit_code == 0
    [once], [twice] = (list(map(pydicom.dcmread, (tmp_path / name).iterdir())) for name in ("once", "twice"))
    assert list(twice.LossyImageCompressionMethod) == ["ISO_15444_1"] * 2
    assert len(twice.LossyImageCompressionRatio) == 2
    assert twice.SourceImageSequence[0].ReferencedSOPInstanceUID == once.SOPInstanceUID


@pytest.mark.parametrize(("rows", "columns"), [(31, 64), (64, 31)])
def test_an_image_that_is_too_small_is_refused(derive: Derive, tmp_path: Path, rows: int, columns: int) -> None:
    files.make_series(tmp_path / "images", 1, rows=rows, columns=columns)
    result = derive(tmp_path / "images", tmp_path / "out", "--ratio", 4)
    assert result.exit_code == 1
    assert "an image of less than 32 pixels in a dimension is not encoded into JPEG 2000 with loss" in result.output


def test_an_enhanced_object_says_it_of_its_frames(derive: Derive, tmp_path: Path) -> None:
    """PS3.3 C.8.16.1.1: Frame Type of each frame, in the functional groups of all and of each."""
    dataset = image((3, 64, 64), "u2", 12).read()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    frames = []
    for value in (dataset.ImageType, ["ORIGINAL", "PRIMARY", "T1", "NONE"], ["DERIVED", "PRIMARY", "T2", "ADDITION"]):
        of_mr, groups = pydicom.Dataset(), pydicom.Dataset()
        of_mr.FrameType, of_mr.PixelPresentation = value, "MONOCHROME"
        groups.MRImageFrameTypeSequence = [of_mr]
        groups.PlanePositionSequence = [pydicom.Dataset()]
        frames.append(groups)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = frames[:1], frames[1:]
    dataset.PerFrameFunctionalGroupsSequence.append(pydicom.Dataset())
    (tmp_path / "in.dcm").write_bytes(stored(dataset).part10())
    assert derive(tmp_path / "in.dcm", tmp_path / "out.dcm", "--ratio", 3).exit_code == 0
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    [of_all], [*of_each, _] = derived.SharedFunctionalGroupsSequence, derived.PerFrameFunctionalGroupsSequence
    found = [list(one.MRImageFrameTypeSequence[0].FrameType) for one in (of_all, *of_each)]
    assert found == [
        ["DERIVED", "PRIMARY", "VOLUME", "NONE"],
        ["DERIVED", "PRIMARY", "T1", "NONE"],
        ["DERIVED", "PRIMARY", "T2", "ADDITION"],
    ]
    assert of_each[0].MRImageFrameTypeSequence[0].PixelPresentation == "MONOCHROME"
    assert len(derived.PerFrameFunctionalGroupsSequence) == 3


def test_colours(derive: Derive, tmp_path: Path) -> None:
    (tmp_path / "rgb.dcm").write_bytes(image((2, 64, 64, 3), "u1", 8, "RGB").part10())
    assert derive(tmp_path / "rgb.dcm", tmp_path / "out.dcm", "--ratio", 3).exit_code == 0
    derived = pydicom.dcmread(tmp_path / "out.dcm")
    assert derived.PhotometricInterpretation == "YBR_ICT"
    assert derived.pixel_array.shape == (2, 64, 64, 3)


def test_colours_by_plane(derive: Derive, tmp_path: Path) -> None:
    """GDCM and pydicom decode nearly the colours that were there; 33 x 47 x 3 x 3 bytes are odd in number."""
    requires("gdcm")
    dataset = image((3, 3, 33, 47), "u1", 8, "RGB", PlanarConfiguration=1).read()
    rows, columns = np.mgrid[:33, :47]
    frame = np.stack([rows * 7, columns * 5, rows + columns * 2])
    planes = np.stack([frame, frame[::-1], frame + 3]).astype("u1")
    dataset.PixelData = planes.tobytes() + b"\0"
    dataset.save_as(tmp_path / "planes.dcm")
    assert derive(tmp_path / "planes.dcm", tmp_path / "out.dcm", "--ratio", 2).exit_code == 0
    run(["gdcmconv", "--raw", tmp_path / "out.dcm", tmp_path / "raw.dcm"]).check()
    for name in ("out.dcm", "raw.dcm"):
        derived = pydicom.dcmread(tmp_path / name)
        assert derived.PlanarConfiguration == 0
        difference = np.abs(derived.pixel_array.astype(int) - planes.transpose(0, 2, 3, 1)).mean()
        assert difference < 3


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (((1, 64, 64), "u1", 8, "PALETTE COLOR"), "is not used for PALETTE COLOR"),
        (((1, 64, 64), "u4", 32, "MONOCHROME2"), "MONOCHROME2 of 32 of 32 bits"),
    ],
)
def test_what_must_not_lose_anything(derive: Derive, tmp_path: Path, kind: tuple, reason: str) -> None:
    (tmp_path / "in.dcm").write_bytes(image(*kind).part10())
    result = derive(tmp_path / "in.dcm", tmp_path / "out.dcm", "--ratio", 10)
    assert result.exit_code == 1
    assert reason in result.output
    assert not (tmp_path / "out.dcm").exists()


@pytest.mark.parametrize("arguments", [("--ratio", "1"), ("--ratio", "many"), ()])
def test_a_ratio_is_needed(derive: Derive, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    files.make_series(tmp_path / "images", 1, rows=64, columns=64)
    assert derive(tmp_path / "images", tmp_path / "out", *arguments).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_it_is_stored_beside_the_original(
    derive: Derive, dcmtk: Dcmtk, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    """The node has both, each in its own right."""
    [sample] = files.make_series(tmp_path / "images", 1, rows=64, columns=64)
    assert derive(tmp_path / "images", tmp_path / "out", "--ratio", 10).exit_code == 0
    node = make_node().start()
    dcmtk.store(node.address, tmp_path / "images").check()
    dcmtk.store(node.address, tmp_path / "out", options=["--propose-j2k-lossy"]).check()
    found = dcmtk.find(node.address, "STUDY", {"NumberOfStudyRelatedInstances": "", "PatientID": "PHANTOM-1"})
    assert [identifier.NumberOfStudyRelatedInstances for identifier in found.identifiers] == [2]
    assert dcmtk.get(
        node.address,
        tmp_path / "got",
        "IMAGE",
        {
            key: str(pydicom.dcmread(sample.path)[key].value)
            for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        },
    ).check()
    [got] = (tmp_path / "got").iterdir()
    assert pydicom.dcmread(got).PixelData == pydicom.dcmread(sample.path).PixelData
