"""The conditions of acquisition that a header tells, wherever they stand in it."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver.dicom.acquisition import ITEM_KEYWORDS, PLAIN_KEYWORDS
from medserver.dicom.dataset_values import value_of
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import CannotUnderstand

VALUES_MAX = 500
"""So many different values of one condition are kept of one instance: there may be one for each frame."""

VALUE_LENGTH_MAX = 1024
"""A longer value is none: no condition needs so many characters."""

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

# A header has a few of them: they are looked for the other way round.
_PLAIN_TAGS, _ITEM_TAGS = (
    {tag_for_keyword(keyword): keyword for keyword in keywords} for keywords in (PLAIN_KEYWORDS, ITEM_KEYWORDS)
)


def conditions_in(header: Dataset) -> dict[str, str | list[str] | list[dict[str, str]]]:
    r"""Return the conditions that a header tells.

    Parameters
    ----------
    header : Dataset
        As `archive.read_header` gives it.

    Returns
    -------
    dict
        Keyword -> the value as text, with ``\`` between several ones; a list of these if it stands in the functional
        groups of several frames and differs; for a sequence a list with keyword -> value for each item.
    """
    found: dict[str, str | list[str] | list[dict[str, str]]] = {}
    present = header.keys()
    for tag in sorted(_PLAIN_TAGS.keys() & present):
        if text := _text(_value(header, _PLAIN_TAGS[tag])):
            found[_PLAIN_TAGS[tag]] = text
    for tag in sorted(_ITEM_TAGS.keys() & present):
        keyword = _ITEM_TAGS[tag]
        items = [_item(item, ITEM_KEYWORDS[keyword]) for item in _value(header, keyword) or ()]
        if any(items):
            found[keyword] = items
    if any(keyword in header for keyword in _GROUPS):
        for keyword, values in _in_groups(header).items():
            if keyword not in found:
                found[keyword] = values[0] if len(values) == 1 else values
    return found


def _in_groups(header: Dataset) -> dict[str, list[str]]:
    """Return the different values in all functional groups, in the order of the frames (PS3.3 C.7.6.16)."""
    found: dict[str, dict[str, None]] = {}
    for item in _functional_groups(header):
        for keyword in PLAIN_KEYWORDS & item.keys():
            values = found.setdefault(keyword, {})
            if len(values) < VALUES_MAX and (text := _text(item[keyword])):
                values.setdefault(text)
    return {keyword: list(values) for keyword, values in found.items() if values}


def _functional_groups(header: Dataset) -> Iterator[dict]:
    for keyword in _GROUPS:
        for frame in _value(header, keyword) or ():
            for macro in frame.values():
                if isinstance(macro, list):
                    yield from (item for item in macro if isinstance(item, dict))


def _item(item: dict, keywords: frozenset[str]) -> dict[str, str]:
    return {keyword: text for keyword in keywords & item.keys() if (text := _text(item[keyword]))}


def _value(header: Dataset, keyword: str) -> None | str | list[str] | list[dict]:
    """Return a value; None for one that cannot be read."""
    try:
        return value_of(header, keyword)
    except (CannotUnderstand, *PYDICOM_ERRORS):
        return None


def _text(value: object) -> str:
    if isinstance(value, list):
        value = "\\".join(str(one) for one in value if not isinstance(one, dict))
    text = "" if value is None or isinstance(value, dict) else str(value)
    return text if len(text) <= VALUE_LENGTH_MAX else ""
