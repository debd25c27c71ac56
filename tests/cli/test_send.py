"""medserver send."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy
import pydicom
import pytest
from pydicom.data import get_testdata_file

from tests.peers.files import data_set_bytes, distinct, make_series, make_small, samples
from tests.peers.ports import free_port


def _peer(address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


def _received(storescp) -> dict[str, bytes]:
    return {uid: data_set_bytes(Path(dataset.filename)) for uid, dataset in storescp.datasets().items()}


def _sent(several) -> dict[str, bytes]:
    return {sample.sop_instance_uid: sample.data_set() for sample in several}


def test_folders_and_files(make_node, dcmtk, tmp_path):
    storescp = dcmtk.start_storescp()
    series = make_series(tmp_path / "in" / "deep" / "ct", 3)
    small = make_small(tmp_path / "mr", 2)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    completed = make_node().cli("send", _peer(storescp.address), tmp_path / "in", small[0].path, "--verbose")
    assert completed.exit_code == 0, completed.output
    assert "stored 4 instances" in completed.output and "1 file skipped" in completed.output
    assert "notes.txt: skipped, not a DICOM file" in completed.output
    assert _received(storescp) == _sent([*series, small[0]])


def test_samples_go_out_as_they_lie(make_node, dcmtk, tmp_path):
    """Every sample whose transfer syntax storescp knows arrives byte for byte, the others are reported."""
    storescp = dcmtk.start_storescp()
    several = distinct(samples())
    completed = make_node().cli(
        "send", _peer(storescp.address), *(sample.path for sample in several), "--json"
    )
    report = json.loads(completed.output)
    failed = {remark["sop_instance_uid"] for remark in report["remarks"]}
    received = _received(storescp)
    same = [sample for sample in several if received.get(sample.sop_instance_uid) == sample.data_set()]
    assert len(received) == report["stored"] and len(received) + len(failed) == len(several)
    assert len(same) > 60
    assert completed.exit_code == (1 if failed else 0)


def test_transcoded_where_the_peer_wants_it(make_node, dcmtk):
    storescp = dcmtk.start_storescp(options=[])
    path = Path(get_testdata_file("MR_small_RLE.dcm"))
    completed = make_node().cli("send", _peer(storescp.address), path)
    assert completed.exit_code == 0, completed.output
    (received,) = storescp.datasets().values()
    original = pydicom.dcmread(path)
    assert received.SOPInstanceUID == original.SOPInstanceUID
    assert not received.file_meta.TransferSyntaxUID.is_compressed
    assert numpy.array_equal(received.pixel_array, original.pixel_array)


def test_several_associations(make_node, tmp_path):
    node = make_node()
    node.add_remote("MEDSERVER")
    node.start()
    small = make_small(tmp_path / "mr", 40)
    completed = node.cli("send", _peer(node.address), tmp_path / "mr", "--associations", "4", "--json")
    report = json.loads(completed.output)
    assert (report["stored"], report["failed"]) == (40, 0)
    assert report["bytes"] == sum(len(sample.data_set()) for sample in small)
    assert node.output.count("association calling=MEDSERVER") == 4


def test_zip_archive(make_node, dcmtk, tmp_path):
    storescp = dcmtk.start_storescp()
    small = make_small(tmp_path / "mr", 3)
    with zipfile.ZipFile(tmp_path / "mr.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, sample in enumerate(small):
            archive.write(sample.path, f"../../escape/{number}")
        archive.writestr("readme.txt", "hello")
    completed = make_node().cli("send", _peer(storescp.address), tmp_path / "mr.zip")
    assert completed.exit_code == 0, completed.output
    assert "stored 3 instances" in completed.output and "1 file skipped" in completed.output
    assert _received(storescp) == _sent(small)


def test_dicomdir(make_node, dcmtk, tmp_path):
    storescp = dcmtk.start_storescp()
    source = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
    shutil.copytree(source, tmp_path / "media")
    dicomdir = pydicom.dcmread(tmp_path / "media" / "DICOMDIR")
    referenced = [record for record in dicomdir.DirectoryRecordSequence if "ReferencedFileID" in record]
    completed = make_node().cli("send", _peer(storescp.address), tmp_path / "media" / "DICOMDIR")
    assert completed.exit_code == 0, completed.output
    wanted = {record.ReferencedSOPInstanceUIDInFile for record in referenced}
    assert wanted and set(storescp.datasets()) == wanted


def test_data_sets_without_file_meta_information(make_node, dcmtk, tmp_path):
    storescp = dcmtk.start_storescp()
    (sample,) = make_small(tmp_path / "mr", 1)
    (tmp_path / "bare").write_bytes(sample.data_set())
    completed = make_node().cli("send", _peer(storescp.address), tmp_path / "bare")
    assert completed.exit_code == 0, completed.output
    assert _received(storescp) == _sent([sample])


def test_failures_are_reported_one_a_line(make_node, tmp_path):
    node = make_node(options={"store.duplicates": "reject"})
    node.add_remote("MEDSERVER")
    node.start()
    good, changed = make_small(tmp_path / "mr", 2)
    assert node.cli("send", _peer(node.address), tmp_path / "mr").exit_code == 0
    dataset = pydicom.dcmread(changed.path)
    dataset.PatientComments = "other bytes"
    dataset.save_as(changed.path)
    completed = node.cli("send", _peer(node.address), tmp_path / "mr", tmp_path / "missing")
    assert completed.exit_code == 1
    lines = completed.output.splitlines()
    assert lines[0] == f"{tmp_path / 'missing'}: No such file or directory"
    assert lines[1].startswith(f"{changed.path}: 0x0111 duplicate SOP instance")
    assert lines[2].startswith("stored 1 instance at") and "2 failed" in lines[2]
    assert len(lines) == 3


@pytest.mark.filterwarnings("ignore:.*VR UI.*:UserWarning")
def test_what_no_command_can_name_is_told_with_its_reason(make_node, dcmtk, tmp_path):
    storescp = dcmtk.start_storescp()
    several = make_small(tmp_path / "mr", 5)
    changes = {
        "SOPInstanceUID": ("1." + "2" * 66, "the SOP Instance UID has 68 characters, more than 64"),
        "SOPClassUID": ("1.2.3f", "the SOP Class UID is not made of digits and points"),
        "StudyInstanceUID": ("1.2.03", None),
        "SeriesInstanceUID": ("hex", None),  # what it belongs to is for the receiver to judge
    }
    expected = []
    for sample, (keyword, (uid, problem)) in zip(several, changes.items()):
        dataset = pydicom.dcmread(sample.path)
        setattr(dataset, keyword, uid)
        dataset.save_as(sample.path)
        expected += [f"{sample.path}: {problem}"] if problem else []
    del dataset.SOPInstanceUID, dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.save_as(several[4].path, enforce_file_format=False)
    expected.append(f"{several[4].path}: there is no SOP Instance UID")
    completed = make_node().cli("send", _peer(storescp.address), tmp_path / "mr")
    assert completed.exit_code == 1
    assert completed.output.splitlines()[:-1] == expected
    assert completed.output.splitlines()[-1].startswith("stored 2 instances")


def test_peer_that_takes_nothing_of_it(make_node, dcmtk, tmp_path):
    dcmqrscp = dcmtk.start_dcmqrscp()
    path = tmp_path / "private.dcm"
    dataset = pydicom.dcmread(make_small(tmp_path / "mr", 1)[0].path)
    dataset.SOPClassUID = "1.2.3.4.5"
    dataset.save_as(path)
    completed = make_node().cli("send", _peer(dcmqrscp.address), path)
    assert completed.exit_code == 69
    assert "Traceback" not in completed.output and "presentation context" in completed.output


def test_nobody_listens(make_node, tmp_path):
    make_small(tmp_path / "mr", 1)
    completed = make_node().cli("send", f"NOBODY@127.0.0.1:{free_port()}", tmp_path / "mr")
    assert completed.exit_code == 69
    assert completed.output.startswith("medserver: cannot connect") and completed.output.count("\n") == 1
