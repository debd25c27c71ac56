"""What is found in folders, DICOMDIRs and zip archives, and what is not."""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.fileset import FileSet
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medserver.errors import NotPart10, StoreFailure
from medserver.scu.files import Finding, find_instances
from medserver.scu.recognition import HEAD_SIZE_BYTES, recognise
from tests.peers.files import make_small, samples

DICOMDIR_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"


def _found(*paths: Path, **options) -> list[tuple[Finding, bytes]]:
    """Return the findings, each with the data set that would be sent."""
    with ExitStack() as archives:
        findings = list(find_instances(paths, archives, **options))
        return [(finding, _data_set(finding)) for finding in findings]


def _data_set(finding: Finding) -> bytes:
    if finding.outgoing is None:
        return b""
    with finding.outgoing.open_data_set() as stream:
        return stream.read(finding.outgoing.size_bytes)


def test_every_sample_is_recognised():
    for sample in samples():
        ((finding, data_set),) = _found(sample.path)
        outgoing = finding.outgoing
        assert outgoing is not None, finding
        assert outgoing.sop_class_uid == sample.sop_class_uid
        assert outgoing.sop_instance_uid == sample.sop_instance_uid
        assert outgoing.transfer_syntax_uid == sample.transfer_syntax_uid
        assert data_set == sample.data_set()


def test_what_is_not_sent(tmp_path):
    (sample,) = make_small(tmp_path / "in", 1)
    (tmp_path / "in" / "empty").touch()
    (tmp_path / "in" / "meta only.dcm").write_bytes(sample.path.read_bytes()[: -len(sample.data_set())])
    (tmp_path / "in" / "text").write_text("\x08\x00 almost")
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "dangling").symlink_to(tmp_path / "nowhere")
    findings = {Path(finding.name).name: finding for finding, _ in _found(tmp_path / "in")}
    assert set(findings) == {sample.path.name, "empty", "meta only.dcm", "text", "pipe", "dangling"}
    assert findings[sample.path.name].outgoing
    assert findings["meta only.dcm"].problem and findings["dangling"].problem
    assert all(findings[name].skipped for name in ("empty", "text", "pipe"))


def test_data_set_counts_more_than_meta_information(tmp_path):
    (sample,) = make_small(tmp_path, 1)
    dataset = pydicom.dcmread(sample.path)
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.save_as(sample.path, enforce_file_format=False)
    ((finding, _),) = _found(sample.path)
    assert finding.outgoing.sop_instance_uid == sample.sop_instance_uid


@pytest.mark.parametrize("encoding", [(True, True), (False, True), (False, False)])
def test_bare_data_sets(tmp_path, encoding):
    (sample,) = make_small(tmp_path, 1)
    dataset = pydicom.dcmread(sample.path)
    del dataset.PixelData
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, pydicom.Dataset(dataset), implicit_vr=encoding[0], little_endian=encoding[1])
    recognised = recognise(buffer.getvalue()[:HEAD_SIZE_BYTES])
    expected = {
        (True, True): "1.2.840.10008.1.2",
        (False, True): "1.2.840.10008.1.2.1",
        (False, False): "1.2.840.10008.1.2.2",
    }
    assert recognised.sop_instance_uid == sample.sop_instance_uid
    assert recognised.transfer_syntax_uid == expected[encoding]


def test_deflated_data_set_is_looked_into(tmp_path):
    (sample,) = make_small(tmp_path, 1)
    dataset = pydicom.dcmread(sample.path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "deflated.dcm")
    ((finding, data_set),) = _found(tmp_path / "deflated.dcm")
    assert finding.outgoing.sop_instance_uid == sample.sop_instance_uid
    assert zlib.decompress(data_set, -15)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", bytes(128) + b"DICM", b"\x02\x00", b"\x08\x00", b"\x00\x08"]),
)
def test_no_bytes_confuse_recognition(rest, prefix):
    try:
        recognised = recognise(prefix + rest)
    except NotPart10:
        return
    assert recognised.problem or recognised.sop_class_uid


# -- DICOMDIR ------------------------------------------------------------------------------------------------------


@pytest.fixture
def media(tmp_path) -> Path:
    shutil.copytree(DICOMDIR_FOLDER, tmp_path / "media")
    return tmp_path / "media" / "DICOMDIR"


def test_dicomdir(media):
    records = [one for one in pydicom.dcmread(media).DirectoryRecordSequence if "ReferencedFileID" in one]
    found = _found(media)
    assert len(found) == len(records) > 10
    assert all(finding.outgoing for finding, _ in found)
    assert {finding.outgoing.sop_instance_uid for finding, _ in found} == {
        one.ReferencedSOPInstanceUIDInFile for one in records
    }


def test_dicomdir_within_a_folder_is_passed_over(media):
    findings = {Path(finding.name).name: finding for finding, _ in _found(media.parent)}
    assert findings["DICOMDIR"].skipped == "a DICOMDIR"


@pytest.mark.parametrize(
    "file_id",
    [["..", "secret.dcm"], ["link.dcm"], ["folder", "secret.dcm"], ["/etc/passwd"], ["."], ["NONE"]],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_dicomdir_leads_nowhere_else(media, tmp_path, file_id):
    (sample,) = make_small(tmp_path, 1)
    sample.path.rename(tmp_path / "secret.dcm")
    (media.parent / "link.dcm").symlink_to(tmp_path / "secret.dcm")
    (media.parent / "folder").symlink_to(tmp_path)
    dicomdir = pydicom.dcmread(media)
    record = next(one for one in dicomdir.DirectoryRecordSequence if "ReferencedFileID" in one)
    record.ReferencedFileID = file_id
    dicomdir.DirectoryRecordSequence = [record]
    dicomdir.save_as(media)
    ((finding, _),) = _found(media)
    assert finding.outgoing is None and finding.problem


def _damaged(media: Path, change) -> None:
    """Damage a DICOMDIR: `change` gets its bytes and the places of its items, and returns other bytes."""
    raw = bytearray(media.read_bytes())
    items = [found.start() for found in re.finditer(re.escape(b"\xfe\xff\x00\xe0"), raw)]
    media.write_bytes(bytes(change(raw, items)))


def _longer(raw: bytearray, place: int, count: int) -> bytearray:
    raw[place + 4 : place + 8] = struct.pack("<L", struct.unpack_from("<L", raw, place + 4)[0] + count)
    return raw


def _overwritten(raw: bytearray, place: int, value: bytes) -> bytearray:
    raw[place : place + len(value)] = value
    return raw


def _with_longer_name(raw: bytearray, items: list[int]) -> bytearray:
    place = raw.index(b"\x10\x00\x10\x00PN")
    size = struct.unpack_from("<H", raw, place + 6)[0]
    end = place + 8 + size
    return raw[: place + 6] + struct.pack("<H", size + 10) + raw[place + 8 : end] + b"x" * 10 + raw[end:]


@pytest.mark.parametrize(("change", "problem"), [
    (lambda raw, items: _longer(raw, items[-3], 2), "within an element"),
    (lambda raw, items: _longer(raw, items[-3], -2), "within an element"),
    (lambda raw, items: _overwritten(raw, items[-3], bytes(4)), "no item"),
    (lambda raw, items: _overwritten(raw, items[0], bytes(4)), "no item"),
    (_with_longer_name, "within an element"),
    (lambda raw, items: raw[: raw.index(b"\x04\x00\x20\x12")], "no Directory Record Sequence"),
    (lambda raw, items: _longer(raw, raw.index(b"\x04\x00\x20\x12") + 4, items[-1] - len(raw)), "delimiter outside"),
    (lambda raw, items: _longer(raw, raw.index(b"\x04\x00\x20\x12") + 4, 2), "within an element"),
    (lambda raw, items: _overwritten(raw, raw.rindex(b"\x04\x00\x00\x15"), b"\x04\x00\x01\x15"), "to no file"),
    (lambda raw, items: raw[:2000], ""),
])
def test_damaged_dicomdir(media, change, problem):
    """It is said to be damaged; what can be read of it is sent nevertheless."""
    count = len(_found(media))
    _damaged(media, change)
    findings = [finding for finding, _ in _found(media)]
    assert [finding.name for finding in findings if finding.problem] == [str(media)]
    assert findings[-1].problem.startswith("a damaged DICOMDIR: ") and problem in findings[-1].problem
    assert len(findings) - 1 < count


def test_dicomdir_of_nothing(media):
    dicomdir = pydicom.dcmread(media)
    dicomdir.DirectoryRecordSequence = []
    dicomdir.save_as(media)
    assert _found(media) == []


@pytest.mark.parametrize("change", [
    str.lower, str.upper, str.title, "{}.".format, "{};1".format, "{}.;1".format, "{}.dcm".format, "{}.DCM;12".format,
])
def test_names_as_media_and_copies_have_them(tmp_path, change):
    """Files of a DICOMDIR get other names on ISO 9660, on systems that show lower case, and from who copies them."""
    folder, expected = tmp_path / "media", set()
    fileset = FileSet()
    for sample in make_small(tmp_path / "made", 3):
        expected.add(sample.sop_instance_uid)
        fileset.add(sample.path)
    fileset.write(folder)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    for path in files:
        path.rename(path.with_name(change(path.name)))
    assert {finding.outgoing.sop_instance_uid for finding, _ in _found(folder / "DICOMDIR")} == expected


def test_of_several_names_that_of_the_dicomdir_counts(media):
    """The others may be anything."""
    (first, _), *_ = _found(media)
    path = Path(first.name)
    for name in (f"{path.name}.dcm", f"{path.name};1", f"{path.name}."):
        path.with_name(name).write_bytes(b"something else")
    assert _found(media)[0][0].name == first.name
    path.rename(path.with_name("elsewhere"))
    assert _found(media)[0][0].name == f"{path}."


# -- zip archives --------------------------------------------------------------------------------------------------


def test_zip_members(tmp_path):
    small = make_small(tmp_path / "mr", 2)
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(small[0].path, "/etc/stored", zipfile.ZIP_STORED)
        archive.write(small[1].path, "../../deflated", zipfile.ZIP_DEFLATED)
        archive.write(small[1].path, "squeezed", zipfile.ZIP_LZMA)
        archive.writestr("folder/", "")
        archive.writestr("text", "hello")
    found = _found(path)
    assert [data_set for finding, data_set in found if finding.outgoing] == [
        sample.data_set() for sample in small
    ]
    assert {finding.name: bool(finding.problem) for finding, _ in found if not finding.outgoing} == {
        f"{path}:squeezed": True,
        f"{path}:text": False,
    }
    assert not (tmp_path.parent.parent / "deflated").exists()


def test_zip_bomb_is_not_unpacked(tmp_path):
    """Members too long to be sent are refused by what they claim, and others never read beyond their beginning."""
    (sample,) = make_small(tmp_path, 1)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image", sample.path.read_bytes() + bytes(20_000_000))
        archive.writestr("zeros", bytes(20_000_000))
    ((image, _), (zeros, _)) = _found(path, member_size_max_bytes=1_000_000)
    assert image.problem == "longer than 1000000 bytes"
    assert zeros.skipped


def test_zip_that_lies_about_a_length(tmp_path):
    (sample,) = make_small(tmp_path, 1)
    path = tmp_path / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(sample.path, "image")
    raw = bytearray(path.read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    size_bytes = sample.path.stat().st_size
    raw[central + 24 : central + 28] = struct.pack("<L", size_bytes - 100)
    path.write_bytes(raw)
    assert "damaged in the archive" in _found(path)[0][0].problem
    raw[central + 24 : central + 28] = struct.pack("<L", size_bytes + 100)
    path.write_bytes(raw)
    with ExitStack() as archives:
        (finding,) = find_instances([path], archives)
        with pytest.raises(StoreFailure, match="its length is not what the archive says"):
            _data_set(finding)


def test_zip_with_overlapping_members(tmp_path):
    (sample,) = make_small(tmp_path, 1)
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(sample.path, "image")
        for number in range(50):
            archive.filelist.append(_same_place(archive.filelist[0], f"copy{number}"))
    ((finding, _),) = _found(path)
    assert finding.problem == "a zip archive whose members overlap"


def _same_place(info: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    copy = zipfile.ZipInfo(name)
    for attribute in ("CRC", "compress_size", "file_size", "header_offset", "compress_type"):
        setattr(copy, attribute, getattr(info, attribute))
    return copy


def test_encrypted_and_damaged_archives(tmp_path):
    (sample,) = make_small(tmp_path, 1)
    path = tmp_path / "some.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(sample.path, "image")
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    assert _found(path)[0][0].problem == "encrypted"
    path.write_bytes(raw[:500])
    assert "zip archive" in _found(path)[0][0].problem
