"""medserver get."""

from __future__ import annotations

import json

import pydicom
import pytest

from tests.peers import Address
from tests.peers.files import data_set_bytes, distinct, make_series, make_small, samples


def _peer(address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


def _files(directory) -> dict[str, bytes]:
    assert all(path.suffix == ".dcm" for path in directory.iterdir()), "a temporary file was left"
    return {path.stem: data_set_bytes(path) for path in directory.iterdir()}


@pytest.fixture
def own_node(make_node):
    node = make_node()
    node.add_remote("MEDSERVER")
    return node.start()


def test_study(own_node, tmp_path):
    series = make_series(tmp_path / "ct", 4)
    study = pydicom.dcmread(series[0].path).StudyInstanceUID
    assert own_node.cli("send", _peer(own_node.address), tmp_path / "ct").exit_code == 0
    directory = tmp_path / "new" / "folder"
    completed = own_node.cli("get", _peer(own_node.address), directory, "-k", f"StudyInstanceUID={study}")
    assert completed.exit_code == 0, completed.output
    assert "received 4 instances" in completed.output
    assert _files(directory) == {sample.sop_instance_uid: sample.data_set() for sample in series}
    meta = pydicom.dcmread(directory / f"{series[0].sop_instance_uid}.dcm").file_meta
    assert meta.SourceApplicationEntityTitle == "MEDSERVER"
    assert meta.TransferSyntaxUID == series[0].transfer_syntax_uid


def test_what_cannot_be_written_is_said_with_the_reason(own_node, tmp_path):
    sample, other = make_series(tmp_path / "ct", 2)
    study = pydicom.dcmread(sample.path).StudyInstanceUID
    assert own_node.cli("send", _peer(own_node.address), tmp_path / "ct").exit_code == 0
    (tmp_path / "got" / f"{sample.sop_instance_uid}.dcm").mkdir(parents=True)
    completed = own_node.cli("get", _peer(own_node.address), tmp_path / "got", "-k", f"StudyInstanceUID={study}")
    assert completed.exit_code == 1
    assert completed.output.count("not received") == 1
    assert f"not received: {sample.sop_instance_uid}: Is a directory\n" in completed.output
    assert (tmp_path / "got" / f"{other.sop_instance_uid}.dcm").is_file()


def test_every_sample_comes_back_as_it_was(own_node, tmp_path):
    """Compressed and uncompressed images of many SOP classes, under as few patients as they have."""
    several = distinct(samples())
    folder = tmp_path / "samples"
    folder.mkdir()
    for number, sample in enumerate(several):
        (folder / f"{number}.dcm").write_bytes(sample.path.read_bytes())
    sent = own_node.cli("send", _peer(own_node.address), folder, "--json")
    assert sent.exit_code == 0, sent.output
    studies = {
        str(pydicom.dcmread(sample.path, stop_before_pixels=True).StudyInstanceUID) for sample in several
    }
    for study in studies:
        completed = own_node.cli(
            "get", _peer(own_node.address), tmp_path / "got", "-k", f"StudyInstanceUID={study}"
        )
        assert completed.exit_code == 0, completed.output
    assert _files(tmp_path / "got") == {sample.sop_instance_uid: sample.sent() for sample in several}


def test_dcmqrscp_does_not_tell_its_sop_classes(make_node, dcmtk, tmp_path):
    dcmqrscp = dcmtk.start_dcmqrscp()
    series = make_series(tmp_path / "ct", 3)
    dcmtk.send(dcmqrscp.address, tmp_path / "ct").check()
    study = pydicom.dcmread(series[0].path).StudyInstanceUID
    completed = make_node().cli(
        "get", _peer(dcmqrscp.address), tmp_path / "got", "-k", f"StudyInstanceUID={study}", "--json"
    )
    assert completed.exit_code == 0, completed.output
    assert json.loads(completed.output)["completed"] == 3
    assert set(_files(tmp_path / "got")) == {sample.sop_instance_uid for sample in series}


def test_orthanc_image_level(make_node, orthanc, tmp_path):
    orthanc.add_remote("node", Address("MEDSERVER", 1))
    small = make_small(tmp_path / "mr", 3, patient_id="FETCHED")
    orthanc.upload(*(sample.path for sample in small))
    wanted = pydicom.dcmread(small[1].path)
    keys = [
        f"{key}={wanted[key].value}" for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    options = [word for key in keys for word in ("-k", key)]
    completed = make_node().cli("get", _peer(orthanc.address), tmp_path / "got", *options)
    assert completed.exit_code == 0, completed.output
    assert set(_files(tmp_path / "got")) == {wanted.SOPInstanceUID}


def test_what_cannot_be_written_is_a_failure(own_node, tmp_path):
    series = make_series(tmp_path / "ct", 2)
    study = pydicom.dcmread(series[0].path).StudyInstanceUID
    assert own_node.cli("send", _peer(own_node.address), tmp_path / "ct").exit_code == 0
    # A folder in the place of a file cannot be replaced.
    (tmp_path / "got" / f"{series[0].sop_instance_uid}.dcm" / "x").mkdir(parents=True)
    completed = own_node.cli(
        "get", _peer(own_node.address), tmp_path / "got", "-k", f"StudyInstanceUID={study}"
    )
    assert completed.exit_code == 1
    assert f"not received: {series[0].sop_instance_uid}" in completed.output
    assert "received 1 instance," in completed.output and "1 failed" in completed.output


def test_nothing_matches(own_node, tmp_path):
    completed = own_node.cli("get", _peer(own_node.address), tmp_path / "got", "-k", "StudyInstanceUID=1.2.3")
    assert completed.exit_code == 0, completed.output
    assert "nothing matched" in completed.output


def test_not_permitted(make_node, tmp_path):
    node = make_node()
    node.add_remote("MEDSERVER", allow=["echo", "find"])
    node.start()
    completed = node.cli("get", _peer(node.address), tmp_path / "got", "-k", "StudyInstanceUID=1.2.3")
    assert completed.exit_code == 69
    assert completed.output.count("\n") == 1
