"""Images go out compressed to those who want it, and come back as they were (PS3.4 C.4.2, C.4.3; PS3.8 9.3.3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy
import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from tests.conftest import MakeDirectory
from tests.peers import files
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.services.client import Client

COUNT = 3


@pytest.fixture(scope="module")
def node(start_node: Callable[..., Node]) -> Node:
    return start_node()


@pytest.fixture(scope="module")
def sent(node: Node, make_directory: MakeDirectory) -> list[Sample]:
    """Give a CT series that was registered uncompressed."""
    series = files.make_series(make_directory("sent"), COUNT, rows=128, columns=128, patient_id="J2K")
    assert Client(node.address).store(*series) == [0] * COUNT
    return series


def study_of(sample: Sample) -> dict[str, str]:
    return {"StudyInstanceUID": str(pydicom.dcmread(sample.path, stop_before_pixels=True).StudyInstanceUID)}


def pixels(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return the decoded pixels of files by SOP Instance UID."""
    datasets = [pydicom.dcmread(path) for path in paths]
    return {str(dataset.SOPInstanceUID): dataset.pixel_array.tobytes() for dataset in datasets}


def originals(samples: Iterable[Sample]) -> dict[str, bytes]:
    return pixels(sample.path for sample in samples)


def syntaxes(paths: Iterable[Path]) -> set[str]:
    return {str(pydicom.dcmread(path).file_meta.TransferSyntaxUID) for path in paths}


@pytest.mark.parametrize(
    ("preferred", "option", "transfer_syntax_uid"),
    [
        ("j2k", "--prefer-j2k-lossless", JPEG2000Lossless),
        ("explicit, rle", "--prefer-rle", ExplicitVRLittleEndian),
        ("rle, explicit", "--prefer-rle", RLELossless),
        ("rle", "--prefer-j2k-lossless", ExplicitVRLittleEndian),
        ("JPEGBaseline8Bit", "--prefer-jpeg8", ExplicitVRLittleEndian),  # which is not encoded here
        ("", "--prefer-j2k-lossless", ExplicitVRLittleEndian),
        ("", "--prefer-uncompr", ExplicitVRLittleEndian),
    ],
)
def test_the_entry_decides_what_getscu_gets(
    node: Node, sent: list[Sample], dcmtk: Dcmtk, tmp_path: Path, preferred: str, option: str, transfer_syntax_uid: str
) -> None:
    """It proposes compressed and uncompressed in one context: uncompressed unless our entry for it says otherwise."""
    node.add_remote("COMPRESS", options={"transfer_syntaxes": preferred})
    got = tmp_path / "got"
    dcmtk.get(
        node.address, got, "STUDY", study_of(sent[0]), calling_ae_title="COMPRESS", options=[option]
    ).check()
    assert syntaxes(got.iterdir()) == {transfer_syntax_uid}
    assert pixels(sorted(got.iterdir())) == originals(sent)


@pytest.mark.parametrize(
    ("preferred", "options", "transfer_syntax_uid"),
    [
        ("j2k, explicit", ["--accept-all"], JPEG2000Lossless),
        ("rle", ["--accept-all"], RLELossless),
        ("htj2k, j2k", ["--accept-all"], JPEG2000Lossless),  # storescp does not know HTJ2K
        ("j2k", ["--prefer-little"], ExplicitVRLittleEndian),
        ("j2k, rle", ["--implicit"], ImplicitVRLittleEndian),
        ("implicit", ["--accept-all"], ImplicitVRLittleEndian),
        ("", ["--accept-all"], ExplicitVRLittleEndian),
    ],
)
def test_storescp_is_sent_the_best_that_it_takes(
    node: Node, sent: list[Sample], dcmtk: Dcmtk, preferred: str, options: list[str], transfer_syntax_uid: str
) -> None:
    storescp = dcmtk.start_storescp("WANTS", options=[*options, "--promiscuous"])
    node.add_remote(storescp.address, allow=(), options={"transfer_syntaxes": preferred})
    answer = dcmtk.move(node.address, "WANTS", "STUDY", study_of(sent[0])).check()
    node.remove_remote("WANTS")
    assert answer.status == 0
    assert syntaxes(storescp.files()) == {transfer_syntax_uid}
    assert pixels(storescp.files()) == originals(sent)


def test_what_was_stored_compressed_is_readable_for_everybody(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """JPEG 2000 by storescu, Implicit VR to a storescp that takes nothing else, the stored bytes to one that can."""
    series = files.make_series(tmp_path / "series", COUNT, rows=128, columns=128, patient_id="STORED-J2K")
    node.cli("transcode", tmp_path / "series", tmp_path / "j2k", "--to", "j2k").check()
    compressed = sorted((tmp_path / "j2k").iterdir())
    assert syntaxes(compressed) == {JPEG2000Lossless}
    dcmtk.store(node.address, *compressed, options=["--propose-j2k-lossless"]).check()
    plain = dcmtk.start_storescp("PLAIN", options=["--implicit", "--promiscuous"])
    able = dcmtk.start_storescp("ABLE")
    for storescp in (plain, able):
        node.add_remote(storescp.address, allow=())
        assert dcmtk.move(node.address, storescp.address.ae_title, "STUDY", study_of(series[0])).check().status == 0
        assert pixels(storescp.files()) == originals(series)
    assert syntaxes(plain.files()) == {ImplicitVRLittleEndian}
    assert syntaxes(able.files()) == {JPEG2000Lossless}


def test_what_cannot_be_compressed_goes_out_as_it_is(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """An overlay in an unused bit (PS3.5 8.1.2) would be lost: that image is sent uncompressed, the others are not."""
    series = files.make_series(tmp_path / "series", COUNT, rows=64, columns=64, patient_id="OVERLAY")
    dataset = pydicom.dcmread(series[1].path)
    dataset.PixelData = (numpy.frombuffer(dataset.PixelData, "<u2") | 0x8000).tobytes()
    dataset.save_as(series[1].path)
    assert Client(node.address).store(*series) == [0] * COUNT
    storescp = dcmtk.start_storescp("OVERLAYS")
    node.add_remote(storescp.address, allow=(), options={"transfer_syntaxes": "j2k, explicit"})
    answer = dcmtk.move(node.address, "OVERLAYS", "STUDY", study_of(series[0])).check()
    assert answer.status == 0
    assert len(storescp.files()) == COUNT
    for path in storescp.files():
        received = pydicom.dcmread(path)
        is_odd = received.SOPInstanceUID == series[1].sop_instance_uid
        assert received.file_meta.TransferSyntaxUID == (ExplicitVRLittleEndian if is_odd else JPEG2000Lossless)
        if is_odd:
            assert received.PixelData == dataset.PixelData


def test_what_htj2k_would_clamp_is_fetched_as_it_is(node: Node, tmp_path: Path) -> None:
    """Signed pixels whose upper bits are zero, as some systems leave them: many would be the largest value."""
    [sample] = files.make_series(tmp_path / "series", 1, rows=64, columns=64, patient_id="NO-SIGN")
    dataset = pydicom.dcmread(sample.path)
    dataset.PixelRepresentation = 1
    dataset.PixelData = (numpy.arange(64 * 64) % 4096).astype("<u2").tobytes()
    dataset.save_as(sample.path)
    assert Client(node.address).store(sample) == [0]
    node.add_remote("PYNETDICOM", options={"transfer_syntaxes": "htj2k, j2k, explicit"})
    peer = f"{node.address.ae_title}@{node.address.host}:{node.address.port}"
    key = f"StudyInstanceUID={dataset.StudyInstanceUID}"
    node.cli("get", "-aet", "PYNETDICOM", peer, tmp_path / "got", "-k", key).check()
    received = pydicom.dcmread(tmp_path / "got" / f"{sample.sop_instance_uid}.dcm")
    assert received.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert received.PixelData == dataset.PixelData


def test_medserver_fetches_htj2k(node: Node, sent: list[Sample], tmp_path: Path) -> None:
    """Our own receiving side proposes each transfer syntax in a context of its own: the configured order decides."""
    node.add_remote("PYNETDICOM", options={"transfer_syntaxes": "htj2k, j2k"})
    [uid] = study_of(sent[0]).values()
    peer = f"{node.address.ae_title}@{node.address.host}:{node.address.port}"
    node.cli("get", "-aet", "PYNETDICOM", peer, tmp_path / "got", "-k", f"StudyInstanceUID={uid}").check()
    got = [path for path in (tmp_path / "got").rglob("*") if path.is_file()]
    assert syntaxes(got) == {HTJ2KLossless}
    assert pixels(got) == originals(sent)


def test_orthanc_receives_jpeg_2000(
    node: Node, sent: list[Sample], orthanc: Orthanc, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    node.add_remote(orthanc.address, options={"transfer_syntaxes": "j2k"})
    assert dcmtk.move(node.address, orthanc.address.ae_title, "STUDY", study_of(sent[0])).check().status == 0
    orthanc.wait_for_instances(sample.sop_instance_uid for sample in sent)
    held = orthanc.instances()
    received = []
    for sample in sent:
        path = tmp_path / sample.sop_instance_uid
        path.write_bytes(orthanc.file(held[sample.sop_instance_uid]))
        received.append(path)
    assert syntaxes(received) == {JPEG2000Lossless}
    assert pixels(received) == originals(sent)
