"""``medserver transcode``, ``send --compress`` and ``get --decompress``: files in other transfer syntaxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from click.testing import Result
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from tests.peers import files
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample, samples
from tests.peers.node import Node

Transcode = Callable[..., Result]


@pytest.fixture
def transcode(invoke) -> Transcode:
    """Give a function that runs ``medserver transcode`` in this process."""
    return lambda *arguments: invoke("transcode", *map(str, arguments))


@pytest.fixture
def series(tmp_path: Path) -> list[Sample]:
    return files.make_series(tmp_path / "images", 3, rows=64, columns=64)


def syntax_of(path: Path) -> str:
    return str(pydicom.dcmread(path).file_meta.TransferSyntaxUID)


def sample(name: str) -> Path:
    return next(one.path for one in samples() if one.path.name == name)


@pytest.mark.parametrize("name", ["j2k", "htj2k", "rle", "deflated", "implicit", "big-endian", "JPEG2000Lossless"])
def test_there_and_back(series: list[Sample], tmp_path: Path, transcode: Transcode, name: str) -> None:
    assert transcode(tmp_path / "images", tmp_path / "out", "--to", name).exit_code == 0
    assert transcode(tmp_path / "out", tmp_path / "back", "--to", "explicit").exit_code == 0
    for one in series:
        assert files.data_set_bytes(tmp_path / "back" / one.path.name) == one.data_set()
        meta = pydicom.dcmread(tmp_path / "out" / one.path.name).file_meta
        assert meta.MediaStorageSOPInstanceUID == one.sop_instance_uid


def test_the_table_tells_the_ratio(series: list[Sample], tmp_path: Path, transcode: Transcode) -> None:
    result = transcode(tmp_path / "images", tmp_path / "out", "--to", "j2k", "--json")
    told = json.loads(result.stdout)
    [row] = told["transcoded"]
    assert (row["from"], row["to"], row["files"]) == ("explicit", "j2k", 3)
    assert row["bytes_before"] == sum(len(one.data_set()) for one in series) > row["bytes_after"] > 0
    table = transcode(tmp_path / "images", tmp_path / "again", "--to", "j2k").stdout.splitlines()
    assert table[0].split() == ["FROM", "TO", "FILES", "BEFORE", "AFTER", "RATIO"]
    assert table[1].split()[:3] == ["explicit", "j2k", "3"]
    assert table[-1].startswith("wrote 3 files")


def test_one_file_goes_where_it_is_told(series: list[Sample], tmp_path: Path, transcode: Transcode) -> None:
    assert transcode(series[0].path, tmp_path / "one.dcm", "--to", "j2k").exit_code == 0
    (tmp_path / "folder").mkdir()
    assert transcode(series[0].path, tmp_path / "folder", "--to", "j2k").exit_code == 0
    assert syntax_of(tmp_path / "one.dcm") == syntax_of(tmp_path / "folder" / series[0].path.name) == JPEG2000Lossless


def test_what_is_there_is_not_replaced_unless_told(series: list[Sample], tmp_path: Path, transcode: Transcode) -> None:
    target = tmp_path / "one.dcm"
    target.write_bytes(b"mine")
    result = transcode(series[0].path, target, "--to", "rle")
    assert result.exit_code == 1 and "is there already" in result.stderr
    assert target.read_bytes() == b"mine"
    assert transcode(series[0].path, target, "--to", "rle", "--overwrite").exit_code == 0
    assert syntax_of(target) == RLELossless
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_is_copied(series: list[Sample], tmp_path: Path, transcode: Transcode) -> None:
    folder = tmp_path / "images"
    (folder / "plan.dcm").write_bytes(sample("rtplan.dcm").read_bytes())
    (folder / "notes.txt").write_text("not DICOM")
    whole = series[2].path.read_bytes()
    series[2].path.write_bytes(whole[:-1000])
    result = transcode(folder, tmp_path / "out", "--to", "j2k")
    assert result.exit_code == 0
    assert "no Pixel Data" in result.stderr and "copied as it is" in result.stderr
    assert files.data_set_bytes(tmp_path / "out" / "plan.dcm") == files.data_set_bytes(folder / "plan.dcm")
    assert files.data_set_bytes(tmp_path / "out" / series[2].path.name) == series[2].data_set()
    assert syntax_of(tmp_path / "out" / series[0].path.name) == JPEG2000Lossless
    assert not (tmp_path / "out" / "notes.txt").exists()


@pytest.mark.filterwarnings("ignore:.*VR UI.*:UserWarning")
@pytest.mark.parametrize("uid", ["1." + "2" * 66, "1.2.3f", "1.2.03", "Käse", "1" * 1000, None])
def test_uids_are_no_concern(series: list[Sample], tmp_path: Path, transcode: Transcode, uid: str | None) -> None:
    dataset = pydicom.dcmread(series[0].path)
    del dataset.SOPInstanceUID, dataset.SOPClassUID
    del dataset.file_meta.MediaStorageSOPInstanceUID, dataset.file_meta.MediaStorageSOPClassUID
    if uid is not None:
        dataset.SOPInstanceUID = dataset.SOPClassUID = uid
    dataset.save_as(series[0].path, enforce_file_format=False)
    before = files.data_set_bytes(series[0].path)
    file = series[0].path.name
    for source, target, name in (("images", "out", "rle"), ("out", "back", "explicit")):
        result = transcode(tmp_path / source / file, tmp_path / target / file, "--to", name)
        assert result.exit_code == 0, result.output
    assert files.data_set_bytes(tmp_path / "back" / file) == before


@pytest.mark.parametrize("name", ["j2k", "htj2k", "jpegls", "rle"])
def test_what_would_lose_bits_is_copied(series: list[Sample], tmp_path: Path, transcode: Transcode, name: str) -> None:
    dataset = pydicom.dcmread(series[0].path)
    dataset.PixelData = b"\xff\x8f" + dataset.PixelData[2:]  # an overlay over the first pixel
    dataset.save_as(series[0].path)
    result = transcode(tmp_path / "images", tmp_path / "out", "--to", name)
    assert result.exit_code == 0
    assert "the bits above Bits Stored are in use" in result.stderr
    copied = tmp_path / "out" / series[0].path.name
    assert files.data_set_bytes(copied) == files.data_set_bytes(series[0].path)
    assert syntax_of(copied) == ExplicitVRLittleEndian != syntax_of(tmp_path / "out" / series[1].path.name)


@pytest.mark.parametrize("name", ["gif", "JPEGBaseline8Bit", ""])
def test_a_syntax_that_is_not_written_is_an_error(
    series: list[Sample], tmp_path: Path, transcode: Transcode, name: str
) -> None:
    result = transcode(tmp_path / "images", tmp_path / "out", "--to", name)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_send_compresses_and_get_restores(node: Node, series: list[Sample], tmp_path: Path) -> None:
    node.add_remote("PYNETDICOM")
    peer = f"{node.address.ae_title}@{node.address.host}:{node.address.port}"
    node.cli("send", "-aet", "PYNETDICOM", peer, tmp_path / "images", "--compress", "j2k").check()
    key = f"StudyInstanceUID={pydicom.dcmread(series[0].path).StudyInstanceUID}"
    node.cli("get", "-aet", "PYNETDICOM", peer, tmp_path / "as-stored", "-k", key).check()
    node.cli("get", "-aet", "PYNETDICOM", peer, tmp_path / "restored", "--decompress", "-k", key).check()
    for one in series:
        name = f"{one.sop_instance_uid}.dcm"
        assert syntax_of(tmp_path / "as-stored" / name) == JPEG2000Lossless
        assert syntax_of(tmp_path / "restored" / name) == ExplicitVRLittleEndian
        assert files.data_set_bytes(tmp_path / "restored" / name) == one.data_set()


def test_send_falls_back_to_what_the_peer_takes(
    node: Node, dcmtk: Dcmtk, series: list[Sample], tmp_path: Path
) -> None:
    storescp = dcmtk.start_storescp("PLAIN", options=["--implicit"])
    peer = f"PLAIN@{storescp.address.host}:{storescp.address.port}"
    node.cli("send", peer, tmp_path / "images", "--compress", "htj2k,j2k").check()
    got = {pydicom.dcmread(path).SOPInstanceUID: pydicom.dcmread(path).PixelData for path in storescp.files()}
    assert got == {one.sop_instance_uid: pydicom.dcmread(one.path).PixelData for one in series}
