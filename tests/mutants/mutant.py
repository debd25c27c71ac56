"""One plausible fault of the product, and how it is put into a checkout, also into one of another commit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import cache_from_source
from pathlib import Path

PRODUCT = "medserver"

Function = ast.FunctionDef | ast.AsyncFunctionDef


class MutantIsGone(LookupError):
    """The lines that a mutant changes are no longer in the product."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of some lines of one function. The lines are found by their text, so that other changes do not matter.

    Parameters
    ----------
    file : str
        The module, relative to the checkout.
    line_number : int
        Where `before` began when the mutant was chosen.
    function : str
        Qualified name of the function.
    operator : str
        What kind of fault it is.
    before, after : str
        Whole lines.
    occurrence : int
        Which of the equal lines of that function, from 0.
    """

    file: str
    line_number: int
    function: str
    operator: str
    before: str
    after: str
    occurrence: int

    @property
    def module(self) -> str:
        """Name of the module, str."""
        return Path(self.file).stem

    def __str__(self) -> str:
        changed = [f"  - {line}" for line in self.before.splitlines()]
        changed += [f"  + {line}" for line in self.after.splitlines()]
        return "\n".join([f"{self.file}:{self.line_number} {self.function}: {self.operator}", *changed])

    def apply(self, checkout: Path) -> Path:
        """Change the module, and return its path.

        Raises
        ------
        MutantIsGone
            There are no such lines.
        """
        path, number = self._locate(checkout)
        lines = path.read_text().splitlines(keepends=True)
        count = len(self.before.splitlines())
        write_module(path, "".join([*lines[: number - 1], self.after, *lines[number - 1 + count :]]))
        return path

    def _locate(self, checkout: Path) -> tuple[Path, int]:
        """Return the module and the number of the first line; a function that moved to another module is found too."""
        moved = sorted((checkout / PRODUCT).rglob("*.py"))
        for path in [checkout / self.file, *moved]:
            numbers = occurrences(path.read_text(), self.function, self.before) if path.exists() else []
            if len(numbers) > self.occurrence:
                return path, numbers[self.occurrence]
        raise MutantIsGone(f"{self.file} {self.function}")


def occurrences(source: str, function: str, text: str) -> list[int]:
    """Return the numbers of the lines at which some whole lines stand in the functions of that qualified name."""
    lines = source.splitlines(keepends=True)
    wanted = text.splitlines(keepends=True)
    return [
        number
        for name, definition in _functions(source)
        if name == function
        for number in range(definition.lineno, definition.end_lineno - len(wanted) + 2)
        if lines[number - 1 : number - 1 + len(wanted)] == wanted
    ]


@lru_cache(maxsize=1)
def _functions(source: str) -> list[tuple[str, Function]]:
    """Return every function of a module with its qualified name, in the order of the lines."""
    return list(_functions_within(ast.parse(source)))


def _functions_within(tree: ast.AST, parents: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function | ast.ClassDef):
            name = f"{parents}{node.name}"
            if isinstance(node, Function):
                yield name, node
            yield from _functions_within(node, f"{name}.")
        else:
            yield from _functions_within(node, parents)


def write_module(path: Path, source: str) -> None:
    """Write a module, and make sure that it is compiled anew: its size and second may be those of the one before."""
    path.write_text(source)
    Path(cache_from_source(path)).unlink(missing_ok=True)
