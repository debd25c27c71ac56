"""What is wrong with one object, as found by `check`, `reconcile`, `rebuild` or `verify_pixels`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    """The kinds of findings."""

    MISSING = "missing"
    """The index has a row, the volume has no file."""

    DAMAGED = "damaged"
    """The file is not what was stored: its size, its header or (if that was looked at) its digest."""

    NOT_INDEXED = "not-indexed"
    """The volume has a file, the index has no row."""

    SURPLUS = "surplus"
    """The volume has a file that the index does not need: its content is stored elsewhere, or was refused."""

    UNKNOWN_VOLUME = "unknown-volume"
    """The index has a row for a volume that is not configured."""

    UNREADABLE = "unreadable"
    """The volume could not read the file, which says nothing about its content."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One object and what is wrong with it.

    Parameters
    ----------
    problem : Problem
        The kind.
    volume, path : str
        Which object.
    detail : str
        One line for people.
    """

    problem: Problem
    volume: str
    path: str
    detail: str

    def __str__(self) -> str:
        place = f"{self.volume}:{self.path}" if self.path else self.volume  # without a path: the volume itself
        said = self.detail.removeprefix(place).lstrip(": ")  # most errors begin with the place as well
        return f"{self.problem}: {place}: {said}"


class PixelState(StrEnum):
    """What the pixels of a compressed image are."""

    SAME = "same"
    """What they were."""

    RESTORED = "restored"
    """Not what they were, but an uncompressed image that has those took its place."""

    LOST = "not restorable"
    """Not what they were, or not to be read or decoded here; nothing was changed."""


@dataclass(frozen=True, slots=True)
class PixelCheck:
    """A compressed image, and what its pixels are; `detail` says why."""

    sop_instance_uid: str
    state: PixelState
    detail: str = ""
