"""Others are told what is available here, and get the conditions of acquisition alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from tests.delivery.availability_peer import InformationSystem
from tests.delivery.outbox import outbox, send, wait_until_empty
from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import Sample, make_series
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.procedures.test_performed_steps import STUDY, associated, change, create, end, read, step

CT_PERFORMED_PROTOCOL = "1.2.840.10008.5.1.4.1.1.200.2"

Start = Callable[..., Node]


@pytest.fixture
def start(make_node: Callable[..., Node]) -> Start:
    """Give a function that starts a node with one rule."""

    def started(destination: Address, **rule: object) -> Node:
        node = make_node()
        node.add_remote("MODALITY")
        node.add_remote(destination, allow=())
        node.set_section("route told", {"to": destination.ae_title} | rule)
        return node.start()

    return started


def told_of(ris: InformationSystem) -> set[str]:
    """Return the SOP Instance UIDs of all notifications."""
    return {
        str(reference.ReferencedSOPInstanceUID)
        for _, dataset in ris.notifications
        for one in dataset.ReferencedSeriesSequence
        for reference in one.ReferencedSOPSequence
    }


def test_a_study_is_announced_when_it_is_complete(
    start: Start, information_system: InformationSystem, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    node = start(information_system.address, send="availability", when="study", quiet="0.5 s", Modality="CT")
    sent = pydicom.dcmread(series[0].path)
    with associated(node) as association:
        attributes = step()
        attributes.ScheduledStepAttributesSequence[0].StudyInstanceUID = sent.StudyInstanceUID
        assert create(association, attributes, uid := generate_uid())[0] == 0x0000
    send(dcmtk, node, series)
    wait_until_empty(node)
    assert told_of(information_system) == {sample.sop_instance_uid for sample in series}
    sop_instance_uid, dataset = information_system.notifications[0]
    assert UID(sop_instance_uid).is_valid
    assert dataset.StudyInstanceUID == sent.StudyInstanceUID
    assert {element.keyword for element in dataset} == {
        "ReferencedPerformedProcedureStepSequence", "StudyInstanceUID", "ReferencedSeriesSequence",
    }  # fmt: skip
    [performed] = dataset.ReferencedPerformedProcedureStepSequence
    assert performed.ReferencedSOPInstanceUID == uid
    assert performed.ReferencedSOPClassUID == ModalityPerformedProcedureStep
    [one] = dataset.ReferencedSeriesSequence
    assert one.SeriesInstanceUID == sent.SeriesInstanceUID
    reference = one.ReferencedSOPSequence[0]
    assert (reference.InstanceAvailability, reference.RetrieveAETitle) == ("ONLINE", node.address.ae_title)
    assert reference.ReferencedSOPClassUID == sent.SOPClassUID


def test_who_is_told_may_get_the_instances_too(
    start: Start, information_system: InformationSystem, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    """Each by its own rule; what the one cannot do does not hold up the other."""
    archive = dcmtk.start_storescp("ARCHIVE")
    node = start(information_system.address, send="availability")
    node.add_remote(archive.address, allow=())
    node.set_section("route all", {"to": "ARCHIVE, RIS"})
    node.set_section("route archive", {"to": "ARCHIVE", "send": "availability"})
    send(dcmtk, node, series)
    wait_until(lambda: len(archive.files()) == len(series), what="the instances")
    wait_until(lambda: len(told_of(information_system)) == len(series), what="the news")
    wait_until(lambda: {one["given_up"] for one in outbox(node)} == {len(series)}, what="what they do not take")
    assert {one["destination"] for one in outbox(node)} == {"ARCHIVE", "RIS"}


def test_a_notification_that_fails_is_repeated(
    start: Start, information_system: InformationSystem, dcmtk: Dcmtk, series: list[Sample]
) -> None:
    information_system.answer = lambda operation: 0x0213
    node = start(information_system.address, send="availability")
    send(dcmtk, node, series)
    wait_until(lambda: outbox(node) and "0x0213" in outbox(node)[0]["reason"], what="the failure")
    information_system.answer = lambda operation: 0x0000
    node.cli("jobs", "retry", "--kind", "notify").check()
    wait_until_empty(node)
    assert told_of(information_system) == {sample.sop_instance_uid for sample in series}


def protocol(folder: Path) -> Path:
    """Make a performed procedure protocol, with what every composite object has."""
    [sample] = make_series(folder / "template", 1, rows=16, columns=16)
    dataset = pydicom.dcmread(sample.path)
    del dataset.PixelData
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT_PERFORMED_PROTOCOL
    path = folder / "protocol.dcm"
    dataset.save_as(path)
    return path


def test_conditions_alone(
    start: Start, information_system: InformationSystem, dcmtk: Dcmtk, series: list[Sample], tmp_path: Path
) -> None:
    """Of the instances only the performed protocol, and the step when it is final."""
    archive = dcmtk.start_storescp("ARCHIVE", options=["--accept-all", "--promiscuous"])
    node = start(archive.address, send="conditions")
    node.add_remote(information_system.address, allow=())
    node.set_section("route steps", {"to": "RIS", "send": "conditions", "Modality": "CT", "StudyInstanceUID": STUDY})
    assert "conditions" in node.cli("route", "list").output
    assert "not a performed protocol" in node.cli("route", "test", series[0].path).output
    send(dcmtk, node, series)
    dcmtk.store(node.address, path := protocol(tmp_path), options=["--required"]).check()
    with associated(node) as association:
        _, uid = create(association)
        _, other = create(association, _of_another_study())
        assert information_system.steps == []
        assert change(association, other, end()).Status == 0x0000
        assert change(association, uid, end("DISCONTINUED")).Status == 0x0000
        content = read(association, uid)[1]
    wait_until(lambda: len(information_system.steps) == 2, what="the step")
    wait_until(lambda: archive.files() != [], what="the protocol")
    [stored] = [pydicom.dcmread(one) for one in archive.files()]
    assert stored.SOPInstanceUID == pydicom.dcmread(path).SOPInstanceUID
    (_, _, beginning), (_, _, ending) = information_system.steps
    assert [one[:2] for one in information_system.steps] == [("create", uid), ("set", uid)]
    assert (beginning.PerformedProcedureStepStatus, beginning.PatientName) == ("IN PROGRESS", content.PatientName)
    assert beginning.PerformedProcedureStepEndDate == ""
    assert len(beginning.PerformedSeriesSequence) == 0
    assert ending.PerformedProcedureStepStatus == "DISCONTINUED"
    assert ending.PerformedSeriesSequence[0].ProtocolName == "Head"
    assert "PatientName" not in ending


def _of_another_study() -> Dataset:
    attributes = step()
    attributes.ScheduledStepAttributesSequence[0].StudyInstanceUID = "1.2.3.99"
    return attributes


@pytest.mark.parametrize("already", ["nothing", "its beginning", "all of it"])
def test_a_step_goes_to_another_node_of_which_it_may_have_had_a_part(
    start: Start, make_node: Callable[..., Node], already: str
) -> None:
    """A node as the SCP, which has what arrived before a crash cut the report off."""
    ris = make_node(ae_title="RIS")
    ris.add_remote("MEDSERVER")
    ris.add_remote("MODALITY")
    ris.start()
    uid = generate_uid()
    with associated(ris) as association:
        if already != "nothing":
            assert create(association, uid=uid)[0] == 0x0000
        if already == "all of it":
            assert change(association, uid, end()).Status == 0x0000
    node = start(ris.address, send="both")
    with associated(node) as association:
        assert create(association, uid=uid)[0] == 0x0000
        assert change(association, uid, end()).Status == 0x0000
    wait_until(lambda: "COMPLETED" in ris.cli("procedures", "list").output, what="the step")
    wait_until_empty(node)
    with associated(ris) as association:
        assert read(association, uid)[1].PerformedSeriesSequence[0].ProtocolName == "Head"


def test_a_failure_that_does_not_say_that_a_step_is_final_is_none_of_that_kind(
    start: Start, information_system: InformationSystem
) -> None:
    """0110 is the status of any failure: the end of the step is told again until it is taken."""
    information_system.answer = {"create": 0x0111, "set": 0x0110}.__getitem__
    node = start(information_system.address, send="both")
    with associated(node) as association:
        _, uid = create(association)
        assert change(association, uid, end()).Status == 0x0000
    wait_until(lambda: outbox(node) and "N-SET: 0x0110" in outbox(node)[0]["reason"], what="the failure")
    information_system.answer = {"create": 0x0111, "set": 0x0000}.__getitem__
    node.cli("jobs", "retry", "--kind", "forward_step").check()
    wait_until_empty(node)
    assert [one[:2] for one in information_system.steps[-2:]] == [("create", uid), ("set", uid)]
