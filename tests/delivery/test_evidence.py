"""A study is sent when something says that it is complete; the quiet time, an hour here, would come too late."""

from __future__ import annotations

import json
from collections.abc import Callable

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.delivery.outbox import outbox, send, wait_for, wait_until_empty
from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.process import wait_until
from tests.procedures.test_performed_steps import associated, change, create, end, step
from tests.services.commitment_peer import CommitmentScu

Start = Callable[..., Node]


@pytest.fixture
def start(make_node: Callable[..., Node], storescp: StoreSCP) -> Start:
    """Give a function that starts a node which sends studies that are complete by some evidence."""

    def started(evidence: str, **rule: object) -> Node:
        node = make_node()
        node.add_remote("MODALITY")
        node.add_remote(storescp.address, allow=())
        node.set_section("route r", {"to": "ARCHIVE", "when": "study", "quiet": "1 h", "complete_by": evidence} | rule)
        return node.start()

    return started


def wait_until_held(node: Node, count: int) -> None:
    def held() -> bool:
        jobs = json.loads(node.cli("jobs", "list", "--kind", "hold", "--json").check().output)
        return len(jobs) == count

    wait_until(held, what=f"{count} instances that are held")


def naming(samples: list[Sample]) -> Dataset:
    """Return the end of a step that names instances."""
    changes = end()
    references = []
    for sample in samples:
        reference = Dataset()
        reference.ReferencedSOPClassUID = sample.sop_class_uid
        reference.ReferencedSOPInstanceUID = sample.sop_instance_uid
        references.append(reference)
    changes.PerformedSeriesSequence[0].ReferencedImageSequence = references
    return changes


def test_its_performed_procedure_steps(start: Start, storescp: StoreSCP, dcmtk: Dcmtk, series: list[Sample]) -> None:
    """All of them final, and what they name has come: whichever comes last."""
    node = start("mpps")
    attributes = step()
    attributes.ScheduledStepAttributesSequence[0].StudyInstanceUID = pydicom.dcmread(series[0].path).StudyInstanceUID
    send(dcmtk, node, series[:2])
    with associated(node) as association:
        _, first = create(association, attributes)
        _, second = create(association, attributes)
        assert change(association, first, naming(series[:2])).Status == 0x0000
    wait_until_held(node, 2)
    assert storescp.files() == []
    with associated(node) as association:
        assert change(association, second, naming(series[2:3])).Status == 0x0000
    wait_until_held(node, 2)
    send(dcmtk, node, series[2:3])
    wait_for(storescp, series[:3])
    send(dcmtk, node, series[3:])  # late: the study is complete already
    wait_for(storescp, series)
    wait_until_empty(node)
    [found] = json.loads(node.cli("procedures", "list", "--series", "1.2.3.5", "--json").check().output)[:1]
    assert found["sop_instance_uid"] == first


def test_the_end_of_the_association(start: Start, storescp: StoreSCP, dcmtk: Dcmtk, series: list[Sample]) -> None:
    node = start("association")
    send(dcmtk, node, series[:3])
    wait_for(storescp, series[:3])
    send(dcmtk, node, series[3:])
    wait_for(storescp, series)
    wait_until_empty(node)


def test_an_association_that_breaks_says_nothing(
    start: Start, storescp: StoreSCP, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    node = start("association")
    dcmtk.store(node.address, series[0].path, options=["--abort"])
    wait_until_held(node, 1)
    assert storescp.files() == []
    assert [one["waiting"] for one in outbox(node)] == [1]


def test_a_request_for_storage_commitment(
    start: Start, storescp: StoreSCP, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    node = start("commitment")
    send(dcmtk, node, series)
    wait_until_held(node, 4)
    scu = CommitmentScu("MODALITY")
    scu.ask_and_go(node.address, [(sample.sop_class_uid, sample.sop_instance_uid) for sample in series])
    wait_for(storescp, series)
    wait_until_empty(node)


def test_the_number_of_instances_that_the_sender_has(
    start: Start, storescp: StoreSCP, orthanc: Orthanc, series: list[Sample]
) -> None:
    node = start("count")
    node.add_remote(orthanc.address, allow=("store",))
    orthanc.add_remote("medserver", node.address)
    resources = orthanc.upload(*[sample.path for sample in series])
    orthanc.store("medserver", resources[:3])
    wait_until_held(node, 3)
    orthanc.store("medserver", resources[3:])
    wait_until(lambda: len(storescp.files()) == len(series), deadline_s=60, what="the study")
    wait_until_empty(node)


@pytest.mark.parametrize("evidence", ["nonsense", "mpps, quiet"])
def test_other_evidence_is_a_mistake(make_node: Callable[..., Node], evidence: str) -> None:
    node = make_node()
    node.add_remote(Address("ARCHIVE", 1), allow=())
    node.set_section("route x", {"to": "ARCHIVE", "complete_by": evidence})
    checked = node.cli("config", "check")
    assert checked.exit_code == 78
    assert "complete_by" in checked.output


def test_steps_of_another_study_say_nothing(start: Start, dcmtk: Dcmtk, series: list[Sample]) -> None:
    node = start("mpps")
    send(dcmtk, node, series[:1])
    with associated(node) as association:
        _, uid = create(association, step(), generate_uid())
        assert change(association, uid, end()).Status == 0x0000
    wait_until_held(node, 1)
