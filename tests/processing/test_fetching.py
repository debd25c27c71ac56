"""What is to be processed is fetched from where the work item says that it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.processing import phantoms
from tests.workitems.peer import associated, dataset
from tests.workitems.samples import new_item

PATIENCE_S = 60.0
COUNT = 3

MakeNode = Callable[..., Node]


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    volume = np.random.default_rng(7).integers(0, 2000, (COUNT, 16, 16)).astype(np.uint16)
    return sorted(phantoms.write(tmp_path / "made", phantoms.ct_series(volume)).iterdir())


@pytest.fixture
def archive(make_node: MakeNode, dcmtk: Dcmtk, series: list[Path]) -> Node:
    """Give another node that has the series."""
    node = make_node(ae_title="ARCHIVE", clients=("STORESCU", "MEDSERVER")).start()
    assert dcmtk.store(node.address, *series).exit_code == 0
    return node


def request(series: list[Path], where: str, *, names: str) -> Dataset:
    """Return a request for a copy of the series, which is elsewhere; it names its instances, or only the series."""
    headers = [pydicom.dcmread(path) for path in series]
    source, retrieval = Dataset(), Dataset()
    retrieval.RetrieveAETitle = where
    source.TypeOfInstances, source.DICOMRetrievalSequence = "DICOM", [retrieval]
    source.StudyInstanceUID = headers[0].StudyInstanceUID
    source.ReferencedSOPSequence = []
    if names != "study":
        source.SeriesInstanceUID = headers[0].SeriesInstanceUID
    for one in headers if names == "instances" else ():
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        source.ReferencedSOPSequence.append(reference)
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "copy", "99MEDSERVER", "Copy"
    wanted = dataset(new_item())
    wanted.ScheduledWorkitemCodeSequence, wanted.InputInformationSequence = [code], [source]
    return wanted


def ended(node: Node, wanted: Dataset) -> Dataset:
    """Have something done, and return the item when it has ended."""
    uid = generate_uid()
    with associated(node, "REQUESTER") as peer:
        assert peer.create(uid, wanted).Status == 0x0000
        final = ("COMPLETED", "CANCELED")
        wait_until(lambda: peer.get(uid)[1].ProcedureStepState in final, deadline_s=PATIENCE_S, what="the end")
        return peer.get(uid)[1]


@pytest.mark.parametrize("names", ["instances", "series", "study"])
def test_it_is_fetched(make_node: MakeNode, archive: Node, series: list[Path], names: str) -> None:
    node = make_node(clients=("REQUESTER",))
    node.add_remote(archive.address)
    node.start()
    item = ended(node, request(series, "ARCHIVE", names=names))
    assert item.ProcedureStepState == "COMPLETED"
    [performed] = item.UnifiedProcedureStepPerformedProcedureSequence
    [output] = performed.OutputInformationSequence
    assert len(output.ReferencedSOPSequence) == COUNT
    assert output.DICOMRetrievalSequence[0].RetrieveAETitle == "MEDSERVER"


def test_it_is_nowhere(make_node: MakeNode, series: list[Path]) -> None:
    node = make_node(clients=("REQUESTER",)).start()
    item = ended(node, request(series, "NOWHERE", names="instances"))
    [progress] = item.ProcedureStepProgressInformationSequence
    [reason] = progress.ProcedureStepDiscontinuationReasonCodeSequence
    assert (item.ProcedureStepState, reason.CodeValue) == ("CANCELED", "110523")  # Object Set incomplete
    assert "NOWHERE" in progress.ReasonForCancellation


def test_it_is_fetched_when_the_other_one_is_there_again(
    make_node: MakeNode, dcmtk: Dcmtk, series: list[Path]
) -> None:
    node = make_node(clients=("REQUESTER",))
    archive = make_node(ae_title="ARCHIVE", clients=("STORESCU", "MEDSERVER")).start()
    assert dcmtk.store(archive.address, *series).exit_code == 0
    assert archive.stop() == 0
    node.add_remote(archive.address)
    node.start()
    uid = generate_uid()
    with associated(node, "REQUESTER") as peer:
        assert peer.create(uid, request(series, "ARCHIVE", names="series")).Status == 0x0000
        wait_until(lambda: "state=failed kind=process" in node.output, deadline_s=PATIENCE_S, what="the first attempt")
        archive.start()
        wait_until(lambda: peer.get(uid)[1].ProcedureStepState == "COMPLETED", deadline_s=PATIENCE_S, what="the end")
