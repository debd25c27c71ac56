"""Let the candidates take turns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.benchmarks.cell import Cell
from scripts.benchmarks.cells import STAGES
from scripts.benchmarks.material import Material
from scripts.benchmarks.report import Outcome


def measure(cells: Sequence[Cell], rounds: int, material: Material, folder: Path) -> list[Outcome]:
    """Measure cells, each candidate once in every round.

    Parameters
    ----------
    cells : sequence of Cell
        What is measured.
    rounds : int
        How often.
    material : Material
        What is exchanged.
    folder : Path
        Where the servers keep things.

    Returns
    -------
    list of Outcome
        In the order of the cells.
    """
    outcomes = {cell.name: Outcome(cell) for cell in cells}
    for stage_type, all_cells in STAGES.items():
        mine = [cell for cell in all_cells if cell.name in outcomes]
        if not mine:
            continue
        name = stage_type.__name__.lower()
        _say(f"{name}: preparing")
        with stage_type(material, folder / name) as stage:
            stage.prepare(mine)
            for number in range(1, rounds + 1):
                for cell in mine:
                    for candidate in cell.candidates_in(number):
                        value = stage.measure(cell, candidate)
                        outcomes[cell.name].values[candidate].append(value)
                        _say(f"round {number}/{rounds}  {cell.title}  {candidate}  {value:,.2f} {cell.unit}")
    return list(outcomes.values())


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
