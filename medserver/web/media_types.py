"""Media types and lists of them, as header fields have them (RFC 9110 5.6, 8.3, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"({_TOKEN})/({_TOKEN})")
_PARAMETER = re.compile(rf'\s*;\s*(?:({_TOKEN})\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?')
_QUOTED_PAIR = re.compile(r"\\(.)")
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")

RANGES_MAX = 100
"""More ranges than this are passed over: nobody prefers among so many."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type, or a range of them, with its parameters.

    Parameters
    ----------
    type, subtype : str
        In small letters; ``*`` in a range.
    parameters : mapping of str to str
        The names in small letters; values that may be written with quotes or without are without.
    quality : float
        The weight of a range (RFC 9110 12.4.2), 0 to 1.
    """

    type: str
    subtype: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0

    @property
    def essence(self) -> str:
        """The two names without parameters."""
        return f"{self.type}/{self.subtype}"


def media_type_of(text: str) -> MediaType | None:
    """Read one media type, such as that of a Content-Type; None if it is none."""
    return next(_media_types(text), None)


def media_ranges_of(text: str) -> list[MediaType]:
    """Read a list of media ranges; what is not valid is passed over (PS3.18 8.7.7)."""
    return [each for _, each in zip(range(RANGES_MAX), _media_types(text), strict=False)]


def _media_types(text: str) -> Iterator[MediaType]:
    position = 0
    while position < len(text):
        found = _TYPE.match(text, position)
        if found is None:
            position = _behind_comma(text, position)
            continue
        parameters, end = _parameters(text, found.end())
        position = _behind_comma(text, end)
        quality = parameters.pop("q", "1")
        if not text[end:position].strip(" \t,") and _QUALITY.fullmatch(quality):
            yield MediaType(found[1].lower(), found[2].lower(), parameters, float(quality))


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    """Return the parameters at a position, and where they end."""
    parameters: dict[str, str] = {}
    while (found := _PARAMETER.match(text, position)) is not None:
        position = found.end()
        if found[1] is None:  # a semicolon with nothing behind it
            continue
        value = found[2]
        unquoted = _QUOTED_PAIR.sub(r"\1", value[1:-1]) if value.startswith('"') else value
        parameters.setdefault(found[1].lower(), unquoted)
    return parameters, position


def _behind_comma(text: str, position: int) -> int:
    """Return where the next member of a list begins; a comma between quotes ends none."""
    is_quoted = False
    while position < len(text):
        letter = text[position]
        position += 1
        if letter == '"':
            is_quoted = not is_quoted
        elif letter == "\\" and is_quoted:
            position += 1
        elif letter == "," and not is_quoted:
            break
    while position < len(text) and text[position] in " \t":
        position += 1
    return position
