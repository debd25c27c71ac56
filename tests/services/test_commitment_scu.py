"""``medserver commit``: another node and Orthanc as the archive that is asked; and Orthanc as who asks us."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from medserver.dicom import uids
from pydicom.uid import CTImageStorage, MRImageStorage

from tests.peers import files
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.corpus import Object, make_study


@pytest.fixture(scope="module")
def nodes(start_node: Callable[..., Node]) -> tuple[Node, Node]:
    """Give a node that asks, and one that is asked."""
    asking = start_node(options={"node.processes": 1})
    archive = start_node(ae_title="ARCHIVE", options={"node.processes": 1})
    asking.add_remote(archive.address)
    archive.add_remote(asking.address)
    return asking, archive


@pytest.fixture(scope="module")
def both(nodes: tuple[Node, Node]) -> list[Object]:
    """Store a study at both, but for one instance, which has another class there."""
    stored = make_study(4)
    for node in nodes:
        assert Client(node.address).store(*stored[:3]) == [0] * 3
    assert Client(nodes[0].address).store(stored[3]) == [0]
    return stored


@pytest.fixture(scope="module")
def with_orthanc(start_node: Callable[..., Node], orthanc: Orthanc) -> Node:
    """Give a node and an Orthanc that know each other."""
    node = start_node(options={"node.processes": 1})
    node.add_remote(orthanc.address)
    orthanc.add_remote("medserver", node.address)
    return node


def committed(node: Node, *arguments: str | Path) -> tuple[int, dict]:
    """Run the command; return its exit code and what it says."""
    completed = node.cli("commit", *arguments, "--json")
    return completed.exit_code, json.loads(completed.stdout)


def states(document: dict) -> dict[str, str]:
    return {one["sop_instance_uid"]: one["state"] for one in document["instances"]}


# -- another node as the archive ---------------------------------------------------------------------------------------


def test_study_that_is_not_all_there(nodes: tuple[Node, Node], both: list[Object]) -> None:
    node, _ = nodes
    study = both[0].dataset.StudyInstanceUID
    code, document = committed(node, "ARCHIVE", study)
    assert code == 1
    assert states(document) == {one.sop_instance_uid: "committed" for one in both[:3]} | {
        both[3].sop_instance_uid: "failed"
    }
    assert (document["committed"], document["not_committed"]) == (3, 1)
    [failed] = [one for one in document["instances"] if one["state"] == "failed"]
    assert failed["failure_reason"] == "0x0112"
    table = node.cli("commit", "ARCHIVE", study).output
    assert "3 of 4 instances committed" in table and "0x0112 no such SOP instance" in table


def test_keys_select_what_is_asked(nodes: tuple[Node, Node], both: list[Object]) -> None:
    keys = ("-k", f"StudyInstanceUID={both[0].dataset.StudyInstanceUID}", "-k", "InstanceNumber=2")
    code, document = committed(nodes[0], "ARCHIVE", *keys)
    assert (code, states(document)) == (0, {both[1].sop_instance_uid: "committed"})


def test_files_are_asked_for(nodes: tuple[Node, Node], tmp_path: Path) -> None:
    """The node itself need not have them."""
    samples = files.make_series(tmp_path, 2, rows=16, columns=16)
    assert Client(nodes[1].address).store(*samples) == [0, 0]
    code, document = committed(nodes[0], "ARCHIVE", tmp_path)
    assert (code, states(document)) == (0, {one.sop_instance_uid: "committed" for one in samples})


def test_transactions_are_listed_on_both_sides(nodes: tuple[Node, Node], both: list[Object]) -> None:
    asking, archive = nodes
    committed(asking, "ARCHIVE", both[0].dataset.StudyInstanceUID)
    asked_of = json.loads(asking.cli("commit", "--list", "--json").stdout)[-1]
    asked_by = json.loads(archive.cli("commit", "--list", "--json").stdout)[-1]
    assert (asked_of["role"], asked_of["ae_title"], asked_by["role"], asked_by["ae_title"]) == (
        "scu", "ARCHIVE", "scp", "MEDSERVER",
    )  # fmt: skip
    for one in (asked_of, asked_by):
        assert (one["state"], one["instances"], one["safe"], one["failed"]) == ("reported", 4, 3, 1)
    assert asked_of["transaction_uid"] == asked_by["transaction_uid"]
    assert "asked of  ARCHIVE  reported" in asking.cli("commit", "--list").output
    shown = archive.cli("commit", "--show", asked_by["transaction_uid"]).stdout
    assert "3 of 4 instances committed" in shown


@pytest.mark.parametrize(
    ("arguments", "message", "exit_code"),
    [
        (["ARCHIVE", "1.2.3"], "this node has no instance with StudyInstanceUID=1.2.3", 66),
        (["ARCHIVE"], "no instances are named: give Study Instance UIDs, files or folders, or -k KEY=VALUE", 2),
        ([], "which PEER?", 2),
        (["ARCHIVE", "/nowhere"], "/nowhere: No such file", 2),
        (["--show", "1.2.3"], "there is no transaction 1.2.3", 2),
        (["--list", "ARCHIVE"], "--list and --show take no other arguments", 2),
    ],
)
def test_errors_are_one_line(nodes: tuple[Node, Node], arguments: list[str], message: str, exit_code: int) -> None:
    completed = nodes[0].cli("commit", *arguments)
    assert completed.exit_code == exit_code
    assert completed.output.startswith(f"medserver: {message}")


def test_archive_that_refuses(nodes: tuple[Node, Node], both: list[Object]) -> None:
    """Without the right the context is not accepted; nothing stays behind as asked."""
    asking, archive = nodes
    archive.add_remote("NOBODY", allow=["store"])
    before = asking.cli("commit", "--list").output
    study = both[0].dataset.StudyInstanceUID
    completed = asking.cli("commit", "ARCHIVE", study, "--calling", "NOBODY")
    assert completed.exit_code == 69
    assert asking.cli("commit", "--list").output.count("\n") == before.count("\n")


def test_nobody_listens(nodes: tuple[Node, Node], both: list[Object]) -> None:
    study = both[0].dataset.StudyInstanceUID
    assert nodes[0].cli("commit", "NOBODY@127.0.0.1:1", study).exit_code == 69


# -- Orthanc -----------------------------------------------------------------------------------------------------------


def test_orthanc_commits(with_orthanc: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    """It reports on an association of its own, to the running node."""
    sent = files.make_series(tmp_path, 3, rows=16, columns=16, patient_id="COMMITTED")
    study = files.pydicom.dcmread(sent[0].path, stop_before_pixels=True).StudyInstanceUID
    assert Client(with_orthanc.address).store(*sent) == [0] * 3
    orthanc.upload(*(one.path for one in sent[:2]))
    code, document = committed(with_orthanc, "ORTHANC", study)
    assert code == 1
    assert sorted(states(document).values()) == ["committed", "committed", "failed"]
    assert states(document)[sent[2].sop_instance_uid] == "failed"
    orthanc.upload(sent[2].path)
    code, document = committed(with_orthanc, "ORTHANC", study)
    assert (code, document["committed"]) == (0, 3)


def test_orthanc_may_not_report(with_orthanc: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    """Its entry does not allow it: the command says so, and the result is unknown."""
    [sent] = files.make_series(tmp_path, 1, rows=16, columns=16, patient_id="SILENT")
    with_orthanc.add_remote(orthanc.address, allow=["store"])
    completed = with_orthanc.cli("commit", "ORTHANC", tmp_path, "--timeout", "1")
    with_orthanc.add_remote(orthanc.address)
    assert completed.exit_code == 1
    assert "unknown" in completed.output and "allows 'commit' for ORTHANC" in completed.output
    assert sent.sop_instance_uid in completed.output


def test_orthanc_asks_us(with_orthanc: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    sent = files.make_series(tmp_path, 3, rows=16, columns=16, patient_id="ASKED")
    assert Client(with_orthanc.address).store(*sent) == [0] * 3
    asked = [*sent[:2], Sample(sent[2].path, MRImageStorage, sent[2].sop_instance_uid, "")]
    outcome = ask_from_orthanc(orthanc, asked[:2])
    assert (outcome["Status"], len(outcome["Success"]), outcome["Failures"]) == ("Success", 2, [])
    unknown = Sample(sent[0].path, CTImageStorage, uids.new_uid(), "")
    outcome = ask_from_orthanc(orthanc, [*asked, unknown])
    assert outcome["Status"] == "Failure"
    assert {one["SOPInstanceUID"] for one in outcome["Success"]} == {one.sop_instance_uid for one in sent[:2]}
    reasons = {one["SOPInstanceUID"]: one["FailureReason"] for one in outcome["Failures"]}
    assert reasons == {sent[2].sop_instance_uid: 0x0119, unknown.sop_instance_uid: 0x0112}


def ask_from_orthanc(orthanc: Orthanc, samples: list[Sample]) -> dict:
    """Have Orthanc ask the node, and return what it was told."""
    instances = [{"SOPClassUID": one.sop_class_uid, "SOPInstanceUID": one.sop_instance_uid} for one in samples]
    path = orthanc.request("POST", "/modalities/medserver/storage-commitment", {"DicomInstances": instances})["Path"]

    def outcome() -> dict | None:
        found = orthanc.request("GET", path)
        return found if found["Status"] != "Pending" else None

    return wait_until(outcome, what="the report in Orthanc")


