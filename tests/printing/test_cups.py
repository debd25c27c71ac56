"""Films on print servers: a CUPS of the tests, asked by its port and by its socket, and the courses of its jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ippx import Attribute, Tag

from medserver.config import Printer
from medserver.config.printer import cups_queue, parse_printer_url
from medserver.errors import PrinterFailed, PrinterRefused
from medserver.printing.film import Film, ImageBox
from medserver.printing.printers.ipp import GET_JOB_ATTRIBUTES, IppPrinter
from medserver.printing.printers.ipp_connection import printer_uri
from medserver.printing.printers.ipp_exchange import exchange
from medserver.printing.printers.printer import FAILURE, NORMAL, Progress
from tests.peers import requires
from tests.peers.cups import QUEUE, Cups
from tests.peers.ipp_printer import IppEvePrinter
from tests.peers.process import wait_until
from tests.printing.conftest import Shop
from tests.printing.outputs import IMAGE, handover
from tests.printing.pages import seen


@pytest.fixture(scope="module")
def server() -> Iterator[Cups]:
    requires("cups", "cups-client")
    one = Cups()
    yield one
    one.stop()


@pytest.fixture
def cups(server: Cups) -> Iterator[Cups]:
    """Give the server with its queue as it was at first."""
    yield server
    server.set_course("")
    server.tool("cupsaccept", QUEUE)
    server.tool("cupsenable", QUEUE)
    server.tool("cancel", "-a", QUEUE)


def _output(url: str) -> IppPrinter:
    return IppPrinter(Printer("FILM", "ipp", url=url))


def _handed_over(output: IppPrinter, name: str) -> str:
    with handover(name) as film:
        return output.hand_over(film)


def _wait_for(output: IppPrinter, reference: str, wanted: Callable[[Progress], bool], what: str) -> Progress:
    def progress() -> Progress | None:
        found = output.follow(reference)
        return found if wanted(found) else None

    return wait_until(progress, what=what)


def _wait_for_end(output: IppPrinter, reference: str) -> Progress:
    return _wait_for(output, reference, lambda found: found.state in ("DONE", "FAILURE"), "the end")


def test_a_job_as_cups_has_it(cups: Cups) -> None:
    output = _output(cups.url)
    with handover("1.2.3", copies=3) as film:
        reference = output.hand_over(film)
    wait_until(lambda: output.find("1.2.3") == reference, what="a list of jobs with it")  # some come without it
    assert _wait_for_end(output, reference).state == "DONE"
    number, _, name = reference.partition(" ")
    [[job, user, title, copies, options]] = [call for call in cups.calls if call[0] == number]
    assert (user, title, copies) == ("medserver", name, "3")
    assert job == number
    wanted = ("media=custom_14x17in_14x17in", "PageSize=14x17", "print-scaling=none", "printer-resolution=300x300dpi")
    assert all(each in options.split() for each in wanted)
    with handover() as film, film.document() as document:
        assert len((cups.pages / f"{number}.pdf").read_bytes()) == len(document.read())
    assert f"{QUEUE}-{number} " in cups.tool("lpstat", "-W", "completed", "-o").output


@pytest.mark.parametrize(("priority", "given"), [("HIGH", 80), ("MED", 50), ("LOW", 20)])
def test_what_is_urgent_goes_before_other_jobs(cups: Cups, priority: str, given: int) -> None:
    output = _output(cups.url)
    cups.tool("cupsdisable", QUEUE)
    with handover(priority) as film:
        number = output.hand_over(replace(film, priority=priority)).partition(" ")[0]
    asked = [Attribute("job-id", Tag.INTEGER, [int(number)])]
    [job] = exchange(cups.url, GET_JOB_ATTRIBUTES, asked)
    assert job["job-priority"] == given


def test_a_job_that_is_cancelled_at_the_printer(cups: Cups) -> None:
    output = _output(cups.url)
    cups.set_course("exec tail -f /dev/null")
    reference = _handed_over(output, "cancelled there")
    progress = _wait_for(output, reference, lambda found: found.state == "PRINTING", "the print")
    assert "is printed" in progress.detail
    number = reference.partition(" ")[0]
    cups.tool("cancel", f"{QUEUE}-{number}")
    progress = _wait_for_end(output, reference)
    assert (progress.state, progress.info) == ("FAILURE", "CHECK PRINTER")
    assert f"job {number} was cancelled at the printer" in progress.detail


def test_a_job_that_is_cancelled_here(cups: Cups) -> None:
    output = _output(cups.url)
    cups.set_course("exec tail -f /dev/null")
    reference = _handed_over(output, "cancelled here")
    assert output.cancel(reference)
    assert _wait_for_end(output, reference).state == "FAILURE"
    assert not output.cancel(reference)
    assert cups.tool("lpstat", "-o", QUEUE).output == ""


def test_a_queue_that_is_stopped_takes_nothing(cups: Cups) -> None:
    output = _output(cups.url)
    cups.tool("cupsdisable", "-r", "being cleaned", QUEUE)
    status = output.status()
    assert (status.state, status.info) == (FAILURE, "CHECK PRINTER")
    assert "being cleaned" in status.detail
    cups.tool("cupsenable", QUEUE)
    assert output.status().state == NORMAL


def test_a_queue_that_is_stopped_when_it_has_the_job(cups: Cups) -> None:
    output = _output(cups.url)
    cups.set_course("exit 4")  # CUPS_BACKEND_STOP
    reference = _handed_over(output, "stopped")
    progress = _wait_for(output, reference, lambda found: "printer-stopped" in found.detail, "the stop")
    assert (progress.state, progress.info) == ("PENDING", "CHECK PRINTER")
    cups.set_course("")
    cups.tool("cupsenable", QUEUE)
    assert _wait_for_end(output, reference).state == "DONE"


def test_a_queue_that_rejects_jobs(cups: Cups) -> None:
    output = _output(cups.url)
    cups.tool("cupsreject", "-r", "moved to the cellar", QUEUE)
    assert output.status().detail == "it accepts no jobs: moved to the cellar"
    with handover() as film, pytest.raises(PrinterRefused, match="not accepting jobs"):
        output.hand_over(film)
    cups.tool("cupsaccept", QUEUE)
    assert output.status().state == NORMAL


def test_a_printer_that_is_out_of_paper(cups: Cups) -> None:
    """First while it prints, which the film tells; and the printer says so before the next film."""
    output = _output(cups.url)
    paper = cups.pages / "paper"
    cups.set_course(
        f"echo 'STATE: +media-empty-error' >&2; echo 'ERROR: out of paper' >&2\n"
        f"until [ -e {paper} ]; do sleep 0.05; done\necho 'STATE: -media-empty-error' >&2"
    )
    reference = _handed_over(output, "out of paper")
    progress = _wait_for(output, reference, lambda found: "media-empty" in found.detail, "the lack of paper")
    assert (progress.state, progress.info) == ("PRINTING", "SUPPLY EMPTY")
    assert "out of paper" in progress.detail
    assert (output.status().state, output.status().info) == (FAILURE, "SUPPLY EMPTY")
    paper.touch()
    number = reference.partition(" ")[0]
    assert _wait_for_end(output, reference) == Progress("DONE", "NORMAL", f"job {number} has ended")
    wait_until(lambda: output.status().state == NORMAL, what="the printer is well again")


@pytest.mark.parametrize(
    ("code", "state", "info", "said"),
    [
        (1, "PENDING", "CHECK PRINTER", "is held, resources-are-not-ready"),  # until it is tried again
        (3, "PENDING", "CHECK PRINTER", "is held, job-hold-until-specified"),
        (5, "FAILURE", "CHECK PRINTER", "was cancelled at the printer"),
    ],
    ids=["failed", "held", "cancelled"],
)
def test_what_a_backend_makes_of_a_job(cups: Cups, code: int, state: str, info: str, said: str) -> None:
    output = _output(cups.url)
    cups.set_course(f"exit {code}")
    reference = _handed_over(output, f"code {code}")
    words = said.split(", ")
    progress = _wait_for(output, reference, lambda found: all(each in found.detail for each in words), said)
    assert (progress.state, progress.info) == (state, info)


def test_a_server_that_is_killed_and_started_again_has_the_job(cups: Cups) -> None:
    output = _output(cups.url)
    cups.set_course("exec tail -f /dev/null")
    reference = _handed_over(output, "killed")
    cups.kill()
    with pytest.raises(PrinterFailed):
        output.follow(reference)
    with pytest.raises(PrinterRefused, match="cannot be reached"):
        output.status()
    cups.set_course("")
    cups.start()
    assert output.find("killed") == reference
    assert _wait_for_end(output, reference).state == "DONE"


def test_a_queue_without_a_driver_gets_the_page_as_it_is(cups: Cups) -> None:
    """It says nothing of media: what it prints on stands in the entry."""
    cups.add_queue("raw", "keep:/")
    output = _output(cups.url.replace(QUEUE, "raw"))
    reference = _handed_over(output, "raw")
    assert _wait_for_end(output, reference).state == "DONE"
    assert (cups.pages / f"{reference.partition(' ')[0]}.pdf").read_bytes().startswith(b"%PDF")


def test_a_queue_that_does_not_exist(cups: Cups) -> None:
    with pytest.raises(PrinterRefused, match="not-found"):
        _output(cups.url.replace(QUEUE, "another")).status()


@pytest.mark.parametrize("orientation", ["PORTRAIT", "LANDSCAPE"])
def test_a_page_through_cups_to_a_driverless_printer_has_its_size(
    cups: Cups, make_shop: Callable[..., Shop], tmp_path: Path, orientation: str
) -> None:
    """What CUPS makes of a page for a printer without a driver shows the images where they were, and as large."""
    requires("ippeveprinter")
    peer = IppEvePrinter(tmp_path / "ipp")
    try:
        cups.add_queue("driverless", peer.url, "-m", "everywhere")
        url = cups.url.replace(QUEUE, "driverless")
        shop = make_shop(
            f"[node]\ndata = data\n[printer FILM]\noutput = ipp\nurl = {url}\nmedia = A4\n"
            "[printer PDF]\noutput = pdf\nfolder = films\nmedia = A4\n"
        )
        film = Film("STANDARD\\1,2", "A4", orientation, border_density="WHITE", boxes=(ImageBox(2, IMAGE),))
        shop.request("1.2.3", film)
        shop.request("1.2.4", film, "PDF")

        def are_done() -> bool:
            shop.work()
            shop.clock.advance(5)
            return {shop.row(uid).state for uid in ("1.2.3", "1.2.4")} == {"DONE"}

        wait_until(are_done, what="the end of the films")
        pages = [seen(path.read_bytes(), 100) for path in (*peer.pages.iterdir(), *shop.pages())]
        printed, composed = (page[60:-60, 60:-60] for page in pages)
        assert composed.min() == 0
        ways = [np.rot90(printed, turns) for turns in (range(4) if orientation == "LANDSCAPE" else [0])]
        apart = [(np.abs(each.astype(int) - composed) > 40).mean() for each in ways if each.shape == composed.shape]
        assert min(apart) < 0.005  # edges may be a pixel off
    finally:
        peer.stop()


def test_a_film_waits_for_a_print_server_and_is_followed_to_its_end(cups: Cups, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(f"[node]\ndata = data\n[printer FILM]\noutput = ipp\nurl = {cups.url}\n")
    cups.tool("cupsdisable", QUEUE)
    shop.request()
    shop.work()
    assert (shop.row().state, shop.row().status_info, shop.row().handovers) == ("PENDING", "CHECK PRINTER", 0)
    cups.tool("cupsenable", QUEUE)

    def state() -> str:
        shop.clock.advance(60)
        shop.work()
        return shop.row().state if shop.row().ended_at else ""

    assert wait_until(state, what="the end of the film") == "DONE"
    number = shop.row().reference.partition(" ")[0]
    assert shop.row().detail == f"job {number} has ended"
    assert [call[2] for call in cups.calls if call[0] == number] == ["medserver 1.2.3"]


def test_a_film_that_was_cancelled_at_the_printer_has_failed(cups: Cups, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(f"[node]\ndata = data\n[printer FILM]\noutput = ipp\nurl = {cups.url}\n")
    cups.set_course("exec tail -f /dev/null")
    shop.request()
    shop.work()
    cups.tool("cancel", "-a", QUEUE)

    def state() -> str:
        shop.clock.advance(60)
        shop.work()
        return shop.row().state if shop.row().ended_at else ""

    assert wait_until(state, what="the end of the film") == "FAILURE"
    assert "was cancelled at the printer" in shop.row().detail


def test_a_cups_that_listens_on_no_port(make_shop: Callable[..., Shop]) -> None:
    """Only this machine knows its queues: they are reached by its socket, as lp does."""
    requires("cups", "cups-client")
    cups = Cups(has_port=False)
    try:
        url = f"cups:{QUEUE}@{cups.socket}"
        shop = make_shop(f"[node]\ndata = data\n[printer FILM]\noutput = ipp\nurl = {url}\nmedia = A4\n")
        shop.request()

        def is_done() -> bool:
            shop.work()
            shop.clock.advance(5)
            return shop.row().state == "DONE"

        wait_until(is_done, what="the end of the film")
        [[_, _, title, _, options]] = cups.calls
        assert title == "medserver 1.2.3"
        assert "media=iso_a4_210x297mm" in options
        cups.kill()
        with pytest.raises(PrinterRefused, match=f"cups:{QUEUE}.* cannot be reached"):
            _output(url).status()
    finally:
        cups.stop()


@pytest.mark.parametrize("url", ["cups:", "cups:a b", "cups:a#b", "cups:a/b", "cups:a@relative", "cups://host/a"])
def test_what_names_no_queue(url: str) -> None:
    with pytest.raises(ValueError, match="cups:NAME"):
        parse_printer_url(url)


def test_the_name_of_a_queue() -> None:
    assert cups_queue(parse_printer_url("cups:film")) == ("film", "/run/cups/cups.sock")
    assert cups_queue(parse_printer_url("cups:Büro_2@/a/b.sock")) == ("Büro_2", "/a/b.sock")
    assert printer_uri("cups:Büro_2") == "ipp://localhost/printers/B%C3%BCro_2"
    assert printer_uri("ipp://host/x") == "ipp://host/x"
