"""medserver move."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from medserver.wire.command_set import RESPONSE, CommandField
from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE, Acceptor, accept
from tests.peers import Address
from tests.peers.files import data_set_bytes, make_series, make_small


def _peer(address) -> str:
    return f"{address.ae_title}@{address.host}:{address.port}"


def _received(storescp) -> dict[str, bytes]:
    return {uid: data_set_bytes(Path(dataset.filename)) for uid, dataset in storescp.datasets().items()}


@pytest.fixture
def series(tmp_path):
    return make_series(tmp_path / "ct", 4)


@pytest.fixture
def study(series) -> str:
    return f"StudyInstanceUID={pydicom.dcmread(series[0].path).StudyInstanceUID}"


def test_from_the_node(make_node, dcmtk, series, study):
    storescp = dcmtk.start_storescp("WORKSTATION")
    node = make_node()
    node.add_remote("MEDSERVER")
    node.add_remote(storescp.address)
    node.start()
    assert node.cli("send", _peer(node.address), series[0].path.parent).exit_code == 0
    completed = node.cli("move", _peer(node.address), "--to", "WORKSTATION", "-k", study)
    assert completed.exit_code == 0, completed.output
    assert "sent 4 instances to WORKSTATION" in completed.output
    assert _received(storescp) == {sample.sop_instance_uid: sample.data_set() for sample in series}


def test_from_dcmqrscp_one_image(make_node, dcmtk, series, study):
    storescp = dcmtk.start_storescp("WORKSTATION")
    dcmqrscp = dcmtk.start_dcmqrscp(remotes=[storescp.address])
    dcmtk.send(dcmqrscp.address, series[0].path.parent).check()
    wanted = pydicom.dcmread(series[2].path)
    keys = [study, f"SeriesInstanceUID={wanted.SeriesInstanceUID}", f"SOPInstanceUID={wanted.SOPInstanceUID}"]
    completed = make_node().cli(
        "move",
        _peer(dcmqrscp.address),
        "-aem",
        "WORKSTATION",
        *(word for key in keys for word in ("-k", key)),
        "--json",
    )
    assert completed.exit_code == 0, completed.output
    assert json.loads(completed.output)["completed"] == 1
    assert list(storescp.datasets()) == [wanted.SOPInstanceUID]


def test_from_orthanc(make_node, dcmtk, orthanc, tmp_path):
    storescp = dcmtk.start_storescp("WORKSTATION")
    orthanc.add_remote("node", Address("MEDSERVER", 1))
    orthanc.add_remote("workstation", storescp.address)
    small = make_small(tmp_path / "mr", 3, patient_id="MOVED")
    orthanc.upload(*(sample.path for sample in small))
    completed = make_node().cli(
        "move", _peer(orthanc.address), "--to", "WORKSTATION", "--level", "patient", "-k", "PatientID=MOVED"
    )
    assert completed.exit_code == 0, completed.output
    assert set(storescp.datasets()) == {sample.sop_instance_uid for sample in small}


def test_unknown_destination(make_node, dcmtk, series, study):
    dcmqrscp = dcmtk.start_dcmqrscp()
    dcmtk.send(dcmqrscp.address, series[0].path).check()
    completed = make_node().cli("move", _peer(dcmqrscp.address), "--to", "NOWHERE", "-k", study)
    assert completed.exit_code == 69
    assert "0xA801" in completed.output and completed.output.count("\n") == 1


def test_destination_that_is_down(make_node, dcmtk, series, study):
    storescp = dcmtk.start_storescp("WORKSTATION")
    node = make_node()
    node.add_remote("MEDSERVER")
    node.add_remote(storescp.address)
    node.start()
    assert node.cli("send", _peer(node.address), series[0].path.parent).exit_code == 0
    storescp.server.kill()
    completed = node.cli("move", _peer(node.address), "--to", "WORKSTATION", "-k", study)
    assert completed.exit_code == 1
    assert "Traceback" not in completed.output


def test_what_is_to_be_moved(make_node):
    completed = make_node().cli("move", "A@127.0.0.1:1", "--to", "B", "-k", "PatientID=1")
    assert completed.exit_code == 2
    assert (
        completed.output.startswith("medserver: what is to be retrieved?")
        and completed.output.count("\n") == 1
    )


def test_nothing_matches(node):
    node.add_remote("MEDSERVER")
    completed = node.cli("move", _peer(node.address), "--to", "MEDSERVER", "-k", "StudyInstanceUID=1.2.3")
    assert "Traceback" not in completed.output


COUNTED = {"NumberOfRemainingSuboperations": 2, "NumberOfCompletedSuboperations": 3, "NumberOfWarningSuboperations": 0}


@pytest.mark.parametrize(("responses", "code", "words", "completed"), [
    ([(0x0000, {})], 0, "sent all that matches to WORKSTATION", None),
    ([(0xFF00, {}), (0x0000, {})], 0, "sent all that matches to WORKSTATION", None),
    ([(0xFF00, COUNTED), (0x0000, {})], 0, "sent 5 instances to WORKSTATION", 5),
    ([(0xFF00, COUNTED), (0xFF00, {}), (0xB000, {})], 0, "sent 3 instances to WORKSTATION", 3),
    ([(0xB000, {})], 1, "sent an unknown number of instances to WORKSTATION", None),
    ([(0x0000, {"NumberOfCompletedSuboperations": 0})], 0, "sent 0 instances to WORKSTATION", 0),
])
def test_counters_may_be_left_out(make_node, responses, code, words, completed):
    """PS3.7 9.1.4.1: the numbers of sub-operations need not be in a response."""

    def converse(sock, request):
        sock.sendall(accept(request))
        asked = raw.receive_command_set(sock)
        for status, elements in responses:
            response = {
                "CommandField": CommandField.C_MOVE | RESPONSE,
                "MessageIDBeingRespondedTo": asked["MessageID"],
                "Status": status,
            }
            sock.sendall(raw.message(1, response | elements))
        if raw.receive_pdu(sock)[0] == raw.RELEASE_RQ:
            sock.sendall(RELEASE_RESPONSE)

    peer = Acceptor("ARCHIVE", converse)
    try:
        node = make_node()
        arguments = ("move", _peer(peer.address), "--to", "WORKSTATION", "-k", "StudyInstanceUID=1.2.3")
        moved = node.cli(*arguments)
        told = json.loads(node.cli(*arguments, "--json").output)
    finally:
        peer.close()
    assert moved.exit_code == code, moved.output
    assert words in moved.output and ("nothing matched" in moved.output) == (completed == 0)
    assert told["completed"] == completed
