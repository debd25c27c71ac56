"""Films on printers that speak IPP: media, copies, courses of a job, and printers that hang, lie and forget."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from medserver.config import Printer
from medserver.errors import CannotRender, PrinterFailed, PrinterRefused
from medserver.printing.printers import ipp_exchange
from medserver.printing.printers.ipp import IppPrinter, medium_of, status_of
from medserver.printing.printers.printer import FAILURE, NORMAL, WARNING
from tests.peers import requires
from tests.peers.ipp_printer import IppEvePrinter
from tests.peers.process import wait_until
from tests.printing.conftest import Shop
from tests.printing.outputs import handover

FILM_MM = (355.6, 431.8)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[IppEvePrinter]:
    requires("ippeveprinter")
    printer = IppEvePrinter(tmp_path / "ipp")
    yield printer
    printer.stop()


def _output(peer: IppEvePrinter, **values: object) -> IppPrinter:
    return IppPrinter(Printer("FILM", "ipp", url=peer.url, **values))


@pytest.mark.parametrize(
    ("attributes", "medium"),
    [
        ({"media-ready": "na_arch-b_14x17in", "media-supported": ["iso_a4_210x297mm"]}, "na_arch-b_14x17in"),
        ({"media-ready": "iso_a4_210x297mm", "media-supported": ["custom_film_355.6x431.8mm"]},
         "custom_film_355.6x431.8mm"),
        ({"media-size-supported": {"x-dimension": (1000, 40000), "y-dimension": (1000, 50000)}}, ""),
        ({"media-size-supported": [{"x-dimension": 35560, "y-dimension": 43180}]}, ""),
        ({}, ""),
        ({"media-ready": ["iso_a1_594x841mm", "iso_a2_420x594mm", "iso_a4_210x297mm"]}, "iso_a2_420x594mm"),
    ],
)  # fmt: skip
def test_a_medium_is_chosen(attributes: dict[str, object], medium: str) -> None:
    assert medium_of(attributes, FILM_MM) == medium


@pytest.mark.parametrize(
    "attributes",
    [
        {"media-ready": ["iso_a4_210x297mm"], "media-supported": ["custom_min_1x1mm", "custom_max_900x900mm"]},
        {"media-size-supported": [{"x-dimension": 21000, "y-dimension": (1000, 50000)}, "nonsense"]},
    ],
)
def test_nothing_smaller_is_taken(attributes: dict[str, object]) -> None:
    with pytest.raises(PrinterRefused, match="356|355.6 x 431.8 mm"):
        medium_of(attributes, FILM_MM)


@pytest.mark.parametrize(
    ("attributes", "state", "info"),
    [
        ({"printer-state": 3, "printer-state-reasons": "none"}, NORMAL, ""),
        ({"printer-state": 4, "printer-state-reasons": "toner-low-warning"}, WARNING, "SUPPLY LOW"),
        ({"printer-state": 5, "printer-state-reasons": ["media-empty-error", "other"]}, FAILURE, "SUPPLY EMPTY"),
        ({"printer-state": 3, "printer-state-reasons": "door-open-error"}, FAILURE, "COVER OPEN"),
        ({"printer-state": 3, "printer-is-accepting-jobs": False}, FAILURE, "CHECK PRINTER"),
        ({"printer-state": 3, "document-format-supported": "image/urf"}, FAILURE, "CHECK PRINTER"),
    ],
)
def test_the_state_of_a_printer(attributes: dict[str, object], state: str, info: str) -> None:
    status = status_of(attributes)
    assert (status.state, status.info) == (state, info)


def test_copies(peer: IppEvePrinter) -> None:
    output = _output(peer)
    with handover(copies=3) as film:
        reference = output.hand_over(film)
    assert reference == "1 medserver 1.2.3"
    with handover(copies=21) as film, pytest.raises(CannotRender, match="20 copies of a page at most, not 21"):
        output.hand_over(film)


def test_an_office_printer_has_no_film(tmp_path: Path) -> None:
    requires("ippeveprinter")
    peer = IppEvePrinter(tmp_path / "ipp", attributes="")
    try:
        with handover() as film, pytest.raises(PrinterRefused, match="no medium for a page of 355.6 x 431.8 mm"):
            _output(peer).hand_over(film)
        with handover(film=replace(film.film, film_size_id="A4")) as film:
            assert _output(peer).hand_over(film)
    finally:
        peer.stop()


def test_a_job_that_fails_and_one_that_is_cancelled(peer: IppEvePrinter) -> None:
    output = _output(peer)
    peer.set_command("exit 1")
    with handover() as film:
        reference = output.hand_over(film)
    wait_until(lambda: output.follow(reference).state == "FAILURE", what="the failure")
    peer.set_command(f"touch {peer.folder}/begun; exec tail -f /dev/null")
    with handover("1.2.4") as film:
        reference = output.hand_over(film)
    wait_until((peer.folder / "begun").exists, what="the print")
    assert output.follow(reference).state == "PRINTING"
    assert output.cancel(reference)


def test_a_printer_that_was_restarted_does_not_give_another_job_for_the_film(peer: IppEvePrinter) -> None:
    output = _output(peer)
    with handover() as film:
        reference = output.hand_over(film)
    peer.restart()
    assert output.find("1.2.3") is None
    assert output.follow(reference).state == "FAILURE"
    assert output.follow(reference).info == "CHECK PRINTER"
    with handover("1.2.4") as film:
        other = output.hand_over(film)
    assert other.partition(" ")[0] == reference.partition(" ")[0]
    assert "does not know job 1" in output.follow(reference).detail


@contextmanager
def _answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the URL of what accepts connections, and does that with them."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"ipp://127.0.0.1:{server.getsockname()[1]}/ipp/print"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def _drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    try:
        while True:
            connection.sendall(b"x")
            threading.Event().wait(0.02)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (_drip, "no IPP|reset|cannot|127.0.0.1"),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), "is no IPP"),
        (lambda connection: connection.sendall(b"\x00" * 100), "ipp://127.0.0.1"),
        (lambda connection: None, "ipp://127.0.0.1"),
    ],
    ids=["byte by byte", "nonsense", "no HTTP", "nothing"],
)
def test_a_printer_that_hangs_or_talks_nonsense_costs_a_limited_time(
    answer: Callable[[socket.socket], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipp_exchange, "REQUEST_TIMEOUT_S", 0.5)
    with _answering(answer) as url, pytest.raises(PrinterFailed, match=message):
        IppPrinter(Printer("FILM", "ipp", url=url)).status()


def test_a_film_goes_to_an_ipp_printer(make_shop: Callable[..., Shop], peer: IppEvePrinter) -> None:
    shop = make_shop(f"[node]\ndata = data\n[printer FILM]\noutput = ipp\nurl = {peer.url}\n")
    shop.request()

    def is_done() -> bool:
        shop.work()
        shop.clock.advance(5)
        return shop.row().state == "DONE"

    wait_until(is_done, what="the end of the film")
    assert shop.row().reference == "1 medserver 1.2.3"
    assert len(list(peer.pages.iterdir())) == 1
