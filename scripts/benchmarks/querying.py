"""C-FIND of all studies, among many of one object each."""

from __future__ import annotations

import shutil

from scripts.benchmarks import clients
from scripts.benchmarks.candidates import Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage

SENDERS = 4


class Querying(Stage):
    """Servers that hold many studies."""

    def prepare(self, cells: list[Cell]) -> None:
        """Fill the servers, and query each once."""
        paths = self.material.many_studies
        self._running: dict[str, Candidate] = {}
        for name in dict.fromkeys(name for cell in cells for name in cell.candidates):
            running = self._running[name] = self.start(name, self.stack)
            clients.store(running.address, [paths[index::SENDERS] for index in range(SENDERS)])
            clients.find(running.address, len(paths))
        shutil.rmtree(paths[0].parent)

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the answers in a second."""
        return self.material.sizes.studies / clients.find(self._running[candidate].address)
