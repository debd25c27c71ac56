"""What every output promises, see `printer.Output`: a PDF folder, a printer by IPP, CUPS and a DICOM imager."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from medserver.config import ConfigFile, Printer
from medserver.errors import RemoteError
from medserver.printing.printers.dicom import DicomImager
from medserver.printing.printers.ipp import IppPrinter
from medserver.printing.printers.pdf import PdfFolder
from medserver.printing.printers.printer import FAILURE, NORMAL, Handover, Output, Progress
from tests.peers import requires
from tests.peers.cups import QUEUE, Cups
from tests.peers.imagers import PythonImager
from tests.peers.ipp_printer import IppEvePrinter
from tests.peers.process import wait_until
from tests.printing.outputs import handover


@dataclass
class Bench:
    """An output, and how what it leads to is looked at and broken.

    Attributes
    ----------
    output : Output
        The output.
    sheets : callable
        Returns how many films the printer has.
    turn_off : callable
        Lets it take no films any more.
    """

    output: Output
    sheets: Callable[[], int]
    turn_off: Callable[[], None]


def _pdf(folder: Path) -> Iterator[Bench]:
    films = folder / "films"

    def turn_off() -> None:
        shutil.rmtree(films, ignore_errors=True)
        films.write_text("no folder")

    yield Bench(PdfFolder(films), lambda: len(list(films.glob("*.pdf"))), turn_off)


def _ipp(folder: Path) -> Iterator[Bench]:
    requires("ippeveprinter")
    peer = IppEvePrinter(folder / "ipp")
    printer = Printer("FILM", "ipp", url=peer.url)
    yield Bench(IppPrinter(printer), lambda: len(list(peer.pages.iterdir())), peer.stop)
    peer.stop()


def _cups(folder: Path) -> Iterator[Bench]:
    del folder  # CUPS has one of its own
    requires("cups", "cups-client")
    peer = Cups(has_port=False)
    printer = Printer("FILM", "ipp", url=f"cups:{QUEUE}@{peer.socket}")
    yield Bench(IppPrinter(printer), lambda: len(list(peer.pages.glob("*.pdf"))), peer.kill)
    peer.stop()


def _dicom(folder: Path) -> Iterator[Bench]:
    peer = PythonImager()
    host = f"{peer.address.host}:{peer.address.port}"
    path = folder / "config.ini"
    path.write_text(
        f"[ae IMAGER]\naddress = {host}\nallow = echo\n[printer FILM]\noutput = dicom\ndestination = IMAGER\n"
    )
    config = ConfigFile(path).current
    printer = config.printer("FILM")
    assert printer is not None
    peer.job = ("DONE", "NORMAL")
    yield Bench(DicomImager(config, printer), lambda: len(peer.printed), peer.stop)
    peer.stop()


_BENCHES = {"pdf": _pdf, "ipp": _ipp, "cups": _cups, "dicom": _dicom}


@pytest.fixture(params=_BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    for made in _BENCHES[request.param](tmp_path):
        assert made.output.status().state == NORMAL  # as it is asked before each film
        yield made


def _end(output: Output, reference: str) -> Progress:
    return wait_until(
        lambda: progress if (progress := output.follow(reference)).state in ("DONE", "FAILURE") else None,
        what="the end of the film",
    )


def _handed(output: Output, film: Handover) -> str:
    with output.beginning(film.name):
        return output.hand_over(film)


def test_a_film_is_taken_found_and_followed_to_its_end(bench: Bench) -> None:
    with handover() as film:
        reference = _handed(bench.output, film)
    assert bench.output.find("1.2.3") in (reference, reference if isinstance(bench.output, PdfFolder) else None)
    assert not bench.output.has_not_taken("1.2.3")
    assert bench.output.find("1.2") is None
    assert bench.output.find("2.3") is None
    assert _end(bench.output, reference).state == "DONE"
    assert bench.sheets() == 1


def test_a_film_that_is_printed_again_is_another_one(bench: Bench) -> None:
    references = []
    for name in ("1.2.3", "1.2.3-2"):
        assert bench.output.find(name) is None
        with handover(name) as film:
            references.append(_handed(bench.output, film))
        assert _end(bench.output, references[-1]).state == "DONE"
    assert len({*references}) == 2
    assert bench.sheets() == 2


def test_a_printer_that_is_off_takes_nothing(bench: Bench) -> None:
    bench.turn_off()
    with suppress(RemoteError):
        assert bench.output.status().state == FAILURE
    with handover() as film, pytest.raises(RemoteError):
        _handed(bench.output, film)
    assert bench.sheets() == 0


def test_what_has_ended_cannot_be_cancelled(bench: Bench) -> None:
    with handover() as film:
        reference = _handed(bench.output, film)
    _end(bench.output, reference)
    assert not bench.output.cancel(reference)
