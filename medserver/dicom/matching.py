"""What the kinds of matching mean (PS3.4 C.2.2.2), in plain Python.

The index answers queries in SQL; this is the reference that it is tested against, and the matcher for what is
not in a column, such as the items of sequences. The conditions are in `conditions`, their parser in `keys`;
both are offered here too, so that a user of matching needs this module only.

A value that is absent or empty fulfils no condition, as PS3.4 K.2.2.1.1.1 has it for worklists. PS3.4
C.2.2.1.2 would have an empty required key match every query; that is deliberately not done, for a search for
one name would list all patients without any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medserver.dicom.attributes import value_representation
from medserver.dicom.conditions import (
    AnyOf,
    CombinedRange,
    Condition,
    PersonNameMatch,
    Range,
    SequenceMatch,
    SingleValue,
    UIDList,
    WildCard,
)
from medserver.dicom.dates import normalise_date, normalise_time
from medserver.dicom.keys import combine_date_times, parse_key
from medserver.dicom.persons import normalised_groups
from medserver.dicom.values import normalise_value, split_values

__all__ = [
    "AnyOf",
    "CombinedRange",
    "Condition",
    "PersonNameMatch",
    "Range",
    "SequenceMatch",
    "SingleValue",
    "UIDList",
    "WildCard",
    "combine_date_times",
    "fits",
    "matches",
    "matches_item",
    "parse_key",
]


def matches(condition: Condition, value: object) -> bool:
    r"""Say whether an attribute fulfils a condition.

    Parameters
    ----------
    condition : Condition
        As `parse_key` makes it.
    value : object
        What the attribute holds, as it was received: None, a text (with ``\`` between several values), a
        number, a list of those; for a `SequenceMatch` a list of mappings from keyword to value; for a
        `CombinedRange` a date and a time.

    Returns
    -------
    bool
        True if one of the values fulfils it (PS3.4 C.2.2.3).
    """
    if isinstance(condition, AnyOf):
        return any(matches(alternative, value) for alternative in condition.conditions)
    if isinstance(condition, SequenceMatch):
        return _matches_sequence(condition, value)
    if isinstance(condition, CombinedRange):
        return isinstance(value, Sequence) and len(value) == 2 and _matches_moment(condition, *value)
    vr = value_representation(condition.keyword)
    return any(_matches_single(condition, vr, text) for text in split_values(vr, value))


def matches_item(conditions: Sequence[Condition], item: Mapping[str, object]) -> bool:
    """Say whether one entity, or one item of a sequence, fulfils all conditions.

    Parameters
    ----------
    conditions : sequence of Condition
        None of them: every item does.
    item : mapping of str to object
        Keyword -> value as for `matches`. A pydicom Dataset serves as well.

    Returns
    -------
    bool
        True if all are fulfilled.
    """
    return all(
        _matches_moment(condition, item.get(condition.date_keyword), item.get(condition.time_keyword))
        if isinstance(condition, CombinedRange)
        else matches(condition, item.get(condition.keyword))
        for condition in conditions
    )


def fits(pattern: str, text: str) -> bool:
    """Say whether a text fits a pattern with wild cards.

    Parameters
    ----------
    pattern : str
        ``*`` stands for any number of characters, ``?`` for exactly one, everything else for itself.
    text : str
        The whole text has to fit.

    Returns
    -------
    bool
        True if it fits. Takes at most len(pattern) x len(text) steps, whatever a peer sends.

    References
    ----------
    PS3.4 C.2.2.2.4
    """
    position = 0
    asterisk = retry_from = -1
    text_position = 0
    while text_position < len(text):
        symbol = pattern[position] if position < len(pattern) else ""
        if symbol == "*":
            asterisk, retry_from = position, text_position
            position += 1
        elif symbol == "?" or symbol == text[text_position]:
            position, text_position = position + 1, text_position + 1
        elif asterisk >= 0:
            # Only the last asterisk need ever take one more character: what stands before it has fitted
            # already.
            retry_from += 1
            position, text_position = asterisk + 1, retry_from
        else:
            return False
    return not pattern[position:].strip("*")


def _matches_single(
    condition: SingleValue | UIDList | WildCard | Range | PersonNameMatch, vr: str, text: str
) -> bool:
    if isinstance(condition, PersonNameMatch):
        return _matches_person_name(condition, text)
    value = normalise_value(vr, text)
    if value is None:
        return False
    if isinstance(condition, SingleValue):
        return value == condition.value
    if isinstance(condition, UIDList):
        return value in condition.values
    if isinstance(condition, WildCard):
        return fits(condition.pattern, value)
    first, last = condition.first, condition.last
    return (first is None or first <= value) and (last is None or value <= last)


def _matches_person_name(condition: PersonNameMatch, text: str) -> bool:
    groups = normalised_groups(text)
    if condition.any_group is not None:
        return any(group and fits(condition.any_group, group) for group in groups)
    return all(
        pattern is None or bool(group) and fits(pattern, group)
        for pattern, group in zip(condition.groups, groups, strict=True)
    )


def _matches_moment(condition: CombinedRange, date_value: object, time_value: object) -> bool:
    # A study without a time is at no moment, just as it is in no range of times.
    dates = [normalise_date(text) for text in split_values("DA", date_value)]
    times = [normalise_time(text) for text in split_values("TM", time_value)]
    pairs = zip(dates, times, strict=False)
    moments = ((date, time) for date, time in pairs if date is not None and time is not None)
    first, last = condition.first, condition.last
    return any((first is None or first <= moment) and (last is None or moment <= last) for moment in moments)


def _matches_sequence(condition: SequenceMatch, value: object) -> bool:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        return False
    return any(matches_item(condition.conditions, item) for item in value)
