"""A film is printed: whatever happens between the request and the end, it is not lost, and no reprint goes unsaid."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pypdfium2
import pytest

from medserver.errors import ActionNotAppropriate, PrinterFailed
from medserver.index import NewFilm, NewJob
from medserver.index.nodes.records import NodeRecord, Serves
from medserver.printing.film import Film, ImageBox
from medserver.printing.following import FOLLOW
from medserver.printing.printers.pdf import PdfFolder
from medserver.printing.queue import PRINT, FilmPayload
from medserver.printing.states import FINAL, STATES, TRANSITIONS, Happening, change_film
from medserver.work.kinds import JOB_KINDS
from tests.printing.conftest import CONFIGURATION, Shop
from tests.printing.outputs import IMAGE, handover


def test_a_film_becomes_a_file(shop: Shop) -> None:
    shop.request()
    shop.work()
    row = shop.row()
    assert (row.state, row.printed_by, row.handovers) == ("DONE", "FILM", 1)
    [path] = shop.pages()
    assert row.reference == path.name
    with pypdfium2.PdfDocument(path) as document:
        assert [round(each) for each in document[0].get_size()] == [1008, 1224]
        text = document[0].get_textpage().get_text_bounded()
    assert "not calibrated, not for diagnosis" in text
    assert "reprint" not in text


def test_a_printer_that_cannot_print_has_a_substitute(shop: Shop) -> None:
    (shop.folder / "films").write_text("no folder")
    shop.request()
    shop.work()
    assert (shop.row().state, shop.row().printed_by) == ("DONE", "PAPER")
    assert len(shop.pages("papers")) == 1


def test_a_substitute_prints_on_what_it_has(shop: Shop) -> None:
    (shop.folder / "films").write_text("no folder")
    shop.request(film=Film("STANDARD\\1,1", film_size_id="14INX17IN", boxes=(ImageBox(1, IMAGE),)))
    shop.work()
    [path] = shop.pages("papers")
    with pypdfium2.PdfDocument(path) as document:
        assert [round(each * 25.4 / 72) for each in document[0].get_size()] == [210, 297]
        assert "made for 14INX17IN, printed on A4" in document[0].get_textpage().get_text_bounded()


def test_what_a_substitute_cannot_print_waits_for_the_printer(shop: Shop) -> None:
    (shop.folder / "films").write_text("no folder")
    box = ImageBox(1, IMAGE, requested_image_size_mm=300, requested_decimate_crop_behavior="FAIL")
    shop.request(film=Film("STANDARD\\1,1", film_size_id="14INX17IN", boxes=(box,)))
    shop.work()
    assert (shop.row().state, shop.row().handovers) == ("PENDING", 0)
    assert "image 1 is larger than its box" in shop.row().detail
    (shop.folder / "films").unlink()
    shop.clock.advance(60)
    shop.work()
    assert (shop.row().state, shop.row().printed_by) == ("DONE", "FILM")


def test_a_film_waits_for_the_extra(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where medserver was installed without it: no internal error, and no film that has failed for good."""
    shop.request()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "reportlab", None)
        shop.work()
    assert (shop.row().state, shop.row().handovers) == ("PENDING", 0)
    assert "printers need the extra 'print'" in shop.row().detail
    shop.clock.advance(60)
    shop.work()
    assert shop.row().state == "DONE"


def test_a_film_waits_for_its_printer(shop: Shop) -> None:
    for name in ("films", "papers"):
        (shop.folder / name).write_text("no folder")
    shop.request()
    shop.work()
    assert (shop.row().state, shop.row().status_info, shop.row().handovers) == ("PENDING", "CHECK PRINTER", 0)
    (shop.folder / "films").unlink()
    shop.clock.advance(60)
    shop.work()
    assert (shop.row().state, shop.row().printed_by) == ("DONE", "FILM")


def test_a_film_that_waits_for_its_printer_is_no_sign_of_a_clock_that_was_ahead(shop: Shop) -> None:
    for name in ("films", "papers"):
        (shop.folder / name).write_text("no folder")
    shop.request()
    shop.work()
    kinds = {kind.name: kind for kind in JOB_KINDS}
    lanes = [lane.lane for lane in shop.node.index.jobs.lanes(PRINT)]
    waits = {lane: kinds[lane.kind].waits(shop.node.config.current) for lane in lanes}
    assert waits
    assert shop.node.index.jobs.cap_waits(waits, 60.0) == []


def test_a_film_without_its_images_fails(shop: Shop) -> None:
    shop.request()
    shop.node.primary_volume.films.delete("1.2.3")
    shop.work()
    assert shop.row().state == "FAILURE"


def test_what_was_begun_is_looked_for_first(shop: Shop) -> None:
    """A worker was killed when the printer had the film, and nobody had noted it."""
    shop.request()
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
    written = shop.folder / "films" / "20260101-120000-1.2.3.pdf"
    written.parent.mkdir()
    written.write_bytes(b"%PDF")
    shop.work()
    assert (shop.row().state, shop.row().reference, shop.row().handovers) == ("DONE", written.name, 1)
    assert shop.pages() == [written]


def is_marked(path: Path) -> bool:
    """Tell whether a sheet says that it may be a reprint."""
    with pypdfium2.PdfDocument(path) as document:
        return "possible reprint" in document[0].get_textpage().get_text_bounded()


def test_what_was_taken_out_of_the_folder_is_not_printed_again_without_saying_so(shop: Shop) -> None:
    """A worker was killed when it had written the file, and who prints the files had taken it away."""
    shop.request()
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
    shop.work()
    [again] = shop.pages()
    assert is_marked(again)
    assert (shop.row().state, shop.row().handovers) == ("DONE", 2)


@pytest.mark.parametrize("is_away", [False, True])
def test_what_was_not_finished_is_no_reprint(shop: Shop, is_away: bool) -> None:
    """A worker was killed in the midst. Unless the folder is another one since: its volume is away, for one."""
    shop.request()
    folder = shop.folder / "films"
    killed = PdfFolder(folder)
    killed.status()
    with killed.beginning("1.2.3"):
        change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
        if is_away:
            folder.rename(shop.folder / "away")
        shop.work()
    [written] = shop.pages()
    assert is_marked(written) is is_away
    assert (shop.row().state, shop.row().handovers) == ("DONE", 2 if is_away else 1)
    assert list(folder.iterdir()) == [written]


def test_a_hand_over_that_somebody_else_has_taken_over_writes_nothing(tmp_path: Path) -> None:
    """A worker that was held up goes on while another one has printed the film."""
    late, other = PdfFolder(tmp_path), PdfFolder(tmp_path)
    with handover() as film, late.beginning(film.name):
        assert other.find(film.name) is None and other.has_not_taken(film.name)
        with pytest.raises(PrinterFailed):
            late.hand_over(film)
    assert list(tmp_path.iterdir()) == []


def test_what_is_asked_for_again_is_printed_again(shop: Shop) -> None:
    """Also where a worker is killed when it has just begun: the sheet of the first time is not taken for the second."""
    shop.request()
    shop.work()
    again = [NewJob(PRINT, FilmPayload("1.2.3", 1), destination="FILM")]
    change_film(shop.node, "1.2.3", Happening.RETRY, jobs=again)
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
    shop.work()
    assert (shop.row().state, shop.row().printings, len(shop.pages())) == ("DONE", 1, 2)


def test_a_film_whose_volume_is_away_waits_and_says_so(shop: Shop) -> None:
    shop.request()
    shop.node.primary_volume.detach("it is being moved")
    shop.work()
    row = shop.row()
    assert (row.state, row.status_info, row.handovers) == ("PENDING", "QUEUED", 0)
    assert "volume main is away: it is being moved" in row.detail
    shop.node.primary_volume.attach(None)
    shop.clock.advance(60)
    shop.work()
    assert shop.row().state == "DONE"


@pytest.mark.parametrize("has_other_host", [False, True])
def test_a_film_on_a_volume_of_another_host_is_left_to_that(shop: Shop, has_other_host: bool) -> None:
    """A host that lacks the volume looks again soon if another one has it: whichever comes first."""
    if has_other_host:
        other = NodeRecord("1", "other", "this", "serve", Serves({"main": "", "far": ""}, "main"))
        shop.node.index.nodes.register(other)
    new = NewFilm("1.2.3", "FILM", "WS1", "print scu", "", "MED", 1, Film().as_text(), "far")
    shop.node.index.films.add(new, [NewJob(PRINT, FilmPayload("1.2.3"), destination="FILM")])
    shop.work()
    row, [job] = shop.row(), shop.node.index.jobs.list()
    who = "another host has" if has_other_host else "no host has"
    assert (row.state, row.detail) == ("PENDING", f"its images are on volume far, which {who}")
    assert (job.due_at - shop.clock.now).total_seconds() == pytest.approx(2 if has_other_host else 30, rel=0.3)


def test_what_another_host_may_have_written_into_its_folder_is_marked(shop: Shop) -> None:
    """The folder of this host does not know what that of another one of the same name has."""
    shop.node.index.nodes.register(NodeRecord("1", "here", "this", "serve", Serves({"main": ""}, "main")))
    shop.node.index.nodes.register(NodeRecord("2", "other", "this", "serve", Serves({"main": ""}, "main")))
    shop.request()
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
    shop.work()
    [path] = shop.pages()
    assert is_marked(path)
    assert (shop.row().state, shop.row().handovers) == ("DONE", 2)


def test_a_printer_that_is_removed_while_it_has_a_film(make_shop: Callable[[str], Shop]) -> None:
    """The film says for what it waits, and goes on when the printer is there again."""
    shop = make_shop(CONFIGURATION)
    shop.request()
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
    follow = [NewJob(FOLLOW, FilmPayload("1.2.3"), destination="FILM")]
    change_film(shop.node, "1.2.3", Happening.HANDED_OVER, reference="a.pdf", jobs=follow)
    path = shop.folder.parent / "config.ini"
    path.write_text(CONFIGURATION.replace("[printer FILM]", "[printer OTHER]"))
    shop.node.config.read_again()
    shop.work()
    assert (shop.row().state, shop.row().status_info) == ("PRINTING", "CHECK PRINTER")
    assert shop.row().detail == "no [printer FILM] in the configuration, which has it as a.pdf"
    path.write_text(CONFIGURATION)
    shop.node.config.read_again()
    shop.clock.advance(60)
    shop.work()
    assert shop.row().state == "DONE"


def test_a_printer_that_has_become_another_one(make_shop: Callable[[str], Shop]) -> None:
    """Nobody says that it is printed, and the job does not fail again and again."""
    shop = make_shop(CONFIGURATION)
    shop.request()
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="FILM")
    follow = [NewJob(FOLLOW, FilmPayload("1.2.3"), destination="FILM")]
    change_film(shop.node, "1.2.3", Happening.HANDED_OVER, reference="17 medserver 1.2.3", jobs=follow)
    shop.work()
    assert (shop.row().state, shop.row().status_info) == ("FAILURE", "CHECK PRINTER")
    assert "another one now, and does not know 17 medserver 1.2.3" in shop.row().detail


def test_a_film_that_no_printer_has_names_none(shop: Shop) -> None:
    """A substitute that has taken nothing, for certain, is forgotten: the film waits for its own printer."""
    shop.request()
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="PAPER")
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN)
    change_film(shop.node, "1.2.3", Happening.NOT_TAKEN)
    assert shop.row().printed_by == "PAPER"  # it may have it since the first time
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN)
    change_film(shop.node, "1.2.3", Happening.NOT_TAKEN)
    assert (shop.row().printed_by, shop.row().handovers) == ("PAPER", 1)
    change_film(shop.node, "1.2.3", Happening.CANCEL)
    change_film(shop.node, "1.2.3", Happening.RETRY)
    change_film(shop.node, "1.2.3", Happening.HANDOVER_BEGUN, printed_by="PAPER")
    change_film(shop.node, "1.2.3", Happening.NOT_TAKEN)
    assert (shop.row().printed_by, shop.row().handovers) == ("", 0)


@pytest.mark.parametrize(("state", "happening"), list(itertools.product(STATES, Happening)), ids=str)
def test_the_table_of_states(shop: Shop, state: str, happening: Happening) -> None:
    ways = {
        "PENDING": (),
        "PRINTING": (Happening.HANDOVER_BEGUN,),
        "DONE": (Happening.HANDOVER_BEGUN, Happening.PRINTED),
        "FAILURE": (Happening.FAILED,),
        "CANCELED": (Happening.CANCEL,),
    }
    shop.request()
    for each in ways[state]:
        change_film(shop.node, "1.2.3", each)
    expected = TRANSITIONS.get((state, happening))
    if expected is None:
        with pytest.raises(ActionNotAppropriate):
            change_film(shop.node, "1.2.3", happening)
        assert shop.row().state == state
        return
    change_film(shop.node, "1.2.3", happening)
    assert (shop.row().state, shop.row().ended_at is not None) == (expected, expected in FINAL)


def test_every_pair_of_happenings(shop: Shop) -> None:
    """In both orders, from each state: what does not happen changes nothing, and nothing else is refused."""
    ways = {
        "PENDING": (),
        "PRINTING": (Happening.HANDOVER_BEGUN,),
        "DONE": (Happening.HANDOVER_BEGUN, Happening.PRINTED),
        "FAILURE": (Happening.FAILED,),
        "CANCELED": (Happening.CANCEL,),
    }
    for number, (state, *pair) in enumerate(itertools.product(STATES, Happening, Happening)):
        uid, expected = f"1.2.{number}", state
        shop.node.index.films.add(NewFilm(uid, "FILM", "WS1", "print scu", "", "MED", 1, "{}"), [])
        for each in ways[state]:
            change_film(shop.node, uid, each)
        for each in pair:
            refused = (expected, each) not in TRANSITIONS
            expected = TRANSITIONS.get((expected, each), expected)
            with pytest.raises(ActionNotAppropriate) if refused else nullcontext():
                change_film(shop.node, uid, each)
        row = shop.row(uid)
        assert (row.state, row.ended_at is not None, row.handovers >= 0) == (expected, expected in FINAL, True)
