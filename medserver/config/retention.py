"""A rule by which what is stored is deleted, as config.ini has it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from medserver.dicom.conditions import Condition

DELIVERED, COMMITTED, ARCHIVED = "delivered", "committed", "archived"

PROOFS = (DELIVERED, COMMITTED, ARCHIVED)
"""What must be known before anything is deleted: the AEs have taken it; have committed to keep it; another volume of
this archive has a good copy."""

KEEP, DELETE = "keep", "delete"
LAST_COPY = (KEEP, DELETE)


@dataclass(frozen=True, slots=True)
class Watermark:
    """When a rule begins because a volume fills, and when it ends.

    Parameters
    ----------
    volume : str
        Which volume.
    above, until : int
        It begins when more than this is taken, and ends when no more than this is [%].
    """

    volume: str
    above: int
    until: int


@dataclass(frozen=True, slots=True)
class Retention:
    """One ``[retention NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry.
    age_s : float
        How long ago a study must have been received [s].
    after : tuple of tuple of str
        What must be known, of `PROOFS`: all of one of these.
    to : tuple of str
        The names of the ``[ae NAME]`` entries that must have it.
    conditions : tuple of (str, str, Condition)
        As those of a `Route`: all instances of a study must fulfil all.
    watermark : Watermark or None
        None if it is done whenever a study is old enough.
    last_copy : str
        `KEEP`: copies are removed from the primary volume, of what has a good one elsewhere. `DELETE`: everything is.
    dry_run : bool
        Whether nothing is deleted but by ``medserver retention run NAME --really``.

    Attributes
    ----------
    digest : str
        The SHA-256 of what the rule says, hexadecimal: what one of them has ordered another one does not do.
    """

    name: str
    age_s: float
    after: tuple[tuple[str, ...], ...]
    to: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, Condition], ...] = ()
    watermark: Watermark | None = None
    last_copy: str = KEEP
    dry_run: bool = True
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        text = json.dumps(self.content(), sort_keys=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    def content(self) -> dict[str, Any]:
        """Return what is deleted by the rule, but neither its name nor whether that is done: see `digest`."""
        mark = self.watermark
        return {
            "age_s": self.age_s,
            "after": [list(each) for each in self.after],
            "to": list(self.to),
            "conditions": [[keyword, wanted] for keyword, wanted, _ in self.conditions],
            "watermark": [mark.volume, mark.above, mark.until] if mark else None,
            "last_copy": self.last_copy,
        }

    @property
    def proofs(self) -> frozenset[str]:
        """All words of `after`."""
        return frozenset(word for each in self.after for word in each)


def parse_after(text: str) -> tuple[tuple[str, ...], ...]:
    """Read what must be known: ``delivered``, ``committed and archived``, ``delivered or archived``.

    A list with commas would leave open whether one of them is enough.

    Raises
    ------
    ValueError
        It is something else.
    """
    alternatives = [re.split(r"\s+and\s+", part) for part in re.split(r"\s+or\s+", text.strip().lower())]
    for word in (word for each in alternatives for word in each):
        if word not in PROOFS:
            raise ValueError(f"'{word}' is not one of {', '.join(PROOFS)}, with 'and' or 'or' between them")
    return tuple(tuple(dict.fromkeys(each)) for each in alternatives)


def parse_percentage(text: str) -> int:
    """Read a part of a volume: ``80 %``.

    Raises
    ------
    ValueError
        It is none, or not from 1 to 99.
    """
    match = re.fullmatch(r"([0-9]{1,2})\s*%", text)
    if match is None or not int(match[1]):
        raise ValueError(f"'{text}' is not from 1 % to 99 %")
    return int(match[1])
