"""How many copies there are, and how far a search for missing ones has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a search through all objects has come to.

    Parameters
    ----------
    number : int
        The row of the last object that was looked at.
    """

    number: int = 0

    def __str__(self) -> str:
        return str(self.number)

    @classmethod
    def from_text(cls, text: str | None) -> Cursor:
        """Return what `str` made a text of; the beginning from None or any other text."""
        return cls(int(text)) if text and text.isdecimal() else cls()


@dataclass(frozen=True, slots=True)
class VolumeTally:
    """What there should be on one volume.

    Parameters
    ----------
    copies, bad : int
        How many copies the index has there, and how many of them are bad.
    first_never_verified : str or None
        The path of the oldest good copy that was never verified since it was written; None if there is none.
    first_verified_at : datetime or None
        When that good copy was verified for which it is the longest ago; None if there is none.
    """

    copies: int = 0
    bad: int = 0
    first_never_verified: str | None = None
    first_verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """The copies of all objects, duplicates included.

    Parameters
    ----------
    copies : Mapping of int to int
        The number of good copies -> how many objects have so many.
    volumes : Mapping of str to VolumeTally
        By the name of the volume; those that have rows.
    """

    copies: Mapping[int, int]
    volumes: Mapping[str, VolumeTally]

    @property
    def objects(self) -> int:
        """How many objects there are."""
        return sum(self.copies.values())
