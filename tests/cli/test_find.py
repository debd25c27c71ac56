"""medserver find."""

from __future__ import annotations

import json

import pydicom
import pytest

from tests.peers import Address
from tests.peers.files import make_series, make_small

NAMES = {"P1": "Müller^Jörg", "P2": "Yamada^Tarou=山田^太郎"}


def _peer(address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


@pytest.fixture
def filled(make_node, dcmtk, tmp_path):
    """Give a running node that knows us, with three studies of three patients in it."""
    node = make_node()
    node.add_remote("MEDSERVER")
    node.start()
    make_series(tmp_path / "ct", 2, patient_id="P1", accession_number="ACC1")
    make_series(tmp_path / "jp", 1, patient_id="P2", accession_number="ACC2")
    make_small(tmp_path / "mr", 3, patient_id="P3")
    for path in [*(tmp_path / "ct").iterdir(), *(tmp_path / "jp").iterdir()]:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = NAMES[dataset.PatientID]
        item = pydicom.Dataset()
        item.ScheduledProcedureStepID = f"STEP-{dataset.PatientID}"
        dataset.RequestAttributesSequence = [item]
        dataset.save_as(path)
    dcmtk.send(node.address, tmp_path / "ct", tmp_path / "jp", tmp_path / "mr", debug=False).check()
    return node


def test_table(filled):
    completed = filled.cli("find", _peer(filled.address))
    assert completed.exit_code == 0, completed.output
    header, *rows, count = completed.output.splitlines()
    assert header.split()[:3] == ["PatientID", "PatientName", "StudyDate"]
    assert [row.split()[0] for row in sorted(rows)] == ["P1", "P2", "P3"]
    assert "Müller^Jörg" in completed.output and "山田^太郎" in completed.output
    assert count == "3 matches"


@pytest.mark.parametrize(
    "key", ["PatientName=muller*", "PatientName=Müller^Jörg", "PatientID=P1", "0008,0050=ACC1"]
)
def test_keys(filled, key):
    completed = filled.cli("find", _peer(filled.address), "-k", key, "-k", "PatientID", "--json")
    (match,) = json.loads(completed.output)
    assert match["00100020"]["Value"] == ["P1"]
    assert match["00080005"]["Value"] == ["ISO_IR 192"]


def test_ideographic_key(filled):
    completed = filled.cli(
        "find", _peer(filled.address), "-k", "PatientName=*山田*", "-k", "PatientID", "--json"
    )
    (match,) = json.loads(completed.output)
    assert match["00100020"]["Value"] == ["P2"]


def test_json_has_component_groups(filled):
    completed = filled.cli("find", _peer(filled.address), "-k", "PatientID=P2", "-k", "PatientName", "--json")
    (match,) = json.loads(completed.output)
    assert match["00100010"]["Value"] == [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]


def test_sequence_key_and_relational(filled):
    arguments = ["--level", "series", "-k", "RequestAttributesSequence[0].ScheduledProcedureStepID=STEP-P1"]
    completed = filled.cli(
        "find", _peer(filled.address), "--relational", *arguments, "-k", "Modality", "--json"
    )
    assert completed.exit_code == 0, completed.output
    (match,) = json.loads(completed.output)
    assert match["00080060"]["Value"] == ["CT"]
    assert match["00400275"]["Value"][0]["00400009"]["Value"] == ["STEP-P1"]
    completed = filled.cli("find", _peer(filled.address), *arguments)
    assert completed.exit_code == 69, completed.output


def test_dataset_dump_and_patient_level(filled):
    completed = filled.cli(
        "find", _peer(filled.address), "--level", "patient", "-k", "PatientID=P3", "--dataset"
    )
    assert completed.exit_code == 0, completed.output
    assert "Patient's Name                      PN: 'Phantom^Small'" in completed.output


def test_no_match(filled):
    completed = filled.cli("find", _peer(filled.address), "-k", "PatientID=NOBODY")
    assert (completed.exit_code, completed.output) == (0, "0 matches\n")


@pytest.mark.parametrize("limit", [1, 2])
def test_limit_cancels(filled, limit):
    completed = filled.cli("find", _peer(filled.address), "-k", "PatientID", "--limit", str(limit), "--json")
    assert completed.exit_code == 0, completed.output
    assert len(json.loads(completed.output)) == limit


def test_dcmqrscp(make_node, dcmtk, tmp_path):
    dcmqrscp = dcmtk.start_dcmqrscp()
    (sample,) = make_series(tmp_path / "ct", 1)
    dcmtk.send(dcmqrscp.address, sample.path).check()
    study = pydicom.dcmread(sample.path).StudyInstanceUID
    node = make_node()
    completed = node.cli(
        "find", _peer(dcmqrscp.address), "-k", "PatientID=PHANTOM-1", "-k", "StudyInstanceUID", "--json"
    )
    (match,) = json.loads(completed.output)
    assert match["0020000D"]["Value"] == [study]
    completed = node.cli(
        "find", _peer(dcmqrscp.address), "--level", "image", "-k", f"StudyInstanceUID={study}"
    )
    assert completed.exit_code == 69 and "C-FIND" in completed.output, (
        "the unique key of the series is missing"
    )
    assert completed.output.count("\n") == 1


def test_orthanc(make_node, orthanc, tmp_path):
    node = make_node()
    orthanc.add_remote("node", Address("MEDSERVER", 1))
    (sample,) = make_series(tmp_path / "ct", 1, patient_id="ORTHANC-1", patient_name="Test^Orthanc")
    orthanc.upload(sample.path)
    completed = node.cli("find", _peer(orthanc.address), "-k", "PatientName=TEST*")
    assert completed.exit_code == 0, completed.output
    assert "ORTHANC-1" in completed.output and "Test^Orthanc" in completed.output


def test_peer_without_queries(make_node, dcmtk):
    storescp = dcmtk.start_storescp()
    completed = make_node().cli("find", _peer(storescp.address))
    assert completed.exit_code == 69
    assert completed.output.count("\n") == 1


def test_bad_key_is_one_line(make_node):
    completed = make_node().cli("find", "A@127.0.0.1:1", "-k", "PatientNme=x")
    assert completed.exit_code == 2
    assert (
        completed.output
        == "medserver: 'PatientNme' is not a keyword of DICOM (did you mean 'PatientName'?)\n"
    )
