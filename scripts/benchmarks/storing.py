"""C-STORE: each time into an empty store, with everything that was written before already on the disk."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack

from scripts.benchmarks import clients
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.material import Study
from scripts.benchmarks.stage import Stage


class Storing(Stage):
    """A new server for each measurement."""

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images stored in a second."""
        study = self.study(cell)
        study.load()
        with ExitStack() as stack:
            running = self.start(candidate, stack)
            # Nobody pays for what the one before has left to be written.
            os.sync()
            seconds = clients.store(running.address, study.parts(cell.associations))
        shutil.rmtree(self.folder)
        return len(study.paths) / seconds

    def study(self, cell: Cell) -> Study:
        """Return what is stored."""
        return self.material.study(cell.subject)
