"""Pull printing, the whole way: a workstation asks the gateway, which fetches the images from the server and prints.

Server and gateway are two nodes with folders and ports of their own; the workstation is pynetdicom.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pypdfium2
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.conftest import MakeDirectory
from tests.peers import requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.processing import phantoms
from tests.workitems.peer import Peer, associated, dataset
from tests.workitems.samples import new_item

SLICES = 6
PATIENCE_S = 60.0
SCHEME = "99MEDSERVER"
CLIENTS = ("STORESCU", "GETSCU", "FINDSCU", "MOVESCU", "WS1", "GATEWAY")


@pytest.fixture(scope="module")
def dcmtk_programs(make_directory: MakeDirectory) -> Iterator[Dcmtk]:
    requires("dcmtk")
    programs = Dcmtk(make_directory("dcmtk"))
    yield programs
    programs.close()


@pytest.fixture(scope="module")
def files(make_directory: MakeDirectory) -> list[Path]:
    """Give the series of a patient with a name in several scripts."""
    y, x = np.mgrid[0:64, 0:48]
    volume = np.stack([1024 + number * 50 + (x + y) for number in range(SLICES)]).astype(np.uint16)
    series = phantoms.ct_series(volume)
    for one in series:
        one.SpecificCharacterSet, one.PatientName = "ISO_IR 192", "Yamada^Tarou=山田^太郎"
    return sorted(phantoms.write(make_directory("made"), series).iterdir())


@pytest.fixture(scope="module")
def server(make_directory: MakeDirectory, dcmtk_programs: Dcmtk, files: list[Path]) -> Iterator[Node]:
    """Give the server, which has the series."""
    node = Node(make_directory("server"), ae_title="SERVER", clients=CLIENTS).start()
    assert dcmtk_programs.store(node.address, *files).exit_code == 0
    yield node
    node.kill()


def gateway_of(directory: Path, server: Node, *, title: str = "GATEWAY", **options: object) -> Node:
    """Return a gateway with a printer, not started."""
    node = Node(directory, ae_title=title, clients=("WS1", "STORESCU", "FINDSCU"))
    node.add_remote(server.address)
    node.set_section("printer film", {"output": "pdf", "folder": "films", "media": "A4, 14INX17IN"} | options)
    return node


@pytest.fixture(scope="module")
def gateway(make_directory: MakeDirectory, server: Node) -> Iterator[Node]:
    node = gateway_of(make_directory("gateway"), server).start()
    yield node
    node.kill()


def code(value: str, scheme: str = SCHEME) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, value
    return item


def text(name: str, value: str) -> Dataset:
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.TextValue = "TEXT", [code(name)], value
    return item


def number(name: str, value: float) -> Dataset:
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence, item.NumericValue = "NUMERIC", [code(name)], value
    item.MeasurementUnitsCodeSequence = [code("1", "UCUM")]
    return item


def request(files: list[Path], *parameters: Dataset, names_instances: bool = True, where: str = "SERVER") -> Dataset:
    """Return what a workstation asks for."""
    wanted = dataset(new_item())
    wanted.ScheduledWorkitemCodeSequence = [code("110008", "DCM")]
    wanted.ScheduledProcessingParametersSequence = list(parameters)
    source, retrieval = Dataset(), Dataset()
    retrieval.RetrieveAETitle = where
    source.TypeOfInstances, source.DICOMRetrievalSequence = "DICOM", [retrieval]
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    source.StudyInstanceUID, source.SeriesInstanceUID = headers[0].StudyInstanceUID, headers[0].SeriesInstanceUID
    source.ReferencedSOPSequence = []
    for one in headers if names_instances else ():
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        source.ReferencedSOPSequence.append(reference)
    wanted.InputInformationSequence = [source]
    return wanted


def ended(peer: Peer, uid: str) -> Dataset:
    """Return an item when it has ended."""
    final = ("COMPLETED", "CANCELED")
    wait_until(lambda: peer.get(uid)[1].ProcedureStepState in final, deadline_s=PATIENCE_S, what="the end")
    return peer.get(uid)[1]


def pages_of(node: Node) -> dict[str, str]:
    """Return the text of each page that was printed, by the name of its file."""
    found = {}
    for path in sorted((node.data / "films").glob("*.pdf")):
        with pypdfium2.PdfDocument(path) as document:
            found[path.name] = document[0].get_textpage().get_text_bounded()
    return found


def stored(node: Node) -> int:
    """Count the instances that a node has."""
    return int(json.loads(node.cli("index", "counts", "--json").stdout)["instances"])


def wait_until_forgotten(node: Node, count: int = 0) -> None:
    wait_until(lambda: stored(node) == count, deadline_s=PATIENCE_S, what="the images are forgotten")


@pytest.mark.parametrize("names_instances", [True, False])
def test_the_whole_way(server: Node, gateway: Node, files: list[Path], names_instances: bool) -> None:
    before = set(pages_of(gateway))
    wanted = request(files, text("layout", "2,2"), number("copies", 1), names_instances=names_instances)
    uid = generate_uid()
    with associated(gateway, "WS1") as peer:
        assert peer.create(uid, wanted).Status == 0x0000
        item = ended(peer, uid)
    assert item.ProcedureStepState == "COMPLETED"
    [progress] = item.ProcedureStepProgressInformationSequence
    assert progress.ProcedureStepProgress == 100
    pages = {name: said for name, said in pages_of(gateway).items() if name not in before}
    assert len(pages) == 2
    for said in pages.values():
        assert "Yamada Tarou" in said and "山田 太郎" in said and "P1" in said and "of 2" in said
    wait_until_forgotten(gateway)
    assert stored(server) == SLICES


def test_what_it_had_before_stays(server: Node, make_directory: MakeDirectory, dcmtk_programs: Dcmtk, files) -> None:
    """An image that somebody has sent is acknowledged: only the others are fetched, and forgotten."""
    gateway = gateway_of(make_directory("kept"), server).start()
    try:
        assert dcmtk_programs.store(gateway.address, files[0]).exit_code == 0
        uid = generate_uid()
        with associated(gateway, "WS1") as peer:
            assert peer.create(uid, request(files)).Status == 0x0000
            assert ended(peer, uid).ProcedureStepState == "COMPLETED"
        wait_until_forgotten(gateway, 1)
        assert len(pages_of(gateway)) == 1
    finally:
        gateway.kill()


def test_what_is_sent_while_it_is_printed_stays(
    server: Node, make_directory: MakeDirectory, dcmtk_programs: Dcmtk, files: list[Path]
) -> None:
    gateway = gateway_of(make_directory("sent"), server)
    gateway.data.mkdir(exist_ok=True)
    (gateway.data / "films").write_text("no folder: the printer does not print")
    gateway.start()
    try:
        uid = generate_uid()
        with associated(gateway, "WS1") as peer:
            assert peer.create(uid, request(files)).Status == 0x0000
            wait_until(lambda: stored(gateway) == SLICES, deadline_s=PATIENCE_S, what="the images")
            assert dcmtk_programs.store(gateway.address, *files[:2]).exit_code == 0
            assert peer.request_cancel(uid) == 0x0000
            assert ended(peer, uid).ProcedureStepState == "CANCELED"
        wait_until_forgotten(gateway, 2)
    finally:
        gateway.kill()


def test_a_gateway_that_is_killed_goes_on(server: Node, make_directory: MakeDirectory, files: list[Path]) -> None:
    """Killed while its printer does not print: the films are there afterwards, printed once, and all is forgotten."""
    gateway = gateway_of(make_directory("killed"), server)
    gateway.data.mkdir(exist_ok=True)
    (gateway.data / "films").write_text("no folder: the printer does not print")
    gateway.start()
    try:
        uid = generate_uid()
        with associated(gateway, "WS1") as peer:
            assert peer.create(uid, request(files, text("layout", "1,1"))).Status == 0x0000
            wait_until(
                lambda: peer.get(uid)[1].ProcedureStepState == "IN PROGRESS", deadline_s=PATIENCE_S, what="the films"
            )
        gateway.kill()
        (gateway.data / "films").unlink()
        gateway.start()
        gateway.cli("jobs", "retry", "--kind", "print", "--state", "waiting").check()  # not in half a minute
        with associated(gateway, "WS1") as peer:
            assert ended(peer, uid).ProcedureStepState == "COMPLETED"
        assert len(pages_of(gateway)) == SLICES
        wait_until_forgotten(gateway)
    finally:
        gateway.kill()


def test_images_that_are_nowhere(gateway: Node, files: list[Path]) -> None:
    uid = generate_uid()
    with associated(gateway, "WS1") as peer:
        assert peer.create(uid, request(files, where="NOWHERE")).Status == 0x0000
        item = ended(peer, uid)
    [progress] = item.ProcedureStepProgressInformationSequence
    [reason] = progress.ProcedureStepDiscontinuationReasonCodeSequence
    assert (item.ProcedureStepState, reason.CodeValue) == ("CANCELED", "110523")


def test_images_stay_where_the_printer_says_so(server: Node, make_directory: MakeDirectory, files) -> None:
    gateway = gateway_of(make_directory("stays"), server, forget="no").start()
    try:
        uid = generate_uid()
        with associated(gateway, "WS1") as peer:
            assert peer.create(uid, request(files)).Status == 0x0000
            assert ended(peer, uid).ProcedureStepState == "COMPLETED"
        assert stored(gateway) == SLICES
        jobs = gateway.cli("jobs", "list")
        assert "forget_fetched" not in jobs.stdout
    finally:
        gateway.kill()


def test_they_are_moved_where_they_cannot_be_got(server: Node, make_directory: MakeDirectory, files) -> None:
    gateway = gateway_of(make_directory("moved"), server, title="GATEWAY2").start()
    try:
        server.add_remote(gateway.address, allow=("echo", "find", "move"))
        uid = generate_uid()
        with associated(gateway, "WS1") as peer:
            assert peer.create(uid, request(files)).Status == 0x0000
            assert ended(peer, uid).ProcedureStepState == "COMPLETED"
        assert len(pages_of(gateway)) == 1
        wait_until_forgotten(gateway)
    finally:
        server.remove_remote("GATEWAY2")
        gateway.kill()
