"""Which mutants of the product a seed chooses."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.mutants.mutant import PRODUCT, Mutant
from tests.mutants.operators import mutants_of

CORE = ("index", "store", "wire")
"""Half of all mutants are in the packages whose faults lose objects or let somebody in."""

PROSE = ("conformance",)
"""Nothing but text."""


def package_of(file: str) -> str:
    """Return the package of a module, '' for the modules beside the packages."""
    parts = Path(file).parts
    return parts[1] if len(parts) > 2 else ""


def choose(candidates: Mapping[str, Sequence[Mutant]], seed: int, count: int) -> list[Mutant]:
    """Choose mutants, no two in the same function.

    Every second one is in a package of `CORE`, each of which is as likely, the others anywhere. Within a package each
    operator is as likely: otherwise most were constants and return values.
    """
    generator = random.Random(seed)
    core = {name: list(found) for name, found in candidates.items() if name in CORE}
    others = {name: list(found) for name, found in candidates.items() if name not in CORE}
    chosen: list[Mutant] = []
    for number in range(count):
        packages = others if number % 2 else core
        weights = [len(found) if number % 2 else 1 for found in packages.values()]
        (found,) = generator.choices(list(packages.values()), weights)
        operator = generator.choice(sorted({mutant.operator for mutant in found}))
        mutant = generator.choice([mutant for mutant in found if mutant.operator == operator])
        found[:] = [other for other in found if (other.file, other.function) != (mutant.file, mutant.function)]
        chosen.append(mutant)
    return chosen


def find_candidates(checkout: Path) -> dict[str, list[Mutant]]:
    """Return every mutant of the product, by package."""
    candidates: dict[str, list[Mutant]] = defaultdict(list)
    for path in sorted((checkout / PRODUCT).rglob("*.py")):
        file = str(path.relative_to(checkout))
        if package_of(file) not in PROSE:
            candidates[package_of(file)] += mutants_of(file, path.read_text())
    return candidates
