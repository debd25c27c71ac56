"""A rule as config.ini has it: which images are processed, how, and to whom the results are sent."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from medserver.config.hours import ALWAYS, Hours
from medserver.config.values import ValueType
from medserver.dicom.conditions import Condition

SENDER = "sender"
"""In the place of an ``[ae NAME]`` entry: whoever has sent the images."""

_TYPE = re.compile(r"[a-z][a-z0-9_]*")
_PARAMETER = re.compile(r"(?:[a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Processing:
    """One ``[processing NAME]``.

    Parameters
    ----------
    name : str
        Name of the entry.
    types : tuple of str
        The types of processing, by their names: the first is applied to what was received, each other one to what the
        one before has made.
    parameters : tuple of (str, str)
        Name and value of each parameter as written in the file; a name with the type before it (``denoise.size``) is of
        that type, another one of the first type that has such a parameter. ``outputs`` are the numbers of those outputs
        of the first type that are wanted.
    to : tuple of str
        The names of the ``[ae NAME]`` entries to which the results are sent; `SENDER` stands for whoever sent the
        images.
    conditions : tuple of (str, str, Condition)
        As those of a `Route`.
    delivered_to : tuple of str
        The names of ``[ae NAME]`` entries: only what a ``[route NAME]`` sends to one of them. Empty: whatever it is.
    priority, when, quiet_s, complete_by, hours
        As those of a `Route`: the images of a series or study are processed together when it seems complete.
    inform : bool
        Whether sender and receivers are told what will be applied before it is.

    Attributes
    ----------
    digest : str
        The version of the rule: the SHA-256 of its `content`, hexadecimal.
    """

    name: str
    types: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    to: tuple[str, ...] = ()
    conditions: tuple[tuple[str, str, Condition], ...] = ()
    delivered_to: tuple[str, ...] = ()
    priority: str = "medium"
    when: str = "series"
    quiet_s: float = 60.0
    complete_by: tuple[str, ...] = ()
    hours: Hours = ALWAYS
    inform: bool = True
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        text = json.dumps(self.content(), sort_keys=True)
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    @property
    def targets(self) -> tuple[str, ...]:
        """The destinations of its jobs: this node."""
        return ("",)

    def content(self) -> dict[str, Any]:
        """Return what is decided by the rule and what follows, but neither its name nor when: see `digest`."""
        return {
            "conditions": [[keyword, wanted] for keyword, wanted, _ in self.conditions],
            "delivered_to": list(self.delivered_to),
            "types": list(self.types),
            "parameters": [list(each) for each in self.parameters],
            "to": list(self.to),
            "of": self.when,
            "priority": self.priority,
            "inform": self.inform,
        }


def is_parameter(option: str) -> bool:
    """Tell whether an option can be the name of a parameter; whether a type has it is not known here."""
    return _PARAMETER.fullmatch(option) is not None


def parse_types(text: str) -> tuple[str, ...]:
    """Read the names of types, with commas between them.

    Raises
    ------
    ValueError
        There is none, or one is not a name.
    """
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if _TYPE.fullmatch(name) is None:
            raise ValueError(f"'{name}' is not the name of a type: see 'medserver processing types'")
    return names


TYPE_LIST = ValueType("names of types", parse_types)
