"""Pull printing on printers of every kind: images come by C-GET and by C-MOVE, and leave on paper and on film.

The archives are a node of ours, and dcmqrscp, which takes no C-GET here; the printers are ippeveprinter, CUPS and
dcmprscp; the workstation is pynetdicom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.peers import Address, requires
from tests.peers.cups import Cups
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import QueryRetrieveSCP
from tests.peers.imagers import DcmPrintSCP
from tests.peers.ipp_printer import IppEvePrinter
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.printing.test_pulling import (  # noqa: F401 - fixtures
    PATIENCE_S,
    dcmtk_programs,
    ended,
    files,
    number,
    request,
    server,
    stored,
    text,
    wait_until_forgotten,
)
from tests.workitems.peer import Peer, associated


@dataclass
class Made:
    """A printer.

    Attributes
    ----------
    options : dict of str to object
        Its section of the configuration.
    sheets : callable
        Returns what it has printed.
    stop : callable
        Ends it.
    address : Address, optional
        Where it is, if it is a DICOM imager.
    """

    options: dict[str, object]
    sheets: Callable[[], list]
    stop: Callable[[], None]
    address: Address | None = None


def _ipp(folder: Path) -> Made:
    requires("ippeveprinter")
    peer = IppEvePrinter(folder / "ipp")
    return Made({"output": "ipp", "url": peer.url}, lambda: list(peer.pages.iterdir()), peer.stop)


def _cups(folder: Path) -> Made:
    del folder  # CUPS has one of its own
    requires("cups", "cups-client")
    peer = Cups()
    return Made({"output": "ipp", "url": peer.url}, lambda: list(peer.pages.glob("*.pdf")), peer.stop)


def _imager(folder: Path) -> Made:
    requires("dcmtk")
    peer = DcmPrintSCP(folder / "imager", "IHEFULL")
    options = {"output": "dicom", "destination": "IHEFULL", "media": "14INX17IN"}
    return Made(options, peer.films, peer.server.kill, peer.address)


_PRINTERS = {"ipp": _ipp, "cups": _cups, "imager": _imager}


@contextmanager
def _gateway(folder: Path, printer: Made) -> Iterator[Node]:
    """Give a gateway with a printer; it is started when it knows where images are."""
    (folder / "gateway").mkdir()
    node = Node(folder / "gateway", ae_title="GATEWAY", clients=("WS1",))
    if printer.address is not None:
        node.add_remote(printer.address, allow=("echo",))
    node.set_section("printer film", {"media": "A4"} | printer.options)
    try:
        yield node
    finally:
        node.kill()
        printer.stop()


@contextmanager
def _mover(folder: Path, programs: Dcmtk, gateway: Node, paths: list[Path]) -> Iterator[Address]:
    """Give an archive with the images that lets nobody get, and can move to a gateway."""
    one = QueryRetrieveSCP("ARCHIVE", folder / "archive", [gateway.address], ["--disable-get"])
    try:
        one.server.wait_for_port(one.address)
        assert programs.store(one.address, *paths).exit_code == 0
        yield one.address
    finally:
        one.server.kill()


def _progress(peer: Peer, uid: str) -> str:
    """Return what an item says of how far it is."""
    [progress] = peer.get(uid)[1].get("ProcedureStepProgressInformationSequence") or [Dataset()]
    return str(progress.get("ProcedureStepProgressDescription", ""))


def _check_whole_way(gateway: Node, printer: Made, paths: list[Path], where: str, stays: int = 0) -> None:
    """Check that format and UIDs become sheets, that the item tells it, and how many images the gateway has then."""
    uid = generate_uid()
    wanted = request(paths, text("layout", "2,2"), number("copies", 2), where=where)
    with associated(gateway, "WS1") as peer:
        assert peer.create(uid, wanted).Status == 0x0000
        item = ended(peer, uid)
        assert (item.ProcedureStepState, _progress(peer, uid)) == ("COMPLETED", "2 of 2 films printed")
    [progress] = item.ProcedureStepProgressInformationSequence
    assert progress.ProcedureStepProgress == 100
    wait_until(lambda: len(printer.sheets()) == 2, what="the sheets")
    wait_until_forgotten(gateway, stays)


@pytest.mark.parametrize("kind", _PRINTERS)
def test_images_that_come_by_get(kind: str, server: Node, files: list[Path], tmp_path: Path) -> None:  # noqa: F811
    printer = _PRINTERS[kind](tmp_path)
    with _gateway(tmp_path, printer) as gateway:
        gateway.add_remote(server.address)
        gateway.start()
        _check_whole_way(gateway, printer, files, server.address.ae_title)


@pytest.mark.parametrize("kind", _PRINTERS)
def test_images_that_come_by_move(
    kind: str, dcmtk_programs: Dcmtk, files: list[Path], tmp_path: Path  # noqa: F811
) -> None:
    printer = _PRINTERS[kind](tmp_path)
    with _gateway(tmp_path, printer) as gateway, _mover(tmp_path, dcmtk_programs, gateway, files) as source:
        gateway.add_remote(source, allow=("echo", "store"))
        gateway.start()
        _check_whole_way(gateway, printer, files, source.ae_title)


def test_what_was_moved_by_others_stays(dcmtk_programs: Dcmtk, files: list[Path], tmp_path: Path) -> None:  # noqa: F811
    """What somebody has had moved to the gateway, also by its own AE title, was sent to it for its own sake."""
    printer = _ipp(tmp_path)
    with _gateway(tmp_path, printer) as gateway, _mover(tmp_path, dcmtk_programs, gateway, files) as source:
        gateway.add_remote(source, allow=("echo", "store"))
        gateway.start()
        one = pydicom.dcmread(files[0], stop_before_pixels=True)
        keys = {each: one[each].value for each in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
        moved = dcmtk_programs.move(source, "GATEWAY", "IMAGE", keys, calling_ae_title="GATEWAY")
        assert moved.check().status == 0
        assert stored(gateway) == 1
        _check_whole_way(gateway, printer, files, source.ae_title, stays=1)


def test_a_printer_without_paper_is_told_by_the_item(server: Node, files, tmp_path: Path) -> None:  # noqa: F811
    requires("ippeveprinter")
    peer = IppEvePrinter(tmp_path / "ipp")
    paper = tmp_path / "paper"
    peer.set_command(
        f"echo 'STATE: +media-empty-error' >&2\nuntil [ -e {paper} ]; do sleep 0.05; done\n"
        "echo 'STATE: -media-empty-error' >&2"
    )
    printer = Made({"output": "ipp", "url": peer.url}, lambda: list(peer.pages.iterdir()), peer.stop)
    with _gateway(tmp_path, printer) as gateway:
        gateway.add_remote(server.address)
        gateway.start()
        uid = generate_uid()
        with associated(gateway, "WS1") as workstation:
            assert workstation.create(uid, request(files, text("layout", "2,3"))).Status == 0x0000
            wait_until(
                lambda: "media-empty" in _progress(workstation, uid), deadline_s=PATIENCE_S, what="the lack of paper"
            )
            assert workstation.get(uid)[1].ProcedureStepState == "IN PROGRESS"
            paper.touch()
            assert ended(workstation, uid).ProcedureStepState == "COMPLETED"


def test_a_job_that_fails_at_the_printer_ends_the_item(server: Node, files, tmp_path: Path) -> None:  # noqa: F811
    requires("ippeveprinter")
    peer = IppEvePrinter(tmp_path / "ipp", "exit 1")
    printer = Made({"output": "ipp", "url": peer.url}, lambda: list(peer.pages.iterdir()), peer.stop)
    with _gateway(tmp_path, printer) as gateway:
        gateway.add_remote(server.address)
        gateway.start()
        uid = generate_uid()
        with associated(gateway, "WS1") as workstation:
            assert workstation.create(uid, request(files, text("layout", "2,3"))).Status == 0x0000
            item = ended(workstation, uid)
        assert item.ProcedureStepState == "CANCELED"
        [progress] = item.ProcedureStepProgressInformationSequence
        assert "0 of 1 films printed" in progress.ReasonForCancellation
        assert "was aborted by the printer" in progress.ReasonForCancellation
        wait_until_forgotten(gateway)
