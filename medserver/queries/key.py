"""A key of a query, and what stands in the place of a value that cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

UNREADABLE = object()
"""In the place of a value that is stored and cannot be read."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the query.

    Attributes
    ----------
    tag : int
        Group and element.
    vr : str
        The Value Representation of the query.
    keyword : str
        Empty for a key that is not supported: it is returned without a value.
    constant : str
        What every answer holds: the creator of a block of private attributes.
    """

    tag: int
    vr: str
    keyword: str
    constant: str = ""
