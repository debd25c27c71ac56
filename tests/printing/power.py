"""Workstations print while the power is cut: what was acknowledged is there, and is printed; a second sheet says so.

The node is recorded (`tests.crash.power`) from its start until it is killed. At random moments of that its power is
cut; each time a node is opened on what is left, looked at, and prints what waits.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pypdfium2

from medserver.config import ConfigFile
from medserver.index import FilmRow
from medserver.node import Node as OpenNode
from medserver.node import open_node
from medserver.printing.film_file import film_file
from medserver.printing.following import FOLLOW
from medserver.printing.queue import PRINT, WAITING
from medserver.printing.states import DONE
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.crash.power.campaign import environment
from tests.crash.power.recording import Cut, Recording
from tests.printing.campaign import BROKEN, FOLDER, IMAGE_ROWS, IMAGER, WORKSTATIONS, Campaign

LOAD_MIN_S, LOAD_MAX_S = 0.8, 2.5
FILMS_MAX = 12
"""How many films one round has: each is printed again behind each cut."""

WORK_S, LOOKS_MAX = 60, 20


class PowerCampaign(Campaign):
    """Cuts the power of a node that prints.

    Parameters
    ----------
    folder, chance, tell
        As for `Campaign`.

    Attributes
    ----------
    cuts : int
        How many there were.
    found : Counter of (str, str)
        In which states the cuts left films, by printer.
    reprints : int
        How many sheets were printed behind a cut and say that they may not be the first.
    """

    def __init__(self, folder: Path, chance: random.Random, tell: Callable[[str], None]) -> None:
        super().__init__(folder, chance, tell)
        self.cuts, self.reprints = 0, 0
        self.found: Counter[tuple[str, str]] = Counter()
        low = {"resolution_dpi": 100}
        self._node.set_section("printer folder", {"output": "pdf", "folder": "films", "ae_title": FOLDER} | low)
        self._node.set_section("printer imager", {"output": "dicom", "destination": "IMAGER", "ae_title": IMAGER} | low)

    def round(self, cuts: int) -> None:
        """Let workstations print on a new node, kill it, and cut its power so often before."""
        recording = Recording(self._node.directory)
        self._imager.on_action = lambda: recording.acknowledge("sheet {} {}".format(*_told(self._imager.printed[-1])))
        self._node.start(environment=environment(recording))
        stop, left = threading.Event(), iter(range(FILMS_MAX))
        workstations = [
            threading.Thread(target=self._print_recorded, args=(recording, stop, left)) for _ in range(WORKSTATIONS)
        ]
        for each in workstations:
            each.start()
        threading.Event().wait(self._chance.uniform(LOAD_MIN_S, LOAD_MAX_S))
        recording.end()
        self._node.kill()
        stop.set()
        for each in workstations:
            each.join()
        for cut in recording.cuts(cuts, self._chance.randrange(2**32), at_the_end=1):
            self._examine(cut)
            shutil.rmtree(cut.folder)
            self.cuts += 1
        shutil.rmtree(self._node.data)
        recording.log.unlink()

    def _print_recorded(self, recording: Recording, stop: threading.Event, left) -> None:
        for _ in left:
            with self._lock:
                number = next(self._numbers)
            try:
                if not stop.is_set() and self._print_film(number):
                    recording.acknowledge(f"film {number}")
            except BROKEN:
                stop.wait(0.05)

    def _examine(self, cut: Cut) -> None:
        """Look at what a cut has left, and have it printed.

        Raises
        ------
        AssertionError
            Something is lost, or is printed twice unsaid.
        """
        marks = [mark.split() for mark in cut.acknowledged]
        acknowledged = {int(mark[1]) for mark in marks if mark[0] == "film"}
        sheets = [(int(mark[1]), mark[2] == "True") for mark in marks if mark[0] == "sheet"]
        config = ConfigFile(self._node.config, (f"node.data={cut.folder / 'data'}",))
        if not (cut.folder / "data" / "index.db").exists():
            assert not acknowledged, f"{cut.what}: no index, and films were acknowledged"
            return
        clock = Clock(datetime.now(UTC))
        with closing(open_node(config, clock=clock)) as node:
            before = _rows(node)
            assert acknowledged <= before.keys(), f"{cut.what}: lost are {sorted(acknowledged - before.keys())}"
            for row in before.values():
                self.found[row.printer, row.state] += 1
                _check_file(node, row, cut)
            self._imager.printed.clear()
            self._imager.on_action = lambda: None
            _print_all(node, clock)
            sheets += map(_told, self._imager.printed)
            self._check_films(_rows(node), sheets, node.config.current.node.data / "films", cut)
        self.reprints += sum(is_marked for _, is_marked in map(_told, self._imager.printed))

    @staticmethod
    def _check_films(rows: dict[int, FilmRow], sheets: list[tuple[int, bool]], folder: Path, cut: Cut) -> None:
        for number, row in rows.items():
            assert row.state == DONE, f"{cut.what}: film {number} is {row.state}, {row.detail}"
            if row.printer == "folder":
                _check_page(folder / row.reference, cut)
                continue
            marks = [is_marked for each, is_marked in sheets if each == number]
            assert marks, f"{cut.what}: film {number} is on no sheet"
            assert marks.count(False) <= 1, f"{cut.what}: film {number} is on {len(marks)} sheets, which do not say so"
            assert len(marks) == 1 or row.handovers > 1, f"{cut.what}: the row of film {number} tells of one sheet only"
        in_folder = {row.reference for row in rows.values() if row.printer == "folder"}
        pages = {path.name for path in folder.glob("*.pdf")}
        assert pages == in_folder, f"{cut.what}: files of no film, or two of one: {sorted(pages - in_folder)}"


def _told(printed: dict) -> tuple[int, bool]:
    """Return which film a sheet shows, and whether it says that it may not be the first."""
    image = printed["image box"][0].BasicGrayscaleImageSequence[0]
    return int(printed["session"][0].FilmSessionLabel), image.Rows > IMAGE_ROWS


def _rows(node: OpenNode) -> dict[int, FilmRow]:
    return {int(row.label): row for row in node.index.films.page()}


def _check_file(node: OpenNode, row: FilmRow, cut: Cut) -> None:
    """Look whether the images of a film are there, and, where it is printed, the page."""
    with film_file(node.volume(row.volume), row.uid) as file:
        assert file.testzip() is None, f"{cut.what}: the images of film {row.label} are damaged"
    if row.printer == "folder" and row.reference:
        _check_page(node.config.current.node.data / "films" / row.reference, cut)


def _check_page(path: Path, cut: Cut) -> None:
    assert path.is_file(), f"{cut.what}: {path.name} is gone"
    with pypdfium2.PdfDocument(path) as document:
        assert len(document) == 1, cut.what


def _print_all(node: OpenNode, clock: Clock) -> None:
    """Have a worker do what is due, and what was being done when the power was cut, until no film waits."""
    for owner in node.index.jobs.owners():
        node.index.jobs.expire(owner)
    while node.index.jobs.sweep({}):
        pass
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name in (PRINT, FOLLOW)], periodic=())
    for _ in range(LOOKS_MAX):
        while runner.run_due():
            pass
        if not any(row.state in WAITING for row in node.index.films.page()):
            return
        clock.advance(WORK_S)
