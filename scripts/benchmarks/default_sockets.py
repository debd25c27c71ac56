"""What the clients get that leave Nagle's algorithm on, as most do: DCMTK, pynetdicom, many modalities.

Each of their messages waits for the acknowledgement of the receiver unless that comes at once.
"""

from __future__ import annotations

from pathlib import Path

from scripts.benchmarks import clients
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.material import Material, Study
from scripts.benchmarks.querying import Querying
from scripts.benchmarks.retrieving import Retrieving
from scripts.benchmarks.stage import Stage
from scripts.benchmarks.storing import Storing
from scripts.benchmarks.verifying import Verifying


class DefaultSockets(Stage):
    """Servers that hold few of each, because some need 45 ms for each message."""

    no_delay = False

    def __init__(self, material: Material, folder: Path) -> None:
        super().__init__(material.few, folder)


class StoringDefaultSockets(Storing):
    """C-STORE of few images on each association."""

    no_delay = False

    def study(self, cell: Cell) -> Study:
        """Return what is stored."""
        return super().study(cell).first(self.material.sizes.few * cell.associations)


class RetrievingDefaultSockets(DefaultSockets, Retrieving):
    """C-GET, and C-MOVE to a storescp that has such sockets, too."""


class QueryingDefaultSockets(DefaultSockets, Querying):
    """C-FIND of all studies."""


class VerifyingDefaultSockets(DefaultSockets, Verifying):
    """C-ECHO on an open association of echoscu."""

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the answers in a second."""
        count = self.material.sizes.echoes
        return count / clients.echo(self._running[candidate].address, count)
