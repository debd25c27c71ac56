"""C-GET and C-MOVE of a study that lies in the page cache, to a receiver that throws it away."""

from __future__ import annotations

import os

from scripts.benchmarks import clients
from scripts.benchmarks.candidates import Candidate, start_destination
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage

OPERATIONS = {"C-GET": clients.get, "C-MOVE": clients.move}


class Retrieving(Stage):
    """Servers that hold the studies."""

    def prepare(self, cells: list[Cell]) -> None:
        """Fill the servers, and retrieve everything once."""
        destination = start_destination(self.folder / "destination", self.stack)
        self._running: dict[str, Candidate] = {}
        for name in dict.fromkeys(name for cell in cells for name in cell.candidates):
            running = self._running[name] = self.start(name, self.stack, destination)
            mine = [cell for cell in cells if name in cell.candidates]
            for modality in dict.fromkeys(cell.subject for cell in mine):
                clients.store(running.address, self.material.study(modality).parts(1))
            os.sync()
            running.settle()
            for cell in mine:
                self._retrieve(cell, name, check=True)

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images retrieved in a second."""
        return len(self.material.study(cell.subject).paths) / self._retrieve(cell, candidate)

    def _retrieve(self, cell: Cell, candidate: str, check: bool = False) -> float:
        study = self.material.study(cell.subject)
        count = len(study.paths) if check else None
        return OPERATIONS[cell.operation](self._running[candidate].address, study.study_instance_uid, count)
