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
from medserver.printing.performing import FOLLOW
from medserver.printing.queue import PRINT, PRINT_SCU, FilmRequest, queue_film
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.peers.imagers import PythonImager
from tests.peers.node import Node

POINTS = ("film begun", "film handed over", "film noted", "film ended")
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
    assert rows == [20] * printed_before + [32] * is_printed_again
