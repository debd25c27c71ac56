"""Objects that belong to no patient: stored, found and retrieved by models of their own, and seen by no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    ColorPaletteInformationModelFind,
    ColorPaletteInformationModelGet,
    CompositeInstanceRootRetrieveGet,
    CTDefinedProcedureProtocolStorage,
    DefinedProcedureProtocolInformationModelFind,
    DefinedProcedureProtocolInformationModelGet,
    DefinedProcedureProtocolInformationModelMove,
    HangingProtocolInformationModelFind,
    HangingProtocolInformationModelGet,
    HangingProtocolStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from medserver.dicom.non_patient import NON_PATIENT_MODELS, NON_PATIENT_SOP_CLASSES
from tests.peers.node import Node
from tests.peers.receiver import Receiver

MODELS = (
    HangingProtocolInformationModelFind, HangingProtocolInformationModelGet, ColorPaletteInformationModelFind,
    ColorPaletteInformationModelGet, DefinedProcedureProtocolInformationModelFind,
    DefinedProcedureProtocolInformationModelGet, DefinedProcedureProtocolInformationModelMove,
    PatientRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet, CompositeInstanceRootRetrieveGet,
)  # fmt: skip


@pytest.fixture(scope="module")
def node(start_node) -> Node:
    node = start_node(options={"node.processes": 1})
    node.add_remote("STATION")
    return node


@contextmanager
def associated(node: Node, received: list[Dataset] | None = None) -> Iterator[Association]:
    ae = AE("STATION")
    for model in MODELS:
        ae.add_requested_context(model)
    for uid in NON_PATIENT_SOP_CLASSES:
        ae.add_requested_context(uid, ExplicitVRLittleEndian)

    def take(event: evt.Event) -> int:
        received.append(event.dataset)
        return 0x0000

    association = ae.associate(
        node.address.host,
        node.address.port,
        ae_title=node.address.ae_title,
        ext_neg=[build_role(uid, scu_role=True, scp_role=True) for uid in NON_PATIENT_SOP_CLASSES],
        evt_handlers=[(evt.EVT_C_STORE, take)],
    )
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def made(sop_class_uid: str, **attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, generate_uid()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


@pytest.fixture(scope="module")
def hanging(node: Node) -> list[Dataset]:
    """Store two hanging protocols and a CT protocol."""
    definition = Dataset()
    definition.Modality = "MG"
    screening = made(HangingProtocolStorage, HangingProtocolName="Mammo screening", HangingProtocolLevel="SITE",
                     HangingProtocolDefinitionSequence=[definition], NumberOfPriorsReferenced=2)  # fmt: skip
    other = made(HangingProtocolStorage, HangingProtocolName="Chest", HangingProtocolLevel="SINGLE_USER")
    protocol = made(CTDefinedProcedureProtocolStorage, ProtocolName="Head", Manufacturer="Maker")
    with associated(node) as association:
        for dataset in (screening, other, protocol):
            assert association.send_c_store(dataset).Status == 0x0000
    return [screening, other, protocol]


def keys(**wanted: object) -> Dataset:
    identifier = Dataset()
    for keyword, value in wanted.items():
        setattr(identifier, keyword, value)
    return identifier


def found(node: Node, model: str, **wanted: object) -> list[Dataset]:
    with associated(node) as association:
        answers = list(association.send_c_find(keys(**wanted), model))
    assert answers[-1][0].Status == 0x0000
    return [identifier for _, identifier in answers[:-1]]


def retrieved(node: Node, model: str, **wanted: object) -> tuple[int, list[Dataset]]:
    received: list[Dataset] = []
    with associated(node, received) as association:
        answers = list(association.send_c_get(keys(**wanted), model))
    return answers[-1][0].Status, received


def test_they_are_found_by_what_stands_in_them(node: Node, hanging: list[Dataset]) -> None:
    screening, other, protocol = hanging
    modality = Dataset()
    modality.Modality = "MG"
    [one] = found(
        node, HangingProtocolInformationModelFind, SOPInstanceUID="", SOPClassUID="", HangingProtocolName="Mammo*",
        HangingProtocolLevel="", HangingProtocolDefinitionSequence=[modality], NumberOfPriorsReferenced=None,
    )  # fmt: skip
    assert (one.SOPInstanceUID, one.SOPClassUID) == (screening.SOPInstanceUID, HangingProtocolStorage)
    assert (one.HangingProtocolLevel, one.NumberOfPriorsReferenced) == ("SITE", 2)
    assert one.HangingProtocolDefinitionSequence[0].Modality == "MG"
    assert "QueryRetrieveLevel" not in one
    assert "RetrieveAETitle" not in one
    every = found(node, HangingProtocolInformationModelFind, SOPInstanceUID="")
    assert {one.SOPInstanceUID for one in every} == {screening.SOPInstanceUID, other.SOPInstanceUID}
    [one] = found(
        node, DefinedProcedureProtocolInformationModelFind, SOPInstanceUID="", ProtocolName="Head", Manufacturer=""
    )
    assert (one.SOPInstanceUID, one.Manufacturer) == (protocol.SOPInstanceUID, "Maker")
    assert found(node, ColorPaletteInformationModelFind, SOPInstanceUID="") == []
    assert found(node, HangingProtocolInformationModelFind, SOPInstanceUID=protocol.SOPInstanceUID) == []


def test_they_are_retrieved_by_their_uid(node: Node, hanging: list[Dataset]) -> None:
    screening, other, protocol = hanging
    uids = [screening.SOPInstanceUID, other.SOPInstanceUID]
    code, received = retrieved(node, HangingProtocolInformationModelGet, SOPInstanceUID=uids)
    assert code == 0x0000
    assert {one.SOPInstanceUID for one in received} == set(uids)
    assert received[0] == next(one for one in hanging if one.SOPInstanceUID == received[0].SOPInstanceUID)
    assert retrieved(node, HangingProtocolInformationModelGet, SOPInstanceUID=protocol.SOPInstanceUID) == (0x0000, [])
    assert retrieved(node, ColorPaletteInformationModelGet, SOPInstanceUID="")[0] == 0xA900


def test_they_go_to_another_ae(node: Node, hanging: list[Dataset]) -> None:
    arrived: list[Dataset] = []
    contexts = {CTDefinedProcedureProtocolStorage: (ExplicitVRLittleEndian,)}
    with Receiver("SCANNER", contexts, lambda event: arrived.append(event.dataset) or 0x0000) as scanner:
        node.add_remote(scanner.address, allow=())
        with associated(node) as association:
            wanted = keys(SOPInstanceUID=hanging[2].SOPInstanceUID)
            answers = list(association.send_c_move(wanted, "SCANNER", DefinedProcedureProtocolInformationModelMove))
    assert answers[-1][0].Status == 0x0000
    assert arrived == [hanging[2]]


def test_no_model_of_patients_shows_them(node: Node, hanging: list[Dataset]) -> None:
    study = StudyRootQueryRetrieveInformationModelFind
    patients = found(node, PatientRootQueryRetrieveInformationModelFind, QueryRetrieveLevel="PATIENT", PatientID="")
    assert patients == []
    for uid in ("", HangingProtocolStorage, [HangingProtocolStorage, "1.2.3"]):
        assert found(node, study, QueryRetrieveLevel="STUDY", StudyInstanceUID=uid) == []
    inside = {"StudyInstanceUID": HangingProtocolStorage, "SeriesInstanceUID": HangingProtocolStorage}
    assert found(node, study, QueryRetrieveLevel="IMAGE", SOPInstanceUID="", **inside) == []
    get = StudyRootQueryRetrieveInformationModelGet
    code, received = retrieved(node, get, QueryRetrieveLevel="STUDY", StudyInstanceUID=HangingProtocolStorage)
    assert (code, received) == (0x0000, [])
    uid = hanging[0].SOPInstanceUID
    code, received = retrieved(node, CompositeInstanceRootRetrieveGet, QueryRetrieveLevel="IMAGE", SOPInstanceUID=uid)
    assert (code, received) == (0x0000, [])


def test_an_image_cannot_hide_among_them(node: Node, hanging: list[Dataset]) -> None:
    image = made(CTDefinedProcedureProtocolStorage, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3")
    with associated(node) as association:
        assert association.send_c_store(image).Status == 0x0000  # it has no study, whatever it says
    assert found(
        node, StudyRootQueryRetrieveInformationModelFind, QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3"
    ) == []
    ae = AE("STATION")
    ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian)
    association = ae.associate(node.address.host, node.address.port, ae_title=node.address.ae_title)
    uid = HangingProtocolStorage
    image = made("1.2.840.10008.5.1.4.1.1.2", StudyInstanceUID=uid, SeriesInstanceUID="1.2.3.4", PatientID="X")
    assert association.send_c_store(image).Status == 0xA900
    association.release()


def test_they_survive_a_rebuild(node: Node, hanging: list[Dataset]) -> None:
    assert node.stop() == 0
    try:
        node.cli("index", "rebuild").check()
    finally:
        node.start()
    assert len(found(node, HangingProtocolInformationModelFind, SOPInstanceUID="")) == 2


def test_every_class_has_its_model() -> None:
    assert len({uid for model in NON_PATIENT_MODELS for uid in (model.find, model.move, model.get)}) == 21
    assert len(NON_PATIENT_SOP_CLASSES) == 8
