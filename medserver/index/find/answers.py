"""From rows of the database to the values of attributes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medserver.dicom.attributes import Attribute, attribute
from medserver.dicom.matching import CombinedRange, Condition, SequenceMatch, matches
from medserver.index.find import computed

Convert = Callable[[Any], Any]


def converter(row: Attribute) -> Convert | None:
    r"""Return the function that makes the value of an answer from what the database holds.

    Parameters
    ----------
    row : Attribute
        One that is stored or computed by the index.

    Returns
    -------
    callable or None
        None if the value is the answer: a text, an integer for a count, None for no value.
    """
    if row.keyword in computed.LISTS:
        return _from_aggregate
    if row.vr == "SQ":
        return _from_json
    if row.computed:
        return None
    return _split if row.multi_valued else _or_none


def fulfils(conditions: Sequence[Condition], values: Mapping[str, Any]) -> bool:
    """Check conditions that SQL could not decide.

    Parameters
    ----------
    conditions : sequence of Condition
        All have to be fulfilled.
    values : Mapping
        Keyword -> what the database holds.

    Returns
    -------
    bool
        What `medserver.dicom.matching.matches` says.
    """
    return all(_fulfils(condition, values) for condition in conditions)


def keywords(conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Return the keywords of the attributes that conditions are on, each once."""
    found: list[str] = []
    for condition in conditions:
        if isinstance(condition, CombinedRange):
            found += (condition.date_keyword, condition.time_keyword)
        else:
            found.append(condition.keyword)
    return tuple(dict.fromkeys(found))


def _fulfils(condition: Condition, values: Mapping[str, Any]) -> bool:
    if isinstance(condition, CombinedRange):
        return matches(condition, (values[condition.date_keyword], values[condition.time_keyword]))
    value = values[condition.keyword]
    if isinstance(condition, SequenceMatch):
        value = [_plain_item(item) for item in _from_json(value)]
    return matches(condition, value)


def _or_none(value: str | None) -> str | None:
    return value or None


def _split(value: str | None) -> list[str] | None:
    return value.split("\\") if value else None


def _from_aggregate(value: str | Sequence[str] | None) -> list[str]:
    values = json.loads(value) if isinstance(value, str) else value
    return sorted(values or ())


def _from_json(value: str | None) -> list[dict[str, Any]]:
    """Read the items of a sequence; what is no DICOM JSON is no item."""
    if not value:
        return []
    try:
        items = json.loads(value)
    except ValueError:
        return []
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _plain_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Turn an item of DICOM JSON (PS3.18 F.2) into keyword -> value."""
    from pydicom.datadict import keyword_for_tag  # takes a while, and few answers hold items

    plain = {}
    for tag, element in item.items():
        keyword = keyword_for_tag(tag) if attribute(tag) is None else tag
        if keyword and isinstance(element, Mapping):
            plain[keyword] = [_plain_value(value) for value in element.get("Value") or ()]
    return plain


def _plain_value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    groups = [value.get(group) for group in ("Alphabetic", "Ideographic", "Phonetic")]
    if any(groups):
        return "=".join(group or "" for group in groups).rstrip("=")
    return _plain_item(value)
