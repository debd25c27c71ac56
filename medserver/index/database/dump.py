"""What a dump of the index holds. The databases make, examine and load dumps: `sqlite_dump`, `postgresql_dump`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ShouldStop = Callable[[], bool]


class Interrupted(Exception):
    """A dump was given up because somebody asked for it."""


@dataclass(frozen=True, slots=True)
class DumpContent:
    """What was counted in a dump, or in the index at the moment of one.

    Parameters
    ----------
    rows : Mapping of str to int
        Table -> how many rows it has.
    migrations : tuple of str
        The migrations that had been applied, in their order.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    migrations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Staged:
    """An index that has come out of a dump, and is not yet in the place of the present one.

    Parameters
    ----------
    url : str
        Where it can be opened.
    kept : str or None
        Where the present index is kept, if it had to make room already.
    """

    url: str
    kept: str | None = None
