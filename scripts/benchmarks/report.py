"""Medians, ratios, and what is met: as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from medserver import __version__
from scripts.benchmarks.candidates import MEDSERVER, STARTERS
from scripts.benchmarks.cell import Cell, Requirement
from scripts.benchmarks.material import Sizes

MET = {True: "met", False: "NOT MET"}
HEADER = ("cell", "unit", *STARTERS, "other", "compared", "value", "floor", "", "goal", "")


@dataclass
class Outcome:
    """What was measured of one cell.

    Attributes
    ----------
    cell : Cell
        What it is about.
    values : dict of str to list of float
        The values by candidate, in the order of the rounds.
    """

    cell: Cell
    values: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = {name: [] for name in self.cell.candidates}

    def median(self, candidate: str) -> float:
        """Return the median of a candidate."""
        return statistics.median(self.values[candidate])

    def compared(self, requirement: Requirement) -> float:
        """Return what the requirement is about: the ratio medserver : peer, or the value of medserver."""
        if requirement.peer is None:
            return self.median(MEDSERVER)
        return self.median(MEDSERVER) / self.median(requirement.peer)

    def meets(self, requirement: Requirement, bound: float) -> bool:
        """Tell whether the floor or the goal of a requirement is met."""
        value = self.compared(requirement)
        return value <= bound if requirement.peer is None else value >= bound

    @property
    def floors_met(self) -> bool:
        """Tell whether all floors are met."""
        return all(self.meets(requirement, requirement.floor) for requirement in self.cell.requirements)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table for people, one line for each requirement."""
    rows = [HEADER]
    for outcome in outcomes:
        first = _measured(outcome)
        for requirement in outcome.cell.requirements:
            rows.append((*first, *_required(outcome, requirement)))
            first = ("",) * len(first)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(_line(row, widths) for row in rows)


def _measured(outcome: Outcome) -> tuple[str, ...]:
    medians = (_number(outcome.median(name)) if name in outcome.values else "-" for name in STARTERS)
    others = [_number(outcome.median(name)) for name in outcome.values if name not in STARTERS]
    return outcome.cell.title, outcome.cell.unit, *medians, others[0] if others else "-"


def _required(outcome: Outcome, requirement: Requirement) -> tuple[str, ...]:
    """Return what is compared, its value, the floor, whether it is met, the goal, and whether it is met."""
    peer, value = requirement.peer, outcome.compared(requirement)
    shown = [f"{value:.2f} x" if peer else _number(value)]
    for bound in (requirement.floor, requirement.goal):
        shown += [f"{bound:g} x" if peer else f"{bound:g}", MET[outcome.meets(requirement, bound)]]
    return f": {peer}" if peer else "", *shown


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    left = {0, 1, HEADER.index("compared")}
    cells = (
        text.ljust(width) if column in left else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def document(outcomes: Sequence[Outcome], rounds: int, sizes: Sizes) -> str:
    """Return everything as JSON: the machine, the sizes, all values, medians and requirements."""
    whole = {
        "medserver": __version__,
        "machine": {
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "rounds": rounds,
        "sizes": asdict(sizes),
        "cells": [_cell(outcome) for outcome in outcomes],
        "floors_met": all(outcome.floors_met for outcome in outcomes),
    }
    return json.dumps(whole, indent=2) + "\n"


def _cell(outcome: Outcome) -> dict[str, object]:
    cell = outcome.cell
    return {
        "name": cell.name,
        "title": cell.title,
        "unit": cell.unit,
        "values": outcome.values,
        "medians": {name: outcome.median(name) for name in outcome.values},
        "requirements": [
            {
                "compared_with": requirement.peer,
                "value": outcome.compared(requirement),
                "floor": requirement.floor,
                "floor_met": outcome.meets(requirement, requirement.floor),
                "goal": requirement.goal,
                "goal_met": outcome.meets(requirement, requirement.goal),
            }
            for requirement in cell.requirements
        ],
    }
