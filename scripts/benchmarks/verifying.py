"""C-ECHO on an open association."""

from __future__ import annotations

import statistics
import time

from medserver.scu import verification
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, associate
from scripts.benchmarks.candidates import Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage

WARM_UP = 50


def open_association(candidate: Candidate, *proposals: object, calling: str = "ECHOSCU") -> Association:
    """Open an association with medserver's own requestor, whoever the acceptor is."""
    title, port, host = candidate.address
    proposals = proposals or (verification.PROPOSAL,)
    return associate(Address(title, host, port), proposals, calling, WireLimits(dimse_timeout_s=600.0))


class Verifying(Stage):
    """Servers without anything in them."""

    def prepare(self, cells: list[Cell]) -> None:
        """Start the servers."""
        names = dict.fromkeys(name for cell in cells for name in cell.candidates)
        self._running = {name: self.start(name, self.stack) for name in names}

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the median of the milliseconds from request to answer."""
        association = open_association(self._running[candidate])
        times = []
        for _ in range(WARM_UP + self.material.sizes.echoes):
            begin = time.perf_counter()
            verification.echo(association)
            times.append(time.perf_counter() - begin)
        association.release()
        return statistics.median(times[WARM_UP:]) * 1000
