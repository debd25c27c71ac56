"""Films are cancelled, printed again and moved to other printers; what is left of before does nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pypdfium2
import pytest

from medserver.errors import ActionNotAppropriate, NoSuchInstance, PrinterFailed
from medserver.printing import changing
from medserver.printing.changing import cancel_film, retry_film
from medserver.printing.printers.pdf import PdfFolder
from medserver.printing.states import Happening, change_film
from tests.peers.command_line import Invoked, invoke
from tests.peers.imagers import PythonImager
from tests.printing.conftest import Shop
from tests.printing.outputs import handover


@pytest.fixture
def imager() -> Iterator[PythonImager]:
    one = PythonImager()
    yield one
    one.stop()


def _command(shop: Shop, *arguments: str) -> Invoked:
    return invoke("--config", shop.folder.parent / "config.ini", *arguments)


def test_a_film_that_waits_is_cancelled_and_goes_to_another_printer(shop: Shop) -> None:
    shop.request()
    assert cancel_film(shop.node, "1.2.3")
    with pytest.raises(ActionNotAppropriate):
        cancel_film(shop.node, "1.2.3")
    retry_film(shop.node, "1.2.3", shop.node.config.current.printer("PAPER"))
    with pytest.raises(ActionNotAppropriate):
        retry_film(shop.node, "1.2.3")
    shop.work()
    assert (shop.row().state, shop.row().printer, shop.row().printings) == ("DONE", "PAPER", 1)
    assert (len(shop.pages()), len(shop.pages("papers"))) == (0, 1)
    assert list(shop.node.index.jobs.list()) == []


def test_two_who_have_a_film_printed_again_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is printed again for the first of them, and has ended, before the second one goes on."""
    shop.request()
    shop.work()
    looked_at = changing.required_film(shop.node, "1.2.3")
    retry_film(shop.node, "1.2.3")
    shop.work()
    monkeypatch.setattr(changing, "required_film", lambda node, uid: looked_at)
    with pytest.raises(ActionNotAppropriate):
        retry_film(shop.node, "1.2.3")
    assert (shop.row().state, shop.row().printings) == ("DONE", 1)


def test_no_such_film(shop: Shop) -> None:
    for change in (cancel_film, retry_film):
        with pytest.raises(NoSuchInstance):
            change(shop.node, "1.2.9")


def test_a_film_that_was_cancelled_while_it_was_handed_over(
    make_shop: Callable[..., Shop], imager: PythonImager
) -> None:
    """The printer has it; the film stays cancelled, and is followed no further."""
    host = f"{imager.address.host}:{imager.address.port}"
    shop = make_shop(
        f"[node]\ndata = data\n[ae IMAGER]\naddress = {host}\nallow = echo\n"
        "[printer FILM]\noutput = dicom\ndestination = IMAGER\n"
    )
    shop.request()
    imager.on_action = lambda: change_film(shop.node, "1.2.3", Happening.CANCEL)
    shop.work()
    assert (shop.row().state, shop.row().reference) == ("CANCELED", "")
    assert list(shop.node.index.jobs.list()) == []


def test_a_film_that_is_cancelled_before_its_file_is_written(shop: Shop) -> None:
    """The worker that composes it writes nothing, and whoever cancels it is not told that it may be printed."""
    shop.request()
    output = PdfFolder(shop.folder / "films")
    output.status()
    with handover() as film, output.beginning("1.2.3"):
        change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
        assert cancel_film(shop.node, "1.2.3")
        with pytest.raises(PrinterFailed):
            output.hand_over(film)
    shop.work()
    assert (shop.row().state, shop.pages()) == ("CANCELED", [])


def test_of_several_films_each_is_changed(shop: Shop) -> None:
    """One that has ended, or is not there, leaves none of the others as it was."""
    for uid in ("1.2.3", "1.2.4"):
        shop.request(uid)
    assert cancel_film(shop.node, "1.2.3")
    told = _command(shop, "print", "cancel", "1.2.3", "9.9", "1.2.4", "1.2.4")
    assert told.exit_code != 0 and "1.2.3" in told.stderr and "9.9" in told.stderr and "1.2.4" not in told.stderr
    assert [shop.row(uid).state for uid in ("1.2.3", "1.2.4")] == ["CANCELED"] * 2
    told = _command(shop, "print", "retry", "9.9", "1.2.4")
    assert told.exit_code != 0 and shop.row("1.2.4").state == "PENDING"


def test_the_commands(shop: Shop) -> None:
    for uid, printer in (("1.2.3", "FILM"), ("1.2.4", "PAPER")):
        shop.request(uid, printer=printer)
    listed = json.loads(_command(shop, "print", "queue", "--json").check().stdout)
    assert [(each["uid"], each["state"]) for each in listed] == [("1.2.3", "PENDING"), ("1.2.4", "PENDING")]
    assert "1.2.4" not in _command(shop, "print", "queue", "--printer", "FILM").check().stdout
    shown = json.loads(_command(shop, "print", "show", "1.2.3", "--json").check().stdout)
    assert (shown["images"], shown["printer"], shown["image_display_format"]) == (1, "FILM", "STANDARD\\1,1")
    assert "format          STANDARD\\1,1" in _command(shop, "print", "show", "1.2.3").check().stdout
    page = shop.folder / "page.pdf"
    _command(shop, "print", "preview", "1.2.3", str(page)).check()
    picture = page.with_suffix(".png")
    _command(shop, "print", "preview", "1.2.3", str(picture)).check()
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pypdfium2.PdfDocument(page) as document:
        assert [round(each) for each in document[0].get_size()] == [1008, 1224]
    _command(shop, "print", "cancel", "1.2.3").check()
    assert "1.2.3" not in _command(shop, "print", "queue").check().stdout
    assert "CANCELED" in _command(shop, "print", "queue", "--all").check().stdout
    assert _command(shop, "print", "retry", "1.2.3", "--to", "NONE").exit_code != 0
    _command(shop, "print", "retry", "1.2.3", "--to", "PAPER").check()
    assert "asked" in _command(shop, "print", "queue").check().stdout
    assert _command(shop, "print", "show", "9.9").exit_code != 0


def test_the_commands_of_printers(shop: Shop) -> None:
    shop.request()
    listed = json.loads(_command(shop, "printer", "list", "--json").check().stdout)
    assert [(each["name"], each["waiting"], each["is_calibrated"]) for each in listed] == [
        ("FILM", 1, False), ("PAPER", 0, False),
    ]  # fmt: skip
    assert "PAPER" in _command(shop, "printer", "list").check().stdout
    asked = json.loads(_command(shop, "printer", "status", "FILM", "--json").check().stdout)
    assert [(each["name"], each["status"]) for each in asked] == [("FILM", "NORMAL")]
    (shop.folder / "papers").write_text("no folder")
    failing = _command(shop, "printer", "status")
    assert failing.exit_code == 1
    assert "CHECK PRINTER" in failing.stdout
    assert _command(shop, "printer", "status", "NONE").exit_code != 0
    path = shop.folder.parent / "config.ini"
    path.write_text(path.read_text().replace("printer FILM]", "printer NEW]").replace("substitute = PAPER\n", ""))
    assert "waiting for 'FILM', which is not in the configuration: 1 film" in _command(shop, "printer", "list").stdout
