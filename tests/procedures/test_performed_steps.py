"""Performed procedure steps: what a modality reports is kept, changes as long as it may, and is given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from medserver.dicom.data_sets import write_data_set
from medserver.services.attribute_list import ATTRIBUTE_LIST_ELEMENTS_MAX
from medserver.wire.command_set import NO_DATA_SET, CommandField, encode_command_set
from medserver.wire.requestor import Proposal
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve

from tests.conftest import MakeDirectory
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client

STUDY = "1.2.3.4"


@pytest.fixture(scope="module")
def node(make_directory: MakeDirectory) -> Iterator[Node]:
    one = Node(make_directory("node"), clients=("MODALITY",))
    one.start()
    yield one
    one.kill()


@contextmanager
def associated(node: Node) -> Iterator[Association]:
    ae = AE("MODALITY")
    ae.add_requested_context(ModalityPerformedProcedureStep)
    ae.add_requested_context(ModalityPerformedProcedureStepRetrieve)
    association = ae.associate(node.address.host, node.address.port, ae_title=node.address.ae_title)
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def step() -> Dataset:
    scheduled = Dataset()
    scheduled.StudyInstanceUID, scheduled.AccessionNumber = STUDY, "A1"
    scheduled.ReferencedStudySequence = []
    attributes = Dataset()
    attributes.SpecificCharacterSet = "ISO_IR 100"
    attributes.ScheduledStepAttributesSequence = [scheduled]
    attributes.PatientName, attributes.PatientID = "Müller^Jörg", "P1"
    attributes.PerformedProcedureStepID, attributes.PerformedStationAETitle = "S1", "MODALITY"
    attributes.PerformedProcedureStepStartDate, attributes.PerformedProcedureStepStartTime = "20260131", "101112"
    attributes.PerformedProcedureStepStatus, attributes.Modality = "IN PROGRESS", "CT"
    attributes.PerformedProcedureStepDescription = "Head"
    attributes.PerformedSeriesSequence = []
    return attributes


def end(state: str = "COMPLETED") -> Dataset:
    changes = Dataset()
    changes.PerformedProcedureStepStatus = state
    changes.PerformedProcedureStepEndDate, changes.PerformedProcedureStepEndTime = "20260131", "102000"
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName, series.PerformingPhysicianName = "1.2.3.5", "Head", ""
    changes.PerformedSeriesSequence = [series]
    return changes


def _wait_for_thread(association: Association) -> None:
    """Wait until pynetdicom's own thread has noticed that it may go on: else it takes the answer for a request."""
    wait_until(lambda: not association._is_paused, what="the thread of the association to go on")


def create(association: Association, attributes: Dataset | None = None, uid: str | None = None) -> tuple[int, str]:
    uid = uid or generate_uid()
    _wait_for_thread(association)
    answer, _ = association.send_n_create(attributes or step(), ModalityPerformedProcedureStep, uid)
    return answer.Status, uid


def change(association: Association, uid: str, changes: Dataset) -> Dataset:
    _wait_for_thread(association)
    return association.send_n_set(changes, ModalityPerformedProcedureStep, uid)[0]


def read(association: Association, uid: str, *tags: int) -> tuple[int, Dataset | None]:
    _wait_for_thread(association)
    answer, dataset = association.send_n_get(list(tags), ModalityPerformedProcedureStepRetrieve, uid)
    return answer.Status, dataset


def steps(node: Node) -> set[str]:
    return {one["sop_instance_uid"] for one in json.loads(node.cli("procedures", "list", "--json").check().output)}


def test_a_step_from_beginning_to_end(node: Node) -> None:
    with associated(node) as association:
        status, uid = create(association)
        assert status == 0x0000
        progress = Dataset()
        progress.PerformedProcedureStepDescription = "Head and neck"
        assert change(association, uid, progress).Status == 0x0000
        assert change(association, uid, end()).Status == 0x0000
        status, dataset = read(association, uid)
        assert status == 0x0000
    assert str(dataset.PatientName) == "Müller^Jörg"
    assert dataset.PerformedProcedureStepStatus == "COMPLETED"
    assert dataset.PerformedProcedureStepDescription == "Head and neck"
    assert dataset.PerformedSeriesSequence[0].ProtocolName == "Head"
    assert dataset.ScheduledStepAttributesSequence[0].StudyInstanceUID == STUDY
    listed = json.loads(node.cli("procedures", "list", "--study", STUDY, "--json").check().output)
    assert uid in [one["sop_instance_uid"] for one in listed]
    assert "Head and neck" in node.cli("procedures", "list").check().output
    shown = json.loads(node.cli("procedures", "show", uid).check().output)
    assert (shown["state"], shown["calling_ae_title"]) == ("COMPLETED", "MODALITY")


def test_a_rebuild_brings_them_back_as_they_were(make_node: Callable[..., Node], tmp_path: Path) -> None:
    replica = {"volume backup.path": tmp_path / "backup", "volume backup.role": "replica"}
    node = make_node(clients=("MODALITY",), options=replica)
    node.start()
    with associated(node) as association:
        _, begun = create(association)
        _, ended = create(association)
        assert change(association, ended, end()).Status == 0x0000
    before = [shown(node, uid) for uid in (begun, ended)]
    assert node.stop() == 0
    node.cli("index", "rebuild").check()
    assert [shown(node, uid) for uid in (begun, ended)] == before
    assert [one["state"] for one in before] == ["IN PROGRESS", "COMPLETED"]
    [of_series] = json.loads(node.cli("procedures", "list", "--series", "1.2.3.5", "--json").check().output)
    assert of_series["sop_instance_uid"] == ended
    assert steps(node) == {begun, ended}


def shown(node: Node, uid: str) -> dict:
    return json.loads(node.cli("procedures", "show", uid).check().output)


@pytest.mark.parametrize("count", [700, 5000])
def test_a_step_of_many_images(node: Node, count: int) -> None:
    changes = end()
    references = [Dataset() for _ in range(count)]
    for number, reference in enumerate(references):
        reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        reference.ReferencedSOPInstanceUID = f"1.2.826.0.1.3680043.10.999.1234567890.1234567890.{number}"
    changes.PerformedSeriesSequence[0].ReferencedImageSequence = references
    with associated(node) as association:
        _, uid = create(association)
        assert change(association, uid, changes).Status == 0x0000
        [series] = read(association, uid)[1].PerformedSeriesSequence
    assert series.ReferencedImageSequence == references


def test_an_attribute_list_that_is_too_long(node: Node) -> None:
    changes = Dataset()
    changes.CommentsOnThePerformedProcedureStep = "x" * 9_000_000
    with associated(node) as association:
        _, uid = create(association)
        assert change(association, uid, changes).Status == 0x0213
        assert change(association, uid, end()).Status == 0x0000


def test_only_what_is_asked_for(node: Node) -> None:
    with associated(node) as association:
        _, uid = create(association)
        status, dataset = read(association, uid, 0x00400252, 0x00080060, 0x00100030)
    assert status == 0x0000
    assert (dataset.PerformedProcedureStepStatus, dataset.Modality) == ("IN PROGRESS", "CT")
    assert "PatientName" not in dataset


@pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
def test_what_is_final_does_not_change(node: Node, final: str) -> None:
    with associated(node) as association:
        _, uid = create(association)
        assert change(association, uid, end(final)).Status == 0x0000
        again = change(association, uid, end("IN PROGRESS"))
        assert (again.Status, again.ErrorID) == (0x0110, 0xA710)
        assert again.ErrorComment == "Performed Procedure Step Object may no longer be updated"
        assert read(association, uid)[1].PerformedProcedureStepStatus == final


@pytest.mark.parametrize("final", ["COMPLETED", "DISCONTINUED"])
@pytest.mark.parametrize(
    ("spoil", "status", "comment"),
    [
        (lambda changes: delattr(changes, "PerformedProcedureStepEndDate"), 0x0121, "PerformedProcedureStepEndDate"),
        (lambda changes: setattr(changes, "PerformedProcedureStepEndTime", ""), 0x0121, "StepEndTime"),
        (lambda changes: delattr(changes, "PerformedSeriesSequence"), 0x0121, "PerformedSeriesSequence"),
        (lambda changes: setattr(changes, "PerformedSeriesSequence", []), 0x0121, "PerformedSeriesSequence"),
        (lambda changes: setattr(changes, "PerformedSeriesSequence", [Dataset()]), 0x0121, "PerformedSeriesSequence"),
        (lambda changes: delattr(changes.PerformedSeriesSequence[0], "SeriesInstanceUID"), 0x0121, "SeriesInstance"),
        (lambda changes: setattr(changes.PerformedSeriesSequence[0], "ProtocolName", ""), 0x0121, "ProtocolName"),
        (lambda changes: setattr(changes, "PerformedProcedureStepStatus", "FINISHED"), 0x0106, ""),
    ],
)
def test_a_final_state_needs_what_the_table_says(
    node: Node, final: str, spoil: Callable[[Dataset], None], status: int, comment: str
) -> None:
    """PS3.4 table F.7.2-1; an N-SET has no status but 0121 for what is missing (PS3.7 10.1.3.1.9)."""
    changes = end(final)
    spoil(changes)
    with associated(node) as association:
        _, uid = create(association)
        answer = change(association, uid, changes)
        assert answer.Status == status
        assert comment in answer.ErrorComment
        assert read(association, uid)[1].PerformedProcedureStepStatus == "IN PROGRESS"
        assert change(association, uid, end(final)).Status == 0x0000


def test_a_final_state_takes_what_was_said_before(node: Node) -> None:
    changes = end()
    del changes.PerformedProcedureStepStatus
    last = Dataset()
    last.PerformedProcedureStepStatus = "COMPLETED"
    with associated(node) as association:
        _, uid = create(association)
        assert change(association, uid, changes).Status == 0x0000
        assert change(association, uid, last).Status == 0x0000


@pytest.mark.parametrize(
    ("command_field", "uid_keyword", "status"),
    [
        (CommandField.N_CREATE, "AffectedSOPInstanceUID", 0x0120),
        (CommandField.N_SET, "RequestedSOPInstanceUID", 0x0121),
    ],
)
@pytest.mark.parametrize("data_set", [None, b""])
def test_a_request_without_its_list(
    node: Node, command_field: CommandField, uid_keyword: str, status: int, data_set: bytes | None
) -> None:
    with associated(node) as association:
        _, uid = create(association)
    if command_field == CommandField.N_CREATE:
        uid = generate_uid()
    assert ask(node, command_field, {uid_keyword: uid}, data_set) == status


def ask(node: Node, command_field: CommandField, elements: dict[str, str], data_set: bytes | None) -> int:
    """Send a request as it is, and return its status."""
    client = Client(node.address, "MODALITY")
    with client.associated([Proposal(ModalityPerformedProcedureStep, (ExplicitVRLittleEndian,))]) as association:
        [context] = association.contexts.values()
        which = "AffectedSOPClassUID" if command_field == CommandField.N_CREATE else "RequestedSOPClassUID"
        command_set = {
            which: ModalityPerformedProcedureStep,
            "CommandField": command_field,
            "MessageID": 7,
            "CommandDataSetType": NO_DATA_SET if data_set is None else 0x0001,
            **elements,
        }
        association.send_message(context.context_id, encode_command_set(command_set), data_set)
        return association.wait_response(command_field, 7, 30).command_set["Status"]


def test_a_list_that_cannot_be_read(node: Node) -> None:
    """C000 is no status of a normalised operation (PS3.7 10.1.3.1.9)."""
    with associated(node) as association:
        _, uid = create(association)
    elements = {"RequestedSOPInstanceUID": uid}
    assert ask(node, CommandField.N_SET, elements, write_data_set(end(), ExplicitVRLittleEndian)[:-1]) == 0x0110
    many = Dataset()
    many.ProcedureCodeSequence = [Dataset() for _ in range(ATTRIBUTE_LIST_ELEMENTS_MAX)]
    assert ask(node, CommandField.N_SET, elements, write_data_set(many, ExplicitVRLittleEndian)) == 0x0213
    lying = end()
    lying.add_new(0x00400340, "LO", "no sequence")
    assert ask(node, CommandField.N_SET, elements, write_data_set(lying, ExplicitVRLittleEndian)) == 0x0121
    assert ask(node, CommandField.N_SET, elements, write_data_set(end(), ExplicitVRLittleEndian)) == 0x0000


def test_what_must_not_change_stays(node: Node) -> None:
    with associated(node) as association:
        _, uid = create(association)
        changes = Dataset()
        changes.Modality, changes.PerformedProcedureStepDescription = "MR", "changed"
        answer = change(association, uid, changes)
        assert answer.Status == 0x0107
        assert "Modality" in answer.ErrorComment
        dataset = read(association, uid)[1]
    assert (dataset.Modality, dataset.PerformedProcedureStepDescription) == ("CT", "changed")


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda attributes: delattr(attributes, "Modality"), 0x0120),
        (lambda attributes: setattr(attributes, "Modality", ""), 0x0121),
        (lambda attributes: setattr(attributes, "PerformedProcedureStepStatus", "COMPLETED"), 0x0106),
        (lambda attributes: setattr(attributes, "ScheduledStepAttributesSequence", []), 0x0121),
        (lambda attributes: delattr(attributes.ScheduledStepAttributesSequence[0], "StudyInstanceUID"), 0x0121),
    ],
)
def test_what_cannot_be_created(node: Node, spoil: Callable[[Dataset], None], status: int) -> None:
    attributes = step()
    spoil(attributes)
    with associated(node) as association:
        found, uid = create(association, attributes)
        assert found == status
        assert read(association, uid)[0] == 0x0112


def test_uids(node: Node) -> None:
    with associated(node) as association:
        _, uid = create(association)
        assert create(association, uid=uid)[0] == 0x0111
        assert change(association, "1.2.3.999", end()).Status == 0x0112
        before = steps(node)
        answer, _ = association.send_n_create(step(), ModalityPerformedProcedureStep, None)
        assert answer.Status == 0x0000
        [ours] = steps(node) - before
        assert read(association, ours)[0] == 0x0000


def test_it_survives_a_kill(node: Node) -> None:
    with associated(node) as association:
        _, uid = create(association)
    node.kill()
    node.start()
    with associated(node) as association:
        assert change(association, uid, end()).Status == 0x0000


def test_who_may_not(make_node: Callable[..., Node]) -> None:
    other = make_node(clients=())
    other.add_remote("MODALITY", allow=("echo",))
    other.start()
    ae = AE("MODALITY")
    ae.add_requested_context(ModalityPerformedProcedureStep)
    association = ae.associate(other.address.host, other.address.port, ae_title=other.address.ae_title)
    assert not association.accepted_contexts
    association.abort()
