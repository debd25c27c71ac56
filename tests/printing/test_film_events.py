"""What happens to a film, in pairs, in both orders, with a worker lost between, or one within the other.

Each pair ends at rest: everything is there again, and workers do what is left. Then no film waits for nothing, what is
DONE has its page where its row says, and no two sheets of one printing are without a mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pypdfium2
import pytest

from medserver.config import ConfigFile
from medserver.dicom.uids import new_uid
from medserver.errors import ActionNotAppropriate, NoSuchInstance
from medserver.index import NewJob
from medserver.node import open_node
from medserver.printing import following, performing, pruning
from medserver.printing.changing import cancel_film, retry_film
from medserver.printing.following import FOLLOW
from medserver.printing.pruning import FILM_PRUNE
from medserver.printing.queue import PRINT
from medserver.printing.states import FINAL
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.conftest import MakeDirectory
from tests.printing.conftest import CONFIGURATION, Shop

POINTS = ("film begun", "film handed over", "film noted", "film ended")
LOW = CONFIGURATION.replace("output = pdf", "output = pdf\nresolution_dpi = 75")
KEEP_DAYS = 30
"""More than the longest that films are kept here."""

AT_REST_MAX = 12


@dataclass
class FilmShop(Shop):
    """A node with printers, and a film.

    Attributes
    ----------
    uid : str
        Its UID.
    """

    uid: str = ""


class Lost(BaseException):
    """The worker is gone."""


def work(shop: FilmShop) -> None:
    """Do what is due, as a worker does that goes on until it is lost."""
    shop.clock.advance(60)
    kinds = [kind for kind in JOB_KINDS if kind.name in (PRINT, FOLLOW, FILM_PRUNE)]
    runner = Runner(shop.node, kinds, periodic=())
    while runner.run_due():
        pass


@contextmanager
def at(point: str, do: Callable[[], object]) -> Iterator[None]:
    """Have something done once when a worker comes to a point."""
    left = [do]

    def reached(name: str) -> None:
        if name == point and left:
            left.pop()()

    with pytest.MonkeyPatch.context() as patch:
        for module in (following, performing, pruning):
            patch.setattr(module, "crash_point", reached)
        yield


def lose(shop: FilmShop, point: str) -> None:
    """Have a worker go on until it is lost at a point; what it had of jobs is offered again."""

    def die() -> None:
        raise Lost

    with at(point, die), suppress(Lost):
        work(shop)
    recover(shop)


def recover(shop: FilmShop) -> None:
    """Let the jobs of who is gone be offered again: a worker keeps nothing that is not in the index."""
    for owner in shop.node.index.jobs.owners():
        shop.node.index.jobs.expire(owner)
    shop.clock.advance(600)
    shop.node.index.jobs.sweep({kind.name: kind.attempts_max for kind in JOB_KINDS})


def configure(shop: FilmShop, text: str) -> None:
    """Change config.ini, and let the node read it."""
    (shop.folder.parent / "config.ini").write_text(text)
    shop.node.config.read_again()


def cancel(shop: FilmShop) -> None:
    with suppress(ActionNotAppropriate, NoSuchInstance):
        cancel_film(shop.node, shop.uid)


def retry(shop: FilmShop, printer: str = "") -> None:
    with suppress(ActionNotAppropriate, NoSuchInstance):
        retry_film(shop.node, shop.uid, shop.node.config.current.printer(printer) if printer else None)


def cancel_and_retry(shop: FilmShop, printer: str = "") -> None:
    cancel(shop)
    retry(shop, printer)


def print_on_paper(shop: FilmShop) -> None:
    """Have it cancelled, and printed by another worker on another printer."""
    cancel_and_retry(shop, "PAPER")
    work(shop)


def begin_on_paper(shop: FilmShop) -> None:
    """Have it cancelled, and begun by another worker, which is lost then, on another printer."""
    cancel_and_retry(shop, "PAPER")
    lose(shop, "film begun")


def prune(shop: FilmShop) -> None:
    """Forget films that ended long ago."""
    shop.clock.advance(KEEP_DAYS * 86_400)
    shop.node.index.jobs.add([NewJob(FILM_PRUNE, destination="")])
    kinds = [kind for kind in JOB_KINDS if kind.name == FILM_PRUNE]
    runner = Runner(shop.node, kinds, periodic=())
    while runner.run_due():
        pass


def remove_printer(shop: FilmShop) -> None:
    """FILM is renamed, and its films wait."""
    configure(shop, LOW.replace("[printer FILM]", "[printer OTHER]"))


def remove_substitute(shop: FilmShop) -> None:
    configure(shop, LOW.replace("substitute = PAPER", "").replace("[printer PAPER]", "[printer OTHER]"))


def printer_is_back(shop: FilmShop) -> None:
    """All is as it was before."""
    films = shop.folder / "films"
    if films.is_file():
        films.unlink()
    shop.node.primary_volume.attach(None)
    configure(shop, LOW)


def break_printer(shop: FilmShop) -> None:
    """FILM cannot print: PAPER does, its substitute."""
    films = shop.folder / "films"
    if not films.exists():
        films.write_text("no folder")


def volume_away(shop: FilmShop) -> None:
    shop.node.primary_volume.detach("it is away")


EVENTS: Mapping[str, Callable[[FilmShop], object]] = {
    "printed": work,
    "cancelled": cancel,
    "retried": retry,
    "cancelled and retried": cancel_and_retry,
    "cancelled and moved": partial(cancel_and_retry, printer="PAPER"),
    "forgotten": prune,
    "printer removed": remove_printer,
    "substitute removed": remove_substitute,
    "printer broken": break_printer,
    "printer back": printer_is_back,
    "volume away": volume_away,
    **{f"worker lost at {point}": partial(lose, point=point) for point in POINTS},
}


def settle(shop: FilmShop, what: object) -> None:
    """Put everything back, and let workers do what is left."""
    printer_is_back(shop)
    for _ in range(AT_REST_MAX):
        work(shop)
        if not _jobs(shop):
            break
    row = shop.node.index.films.get(shop.uid)
    assert row is None or row.state in FINAL, (what, row.state, row.detail)
    assert _jobs(shop) == [], what
    if row is not None and row.state == "DONE":
        folder = {"FILM": "films", "PAPER": "papers"}[row.printed_by]
        assert (shop.folder / folder / row.reference).is_file(), (what, row)
    of_printings: dict[str, list[bool]] = {}
    for path in [*shop.pages("films"), *shop.pages("papers")]:
        if path.name.split("-")[2].removesuffix(".pdf") == shop.uid:
            of_printings.setdefault(path.name.split("-", 2)[2], []).append(_is_marked(path))
    assert all(marks.count(False) <= 1 for marks in of_printings.values()), (what, of_printings)


def _jobs(shop: FilmShop) -> list[str]:
    return [job.kind for job in shop.node.index.jobs.list() if job.kind in (PRINT, FOLLOW)]


def _is_marked(path: Path) -> bool:
    with pypdfium2.PdfDocument(path) as document:
        return "possible reprint" in document[0].get_textpage().get_text_bounded()


@pytest.fixture(scope="module")
def shop(make_directory: MakeDirectory) -> Iterator[FilmShop]:
    """Give a node for all: its worker processes take a while to start."""
    folder = make_directory("events")
    (folder / "config.ini").write_text(LOW)
    clock = Clock()
    with closing(open_node(ConfigFile(folder / "config.ini"), clock=clock)) as node:
        yield FilmShop(node, clock, folder / "data")


def ask_for_a_film(shop: FilmShop) -> None:
    shop.uid = new_uid()
    shop.request(shop.uid)


@pytest.mark.parametrize("first", EVENTS)
def test_one_behind_the_other(shop: FilmShop, first: str) -> None:
    """Each pair in this order on a film of its own; the worker is lost between them."""
    for second in EVENTS:
        ask_for_a_film(shop)
        EVENTS[first](shop)
        recover(shop)
        EVENTS[second](shop)
        settle(shop, second)


WITHIN: Mapping[str, Callable[[FilmShop], object]] = {
    "cancelled": cancel,
    "cancelled and retried": cancel_and_retry,
    "cancelled and moved": partial(cancel_and_retry, printer="PAPER"),
    "printed by another worker": print_on_paper,
    "begun by another worker": begin_on_paper,
    "begun by another worker, and refused": lambda shop: (begin_on_paper(shop), break_printer(shop)),
    "cancelled and forgotten": lambda shop: (cancel(shop), prune(shop)),
}


@pytest.mark.parametrize("point", POINTS)
def test_one_within_the_other(shop: FilmShop, caplog: pytest.LogCaptureFixture, point: str) -> None:
    """A worker that is slow: the event comes while it has the film."""
    for name, event in WITHIN.items():
        ask_for_a_film(shop)
        with at(point, partial(event, shop)):
            work(shop)
        settle(shop, name)
        assert "state=failed" not in caplog.text, name
