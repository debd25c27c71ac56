"""The frames that were chosen, and what becomes of what is numbered by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Chosen:
    """Frames of an instance.

    Parameters
    ----------
    numbers : list of int
        Their numbers in it, ascending, from 1; not empty.
    of : int
        How many frames it has.
    """

    numbers: list[int]
    of: int

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.numbers)

    @property
    def step(self) -> int | None:
        """How far each is from the one before: 1 for neighbours; None if that differs, or there is only one."""
        steps = {later - earlier for earlier, later in zip(self.numbers, self.numbers[1:])}
        return steps.pop() if len(steps) == 1 else None

    def pick(self, values: Sequence[Value]) -> list[Value]:
        """Return the values of the chosen frames out of one value for each frame."""
        return [values[number - 1] for number in self.numbers]

    def renumbered(self, numbers: Iterable[int]) -> list[int]:
        """Return the new numbers of frames, in the order given; those that were not chosen are left out."""
        new = {number: index for index, number in enumerate(self.numbers, 1)}
        return [new[number] for number in numbers if number in new]

    def within(self, first: int, last: int) -> tuple[int, int] | None:
        """Return the new numbers of the first and the last frame of a range; None if none of it was chosen."""
        inside = [index for index, number in enumerate(self.numbers, 1) if first <= number <= last]
        return (inside[0], inside[-1]) if inside else None
