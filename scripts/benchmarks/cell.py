"""What one cell of the table is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """What is demanded of medserver.

    Attributes
    ----------
    floor, goal : float
        The ratio medserver : peer to reach or, without a peer, the value not to exceed.
    peer : str or None
        The candidate that medserver is compared with.
    """

    floor: float
    goal: float
    peer: str | None = None


@dataclass(frozen=True)
class Cell:
    """Something that is measured.

    Attributes
    ----------
    name : str
        What it is called on the command line.
    title : str
        What it is called in the table.
    unit : str
        The unit of the values. A rate: more is better. Without a peer to compare with: less is better.
    candidates : tuple of str
        Who is measured.
    requirements : tuple of Requirement
        What is demanded of medserver.
    operation : str
        The DIMSE operation.
    subject : str
        The modality of the images; '' if it is not about images.
    associations : int
        How many associations work at the same time.
    rounds_max : tuple of (str, int)
        Candidates that are measured in the first rounds only, because they take so long.
    """

    name: str
    title: str
    unit: str
    candidates: tuple[str, ...]
    requirements: tuple[Requirement, ...]
    operation: str = ""
    subject: str = ""
    associations: int = 1
    rounds_max: tuple[tuple[str, int], ...] = ()

    def candidates_in(self, round_number: int) -> list[str]:
        """Return who is measured in a round, from 1: another one is first in each."""
        limits = dict(self.rounds_max)
        names = [name for name in self.candidates if round_number <= limits.get(name, round_number)]
        first = (round_number - 1) % len(names)
        return names[first:] + names[:first]
