"""From the modality to the workstation and back, as the manual page on processing has it.

A modality sends a CT series; a rule has it reformatted; both are told before; both get the result. The workstation then
has a part of it computed with another window by a work item of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.watcher import Watcher
from tests.processing import phantoms
from tests.workitems.peer import Peer, associated, dataset
from tests.workitems.samples import new_item

SLICES, ROWS, COLUMNS = 12, 24, 16
PATIENCE_S = 60.0
SCHEME = "99MEDSERVER"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Give the folder of a series."""
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, ROWS, COLUMNS)).astype(np.uint16)
    return phantoms.write(tmp_path / "made", phantoms.ct_series(volume))


@pytest.fixture
def modality(dcmtk: Dcmtk) -> StoreSCP:
    return dcmtk.start_storescp("CT1")


@pytest.fixture
def workstation(dcmtk: Dcmtk) -> StoreSCP:
    return dcmtk.start_storescp("WS1")


def code(value: str, scheme: str = SCHEME) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, value
    return item


def text(name: str, value: str) -> Dataset:
    """Return a parameter."""
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.TextValue = "TEXT", [code(name)], value
    return item


def numbers(name: str, *values: float) -> Dataset:
    """Return a parameter."""
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.NumericValue = "NUMERIC", [code(name)], list(values)
    item.MeasurementUnitsCodeSequence = [code("1", "UCUM")]
    return item


def request(series: list[Dataset], destination: str, *parameters: Dataset) -> Dataset:
    """Return what a workstation asks for: a coronal reformat."""
    wanted = dataset(new_item())
    wanted.ScheduledWorkitemCodeSequence = [code("reformat")]
    wanted.ScheduledProcessingParametersSequence = list(parameters)
    source = Dataset()
    source.TypeOfInstances = "DICOM"
    source.StudyInstanceUID, source.SeriesInstanceUID = series[0].StudyInstanceUID, series[0].SeriesInstanceUID
    source.ReferencedSOPSequence = []
    for one in series:
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        source.ReferencedSOPSequence.append(reference)
    wanted.InputInformationSequence = [source]
    storage, place = Dataset(), Dataset()
    storage.DestinationAE = destination
    place.DICOMStorageSequence = [storage]
    wanted.OutputDestinationSequence = [place]
    return wanted


def state_of(peer: Peer, uid: str) -> str:
    return peer.get(uid)[1].ProcedureStepState


@pytest.fixture
def node(make_node: Callable[..., Node], modality: StoreSCP, workstation: StoreSCP) -> Node:
    """Give a node that has every CT series of CT1 reformatted."""
    one = make_node(clients=("REQUESTER", "FINDSCU"))
    one.add_remote(modality.address)
    one.add_remote(workstation.address)
    one.set_section(
        "processing coronal",
        {"type": "reformat", "orientation": "coronal", "Modality": "CT", "calling_ae_title": "CT1", "quiet": "0.2 s",
         "to": "sender, WS1"},
    )  # fmt: skip
    return one


def test_the_whole_way(
    node: Node, dcmtk: Dcmtk, modality: StoreSCP, workstation: StoreSCP, series: Path
) -> None:
    with Watcher("VIEWER") as viewer:
        node.add_remote(viewer.address)
        node.start()
        with associated(node, "REQUESTER") as peer:
            assert peer.subscribe("VIEWER") == 0x0000
        assert dcmtk.store(node.address, *sorted(series.iterdir()), calling_ae_title="CT1").exit_code == 0
        for place in (modality, workstation):
            wait_until(lambda: len(place.files()) == ROWS, deadline_s=PATIENCE_S, what="the coronal series")
        sources = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
        coronal = list(workstation.datasets().values())
        assert {one.SOPInstanceUID for one in coronal} == {
            one.SOPInstanceUID for one in modality.datasets().values()
        }
        assert {(one.Rows, one.Columns) for one in coronal} == {(SLICES, COLUMNS)}
        made_of = {item.ReferencedSOPInstanceUID for one in coronal for item in one.SourceImageSequence}
        assert made_of == {one.SOPInstanceUID for one in sources}

        with associated(node, "REQUESTER") as peer:
            parameters = (text("orientation", "coronal"), text("outputs", "10-20"), numbers("window", 300, 900))
            part = request(sources, "WS1", *parameters)
            uid = generate_uid()
            assert peer.create(uid, part).Status == 0x0000
            wait_until(lambda: state_of(peer, uid) == "COMPLETED", deadline_s=PATIENCE_S, what="the part")
            _, item = peer.get(uid)
        [performed] = item.UnifiedProcedureStepPerformedProcedureSequence
        [output] = performed.OutputInformationSequence
        wanted = {one.ReferencedSOPInstanceUID for one in output.ReferencedSOPSequence}
        assert len(wanted) == 11
        wait_until(lambda: len(workstation.files()) == ROWS + 11, deadline_s=PATIENCE_S, what="the part")
        received = workstation.datasets()
        assert {float(received[one].WindowWidth) for one in wanted} == {900.0}
        assert len(modality.files()) == ROWS

        found = dcmtk.find(node.address, "SERIES", {"StudyInstanceUID": sources[0].StudyInstanceUID})
        assert len(found.identifiers) == 3
