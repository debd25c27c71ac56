"""Workstations print while the node is killed: no film that was acknowledged is lost, or printed twice unsaid."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.peers import Address, PeerFailed
from tests.peers.command_line import invoke
from tests.peers.imagers import PythonImager
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.printing.print_scu import PrintSCU, gray_image

WORKSTATIONS = 4
PATIENCE_S = 300
IMAGE_ROWS = 20
FOLDER, IMAGER = "FOLDER", "IMAGER1"

BROKEN = (AssertionError, RuntimeError, ValueError, OSError)
"""What pynetdicom and its callers raise when the association ends in the midst of something."""


class Campaign:
    """A node with a folder and an imager as printers, and workstations that print on both.

    Parameters
    ----------
    folder : Path
        For the node.
    chance : random.Random
        Decides when the node is killed.
    tell : callable
        Takes a line for whoever watches.

    Attributes
    ----------
    acknowledged : set of int
        The films that were answered with success.
    marked : int
        How many sheets of the imager say that they may be reprints.
    """

    def __init__(self, folder: Path, chance: random.Random, tell: Callable[[str], None]) -> None:
        self.acknowledged: set[int] = set()
        self.marked = 0
        self._chance, self._tell = chance, tell
        self._imager = PythonImager()
        self._imager.job = ("DONE", "NORMAL")
        self._node = Node(folder, clients=("WS1",))
        self._node.add_remote(self._imager.address)
        self._films = folder / "films"
        self._node.set_section("printer folder", {"output": "pdf", "folder": self._films, "ae_title": FOLDER})
        self._node.set_section("printer imager", {"output": "dicom", "destination": "IMAGER", "ae_title": IMAGER})
        self._numbers = iter(range(1 << 30))
        self._lock = threading.Lock()
        self._count = self._allowed = 0
        self._is_over = threading.Event()

    def run(self, count: int, kills: int) -> None:
        """Print films, and kill the node so often meanwhile: as many films are between two kills as between others."""
        self._count = count
        self._node.start()
        workstations = [threading.Thread(target=self._print_films) for _ in range(WORKSTATIONS)]
        for each in workstations:
            each.start()
        pause = threading.Event()
        for number in range(1, kills + 1):
            self._allowed = -(-count * number // kills)
            pause.wait(self._chance.uniform(0.05, 2.0))
            self._node.kill()
            self._node.start()
            if number % 10 == 0:
                self._tell(f"{number} kills, {len(self.acknowledged)} films acknowledged")
        self._is_over.set()
        for each in workstations:
            each.join()

    def check(self) -> None:
        """Wait until all is printed, and compare.

        Raises
        ------
        AssertionError
            A film is lost, or printed twice without a mark.
        """
        wait_until(lambda: not self._rows("PENDING", "PRINTING"), deadline_s=PATIENCE_S, what="the end of all films")
        rows = {int(row["label"]): row for row in self._rows("DONE", "FAILURE", "CANCELED")}
        lost = {number for number in self.acknowledged if rows.get(number, {}).get("state") != "DONE"}
        assert not lost, f"films that were acknowledged, and are not printed: {sorted(lost)}"
        files = Counter(path.name for path in self._films.glob("*.pdf"))
        for number in self.acknowledged:
            row = rows[number]
            if row["printer"] == "folder":
                assert files[row["reference"]] == 1, f"film {number} has no file"
        in_folder = [row for row in rows.values() if row["printer"] == "folder"]
        assert sum(files.values()) == len(in_folder), "a film has two files"
        self._check_sheets({number: row for number, row in rows.items() if row["printer"] == "imager"})

    def _check_sheets(self, rows: dict[int, dict]) -> None:
        sheets: dict[int, list[bool]] = {}
        for printed in self._imager.printed:
            number = int(printed["session"][0].FilmSessionLabel)
            is_marked = printed["image box"][0].BasicGrayscaleImageSequence[0].Rows > IMAGE_ROWS
            sheets.setdefault(number, []).append(is_marked)
        assert rows.keys() <= sheets.keys(), f"films without a sheet: {sorted(rows.keys() - sheets.keys())}"
        for number, marks in sheets.items():
            self.marked += sum(marks)
            assert marks.count(False) <= 1, f"film {number} is on {len(marks)} sheets, and they do not say so"
            if len(marks) > 1:
                assert rows[number]["handovers"] > 1, f"the row of film {number} does not tell of a second sheet"

    def close(self) -> None:
        """End the node and the imager."""
        self._node.kill()
        self._imager.stop()

    def _rows(self, *states: str) -> list[dict]:
        options = ["--limit", "1000000"]
        options += [option for state in states for option in ("--state", state)]
        return json.loads(invoke("--config", self._node.config, "print", "queue", "--json", *options).check().stdout)

    def _print_films(self) -> None:
        """Print one film after another until there are enough, and the node is not killed any more."""
        while True:
            with self._lock:
                if self._is_over.is_set() and len(self.acknowledged) >= self._count:
                    return
                waits = not self._is_over.is_set() and len(self.acknowledged) >= self._allowed
                number = -1 if waits else next(self._numbers)
            if waits:
                self._is_over.wait(0.02)
                continue
            try:
                is_printed = self._print_film(number)
            except BROKEN:
                is_printed = False
            if is_printed:
                with self._lock:
                    self.acknowledged.add(number)
            else:
                threading.Event().wait(0.05)

    def _print_film(self, number: int) -> bool:
        printer = FOLDER if number % 2 else IMAGER
        with PrintSCU(Address(printer, self._node.address.port)) as scu:
            code, _ = scu.create_session(FilmSessionLabel=str(number))
            if code:
                raise PeerFailed(f"film session: {code:04X}")
            code, box = scu.create_box(ImageDisplayFormat="STANDARD\\1,1")
            if box is None:
                raise PeerFailed(f"film box: {code:04X}")
            scu.set_image(box.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID, gray_image(IMAGE_ROWS, 30))
            code, _ = scu.print()
            return code == 0x0000
