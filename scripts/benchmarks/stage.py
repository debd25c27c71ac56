"""What the stages have in common: a folder, what is exchanged, and an end that leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from scripts.benchmarks.candidates import Candidate, start
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.material import Material
from tests.peers import Address


class Stage:
    """The servers that some cells need, as long as they need them.

    Parameters
    ----------
    material : Material
        What is exchanged.
    folder : Path
        Where the servers keep things.

    Attributes
    ----------
    no_delay : bool
        Whether the programs of DCMTK and Orthanc switch Nagle's algorithm off, which they do not by default.
    """

    no_delay = True

    def __init__(self, material: Material, folder: Path) -> None:
        self.material = material
        self.folder = folder
        self.stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        if self.no_delay:
            os.environ["TCP_NODELAY"] = "1"  # DCMTK reads it, and Orthanc through DCMTK
        else:
            os.environ.pop("TCP_NODELAY", None)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self, cells: list[Cell]) -> None:
        """Start what these cells need."""

    def measure(self, cell: Cell, candidate: str) -> float:
        """Measure once, and return the value in the unit of the cell."""
        raise NotImplementedError

    def start(
        self,
        name: str,
        stack: ExitStack,
        destination: Address | None = None,
        settings: Mapping[str, object] | None = None,
        echo_options: Sequence[str] = (),
    ) -> Candidate:
        """Start a candidate in a folder of its own; see `candidates.start`."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        return start(name, folder, stack, destination, settings, echo_options)
