"""A worker dies at each step of a film: it is printed, and what may be on two sheets says so on the second one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pypdfium2
import pytest

from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.node import open_node, utc_now
from medserver.node import Node as OpenNode
from medserver.printing.film import Film, ImageBox, ReceivedImage
from medserver.printing.following import FOLLOW
from medserver.printing.pruning import FILM_PRUNE
from medserver.printing.queue import PRINT, PRINT_SCU, FilmRequest, queue_film
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.peers.imagers import PythonImager
from tests.peers.node import Node

POINTS = ("film begun", "film handed over", "film noted", "film ended")
QUEUEING = ("film file written", "film queued")
FORGOTTEN = "film forgotten"
ITEMS = ("images fetched", "print item started", "print item completed")
"""Those of work items that ask for prints: in `tests.printing.test_workitems`."""

WORKER = ("worker", "--kinds", f"{PRINT},{FOLLOW}")
UID = "1.2.3"


@pytest.fixture
def imager() -> Iterator[PythonImager]:
    one = PythonImager()
    one.job = ("DONE", "NORMAL")
    yield one
    one.stop()


@pytest.fixture
def node(make_node: Callable[..., Node], imager: PythonImager) -> Node:
    """Give a node, not started, with a folder and an imager as printers."""
    made = make_node()
    made.add_remote(imager.address)
    made.set_section("printer folder", {"output": "pdf", "folder": made.data / "films"})
    made.set_section("printer imager", {"output": "dicom", "destination": "IMAGER"})
    return made


def _later() -> datetime:
    """Return when the jobs of who was killed are taken back."""
    return utc_now() + timedelta(minutes=1)


def _request(node: OpenNode, printer: str) -> None:
    film = Film(boxes=(ImageBox(1, ReceivedImage("1", 20, 30)),))
    chosen = node.config.current.printer(printer)
    assert chosen is not None
    assert queue_film(node, FilmRequest(UID, film, chosen, "WS1", PRINT_SCU), [("1", [bytes(600)])])


def _work(node: OpenNode) -> None:
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name in (PRINT, FOLLOW)], periodic=())
    while runner.run_due():
        pass


@pytest.mark.parametrize("point", POINTS)
def test_a_folder_gets_one_file_without_a_mark(node: Node, point: str) -> None:
    """Slow: a process that dies, and composes the page before."""
    with closing(open_node(ConfigFile(node.config))) as opened:
        _request(opened, "folder")
    completed = node.forked(*WORKER, environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config), clock=_later)) as opened:
        _work(opened)
        row = opened.index.films.get(UID)
        assert row is not None
        assert (row.state, row.handovers) == ("DONE", 1)
    [page] = (node.data / "films").glob("*.pdf")
    with pypdfium2.PdfDocument(page) as document:
        assert "reprint" not in document[0].get_textpage().get_text_bounded()


@pytest.mark.parametrize("point", POINTS)
def test_a_second_sheet_of_an_imager_has_a_mark(node: Node, imager: PythonImager, point: str) -> None:
    """Slow: a process that dies, and makes the pixels before."""
    with closing(open_node(ConfigFile(node.config))) as opened:
        _request(opened, "imager")
    completed = node.forked(*WORKER, environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    printed_before = len(imager.printed)
    assert printed_before == (0 if point == "film begun" else 1)
    with closing(open_node(ConfigFile(node.config), clock=_later)) as opened:
        _work(opened)
        row = opened.index.films.get(UID)
        assert row is not None
        assert row.state == "DONE"
    is_printed_again = point in ("film begun", "film handed over")
    assert row.handovers == (2 if is_printed_again else 1)
    rows = [each["image box"][0].BasicGrayscaleImageSequence[0].Rows for each in imager.printed]
    assert [each > 20 for each in rows] == [False] * printed_before + [True] * is_printed_again


@pytest.mark.parametrize("point", QUEUEING)
def test_who_asks_for_a_film_is_killed(node: Node, point: str) -> None:
    """The wedge of a calibration brings an image. Nobody was told that it is asked for before the row is there."""
    completed = node.forked("printer", "calibrate", "folder", environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config))) as opened:
        rows = opened.index.films.page()
        assert len(rows) == (point == "film queued")
        assert len(opened.primary_volume.films.names()) == 1
        _work(opened)
        assert [row.state for row in opened.index.films.page()] == ["DONE"] * len(rows)


def test_who_forgets_films_is_killed(node: Node) -> None:
    """What is left is a file that no row knows, which a later job removes."""
    node.set_section("printer folder", {"output": "pdf", "folder": node.data / "films", "keep": "0 s"})
    with closing(open_node(ConfigFile(node.config))) as opened:
        _request(opened, "folder")
        _work(opened)
        assert [row.state for row in opened.index.films.page()] == ["DONE"]
    completed = node.forked("worker", "--kinds", FILM_PRUNE, environment={VARIABLE: FORGOTTEN})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config))) as opened:
        assert opened.index.films.page() == []
        assert opened.primary_volume.films.names() == [UID]
