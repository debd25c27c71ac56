"""Performed procedure steps: what a modality reports is kept, changes as long as it may, and is given back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve

from tests.conftest import MakeDirectory
from tests.peers.node import Node

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


def create(association: Association, attributes: Dataset | None = None, uid: str | None = None) -> tuple[int, str]:
    uid = uid or generate_uid()
    answer, _ = association.send_n_create(attributes or step(), ModalityPerformedProcedureStep, uid)
    return answer.Status, uid


def change(association: Association, uid: str, changes: Dataset) -> Dataset:
    return association.send_n_set(changes, ModalityPerformedProcedureStep, uid)[0]


def read(association: Association, uid: str, *tags: int) -> tuple[int, Dataset | None]:
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
        assert (again.Status, again.ErrorID) == (0x0110, 0xA506)
        assert read(association, uid)[1].PerformedProcedureStepStatus == final


def test_it_ends_with_date_and_time_only(node: Node) -> None:
    with associated(node) as association:
        _, uid = create(association)
        changes = Dataset()
        changes.PerformedProcedureStepStatus = "COMPLETED"
        assert change(association, uid, changes).Status == 0x0120
        changes.PerformedProcedureStepStatus = "FINISHED"
        assert change(association, uid, changes).Status == 0x0106
        assert read(association, uid)[1].PerformedProcedureStepStatus == "IN PROGRESS"


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
