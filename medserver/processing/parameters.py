"""What can be said of how a type of processing works, and the check of what was said."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medserver.errors import UnusableParameters

Value = str | int | float
Values = Value | tuple[Value, ...]

Kind = Literal["text", "integer", "number", "choice"]

TEXT_LENGTH_MAX = 1024
COUNT_MAX = 1024
"""How many values a parameter may have that has any number of them."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a type of processing.

    Parameters
    ----------
    name : str
        As ``config.ini`` and the command line have it: the code value of its concept name, in the scheme 99MEDSERVER.
    meaning : str
        In words: the code meaning of its concept name.
    kind : str
        ``text``, ``integer``, ``number`` or ``choice``.
    unit : str
        UCUM code of a number; ``1`` if it has no unit.
    default : value or tuple of values, optional
        What is used if nothing is said; None: the type decides by the images, as `meaning` says.
    minimum, maximum : float, optional
        The bounds of a number, both allowed.
    choices : tuple of str
        What a ``choice`` can be.
    count : int
        How many values it has; 0: any number of them.
    """

    name: str
    meaning: str
    kind: Kind
    unit: str = "1"
    default: Values | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    count: int = 1

    def read(self, given: object) -> Values:
        """Return the value that was meant, one or a tuple of as many as `count` says.

        Parameters
        ----------
        given : object
            A text, in which several values are separated by commas, a number, or a sequence of either.

        Raises
        ------
        ValueError
            It cannot be a value of this parameter; the text says why, without the name.
        """
        parts = self._parts(given)
        if self.count and len(parts) != self.count:
            raise ValueError(f"has {len(parts)} values instead of {self.count}")
        if len(parts) > COUNT_MAX:
            raise ValueError(f"has more than {COUNT_MAX} values")
        values = tuple(self._read_one(part) for part in parts)
        return values[0] if self.count == 1 else values

    def bounds(self) -> str:
        """Return in words what values there are, for help and messages."""
        if self.choices:
            return " | ".join(self.choices)
        return " to ".join(f"{bound:g}" for bound in (self.minimum, self.maximum) if bound is not None)

    def default_text(self) -> str:
        """Return the default as it would be given, "" if there is none."""
        if self.default is None:
            return ""
        return ", ".join(map(str, self.default)) if isinstance(self.default, tuple) else str(self.default)

    def values_text(self) -> str:
        """Return in words what can be given: how many values, of what kind, within which bounds, in which unit."""
        unit = "" if self.unit == "1" else self.unit.strip("{}")
        kind = "" if self.choices else {"integer": "whole number", "number": "number", "text": "text"}[self.kind]
        count = {0: "any number of", 1: ""}.get(self.count, str(self.count))
        kind += "s" if count and kind else ""
        return " ".join(filter(None, (count, kind, self.bounds(), unit)))

    def _parts(self, given: object) -> Sequence[object]:
        if isinstance(given, str):
            return given.split(",") if self.count != 1 else [given]
        if isinstance(given, Sequence) and not isinstance(given, bytes):
            return given
        return [given]

    def _read_one(self, given: object) -> Value:
        if self.kind in ("text", "choice"):
            if not isinstance(given, str):
                raise ValueError("is not a text")
            return self._read_text(given.strip())
        return self._read_number(given)

    def _read_text(self, text: str) -> str:
        if len(text) > TEXT_LENGTH_MAX:
            raise ValueError(f"has more than {TEXT_LENGTH_MAX} characters")
        if self.choices and text not in self.choices:
            raise ValueError(f"is {text[:32]!r}, and not {' or '.join(self.choices)}")
        if not text.isprintable():
            raise ValueError("has control characters")
        return text

    def _read_number(self, given: object) -> int | float:
        try:
            number = float(given.strip() if isinstance(given, str) else given)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"is {str(given)[:32]!r}, and no number") from None
        if isinstance(given, bool) or not math.isfinite(number):
            raise ValueError(f"is {str(given)[:32]!r}, and no number")
        if self.kind == "integer" and not number.is_integer():
            raise ValueError(f"is {number:g}, and no whole number")
        for bound, is_beyond in ((self.minimum, number.__lt__), (self.maximum, number.__gt__)):
            if bound is not None and is_beyond(bound):
                unit = "" if self.unit == "1" else f" {self.unit.strip('{}')}"
                raise ValueError(f"is {number:g}, and not {self.bounds()}{unit}")
        return int(number) if self.kind == "integer" else number


def check(parameters: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Values]:
    """Return the values of all parameters: those that were given, and the defaults of the others.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those that the type has.
    given : Mapping
        Name -> what `Parameter.read` takes.

    Returns
    -------
    dict
        Name -> value, in the order of `parameters`; without those that were not given and have no default. JSON can
        hold it, and what is read from that is checked to the same again.

    Raises
    ------
    UnusableParameters
        There is no such parameter, or it cannot have such a value. All that is wrong is said at once.
    """
    known = {parameter.name: parameter for parameter in parameters}
    problems = [_unknown(name, known) for name in given if name not in known]
    values: dict[str, Values] = {}
    for name, parameter in known.items():
        if name not in given:
            if parameter.default is not None:
                values[name] = parameter.default
            continue
        try:
            values[name] = parameter.read(given[name])
        except ValueError as error:
            problems.append(f"{name} {error}")
    if problems:
        raise UnusableParameters("; ".join(problems))
    return values


def _unknown(name: str, known: Mapping[str, Parameter]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    guess = f", did you mean {close[0]!r}?" if close else f": there are {', '.join(known)}" if known else ""
    return f"there is no parameter {name[:32]!r}{guess}"
