"""What a rule changes in the attributes of what it sends: ``set``, ``remove`` and ``map`` of ``[route NAME]``."""

from __future__ import annotations

from collections.abc import Iterator

from medserver.config.keyed import keyword_named
from medserver.dicom.attributes import value_representation
from medserver.dicom.representations import BULK_VRS

IDENTITY = frozenset({
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SpecificCharacterSet", "PixelData",
    "TransferSyntaxUID",
})  # fmt: skip
"""What no rule changes: it would be another object, or none that can be read."""

_BINARY = BULK_VRS | {"SQ", "AT", "UI"}


def parse_set(text: str) -> dict[str, str]:
    """Read ``Keyword = value``, one in a line."""
    return {keyword: _checked(keyword, value) for name, value in _lines(text) for keyword in [_keyword(name)]}


def parse_map(text: str) -> dict[str, dict[str, str]]:
    """Read ``Keyword = old -> new``, one in a line."""
    found: dict[str, dict[str, str]] = {}
    for name, rule in _lines(text):
        old, arrow, new = rule.partition("->")
        if not arrow:
            raise ValueError(f"'{name} = {rule}' is not of the form 'Keyword = old -> new'")
        keyword = _keyword(name)
        found.setdefault(keyword, {})[old.strip()] = _checked(keyword, new.strip())
    return found


def parse_remove(text: str) -> tuple[str, ...]:
    """Read keywords, with commas or line ends between them."""
    return tuple(_keyword(name) for name in text.replace(",", " ").split())


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"'{line}' is not of the form 'Keyword = value'")
        yield name.strip(), value.strip()


def _keyword(name: str) -> str:
    keyword = keyword_named(name)
    if keyword is None:
        raise ValueError(f"'{name}' is not an attribute")
    if keyword in IDENTITY or value_representation(keyword) in _BINARY:
        raise ValueError(f"{keyword} cannot be changed on the way")
    return keyword


def _checked(keyword: str, value: str) -> str:
    """Return a value that the attribute can have: else every delivery would fail."""
    from medserver.dicom.new_values import new_value  # takes a while, and few configurations have such rules

    try:
        new_value(keyword, value)
    except ValueError as error:
        raise ValueError(f"{keyword} cannot have the value '{value}': {error}") from None
    return value
