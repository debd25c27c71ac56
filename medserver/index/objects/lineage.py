"""Which objects of an instance are one: what was received, and what was made from it here, perhaps by way of others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

COMPRESSED, RESTORED = "compressed", "restored"
"""How an object was made from another one: without loss, or with the pixels of an original that had lost them."""

BEHIND = timedelta(microseconds=1)
"""In the order of receipt what was made from an object is so much behind it."""


class Made(Protocol):
    """An object, by its number; what it was made from, None if it was received; and how."""

    @property
    def number(self) -> int:
        """The number of its row."""

    @property
    def made_from(self) -> int | None:
        """The number of what it was made from, None if it was received."""

    @property
    def made_how(self) -> str | None:
        """How it was made: `COMPRESSED` or `RESTORED`."""


Object = TypeVar("Object", bound=Made)


def received(every: Sequence[Object], one: Object) -> Object:
    """Return what was received, from which an object was made; or itself."""
    by_number = {each.number: each for each in every}
    while one.made_from is not None:
        one = by_number[one.made_from]
    return one


def are_one(every: Sequence[Object], one: Object, other: Object) -> bool:
    """Tell whether both are, or were made from, the same that was received."""
    return received(every, one).number == received(every, other).number


def made_from(every: Sequence[Object], one: Object) -> list[Object]:
    """Return what was made from an object, not by way of others."""
    return [each for each in every if each.made_from == one.number]


def leading(every: Sequence[Object], one: Object) -> Object:
    """Return what has taken the place of an object: what was made last; what has restored pixels first."""
    one = received(every, one)
    while forms := made_from(every, one):
        one = max(forms, key=lambda form: (form.made_how == RESTORED, form.number))
    return one
