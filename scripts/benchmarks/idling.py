"""Many associations that do nothing."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from scripts.benchmarks.verifying import open_association


class Idling(Stage):
    """A server that lets so many in from one address and one AE title."""

    def prepare(self, cells: list[Cell]) -> None:
        """Start the servers."""
        limit = self.material.sizes.associations
        settings = {
            "limits.associations_max": limit,
            "limits.associations_per_address_max": limit,
            "limits.associations_per_ae_max": limit,
        }
        names = dict.fromkeys(name for cell in cells for name in cell.candidates)
        self._running = {name: self.start(name, self.stack, settings=settings) for name in names}

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the CPU time in percent of one core."""
        running = self._running[candidate]
        with ExitStack() as stack:
            for _ in range(self.material.sizes.associations):
                stack.callback(open_association(running).release)
            running.settle()
            before = running.cpu_s()
            threading.Event().wait(self.material.sizes.idle_s)
            return (running.cpu_s() - before) / self.material.sizes.idle_s * 100

