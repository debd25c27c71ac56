"""Peers that propose several transfer syntaxes in one presentation context get one in which all can be served."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

from tests.peers import files
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.services import corpus
from tests.services.client import Client

PREFERRED = ("x=", "xe", "xb", "xs", "xy", "xx", "xv", "xw", "xt", "xu", "xm", "xh", "xn", "xl", "x2", "x3", "xo", "x4",
             "x5", "xr", "xd", "xi")  # fmt: skip
"""Every transfer syntax that getscu can be told to prefer: +xs is JPEG lossless, +xv JPEG 2000, +xm MPEG2 ..."""

PROPOSED = ("x=", "xe", "xb", "xi", "xs", "xy", "xx", "xv", "xw", "xt", "xu", "xr", "xd")
"""Those that storescu proposes together with uncompressed ones; the video ones it proposes alone."""


def as_file(dataset: Dataset, path: Path) -> Path:
    dataset.file_meta = corpus.file_meta(ExplicitVRLittleEndian)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give the files of a study of an uncompressed CT and a report on it."""
    directory = tmp_path_factory.mktemp("study")
    [image] = files.make_series(directory / "ct", 1, rows=64, columns=64, patient_id="SYNTAXES")
    dataset = pydicom.dcmread(image.path)
    report = corpus.make_dataset(
        SOPClassUID=BasicTextSRStorage,
        StudyInstanceUID=dataset.StudyInstanceUID,
        PatientID="SYNTAXES",
        Modality="SR",
    )
    for keyword in ("PixelData", "Rows", "Columns"):
        report.pop(keyword, None)
    return [image.path, as_file(report, directory / "report.dcm")]


@pytest.fixture(scope="module")
def study_uid(node: Node, study: list[Path]) -> str:
    """Have the study stored."""
    assert Client(node.address).store(*(corpus.encoded(pydicom.dcmread(path)) for path in study)) == [0, 0]
    return str(pydicom.dcmread(study[0]).StudyInstanceUID)


@pytest.mark.parametrize("option", PREFERRED)
def test_getscu_gets_a_study_whatever_it_prefers(
    node: Node, study_uid: str, dcmtk: Dcmtk, tmp_path: Path, option: str
) -> None:
    """The report too, which cannot be JPEG or MPEG."""
    got = tmp_path / "got"
    dcmtk.get(node.address, got, "STUDY", {"StudyInstanceUID": study_uid}, options=[f"+{option}"]).check()
    classes = {str(pydicom.dcmread(path).SOPClassUID) for path in got.iterdir()}
    assert classes == {"1.2.840.10008.5.1.4.1.1.2", BasicTextSRStorage}


@pytest.mark.parametrize("option", PROPOSED)
@pytest.mark.parametrize("combined", [True, False])
def test_storescu_can_send_uncompressed_whatever_it_proposes(
    node: Node, study: list[Path], dcmtk: Dcmtk, option: str, combined: bool
) -> None:
    """Combined, both transfer syntaxes stand in one context."""
    options = [f"-{option}", *(["--combine"] if combined else [])]
    dcmtk.store(node.address, *study, options=options).check()


VIDEO_CLASS, MPEG2 = "1.2.840.10008.5.1.4.1.1.77.1.4.1", "1.2.840.10008.1.2.4.100"


def test_video_stays_video(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """It cannot be decoded here: of a class of video MPEG2 is accepted beside Explicit VR Little Endian."""
    video = corpus.make_object(MPEG2, SOPClassUID=VIDEO_CLASS)
    assert Client(node.address).store(video) == [0]
    keys = {"StudyInstanceUID": str(video.dataset.StudyInstanceUID)}
    dcmtk.get(node.address, tmp_path / "got", "STUDY", keys, options=["+xm"]).check()
    [path] = (tmp_path / "got").iterdir()
    assert pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == MPEG2
