r"""From a key of an identifier to a condition (PS3.4 C.2.2.2).

The kind of matching follows from the VR and the value of the key alone:

* no value, or nothing but ``*``: universal matching, and no condition at all;
* UI: a list of UIDs;
* DA, TM, DT: a single value or a range;
* AE, CS, LO, LT, PN, SH, ST, UC, UR, UT with ``*`` or ``?``: wild cards;
* SQ: the keys of its one item;
* else a single value.

Several values in a key that is not UI have no meaning in the standard as long as Multiple Value Matching is
not negotiated (PS3.4 C.2.2.2.8); here one of them has to match, which is what workstations mean that ask for
``CT\MR``. Who the patient is may not be told so: see `queries.model.check_patient_keys`.

The message of an error names the key and never its value, which may be patient data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from medserver.dicom import persons
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
from medserver.dicom.dates import query_bounds
from medserver.dicom.representations import BULK_VRS, NUMBER_VRS, RANGE_VRS, WILD_CARD_VRS
from medserver.dicom.uids import is_valid_uid
from medserver.dicom.values import normalise_number, split_values
from medserver.errors import IdentifierMismatch

_ALTERNATIVES_MAX = 256
# No text that is indexed is half as long (PS3.5 6.2), and SQLite takes no pattern of more than 50,000 bytes.
_PATTERN_LENGTH_MAX = 4096
_SEQUENCE_DEPTH_MAX = 16
# pydicom converts a value when it is looked at, and says in many ways that it cannot.
_PYDICOM_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError)
_RUN_OF_ASTERISKS = re.compile(r"\*{2,}")
# What describes the other keys is never a key itself (PS3.4 C.2.2.2).
_NOT_KEYS = frozenset({"SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveLevel"})


def parse_key(keyword: str, vr: str, value: object, *, combined: bool = False) -> Condition | None:
    r"""Say what one key of an identifier asks for.

    Parameters
    ----------
    keyword : str
        The attribute.
    vr : str
        Its Value Representation.
    value : object
        None; text, with ``\`` between several values; a number; a list of those; for SQ a list of items, each
        a pydicom Dataset or a mapping from keyword to value.
    combined : bool
        Whether dates and times are going to be joined by `combine_date_times`: only then may a range of times
        run past midnight.

    Returns
    -------
    Condition or None
        None for universal matching.

    Raises
    ------
    IdentifierMismatch
        If the key asks for something that its VR does not allow: a UID with other characters than digits and
        dots, a text that is no date where a date should stand, a range that ends before it begins, a sequence
        with more than one item, a pattern of thousands of characters, a bulk value.

    References
    ----------
    PS3.4 C.2.2.2
    """
    return _parse(keyword, vr, value, combined, depth=0)


def combine_date_times(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Join ranges of dates with the ranges of their times.

    Only for an association on which combined date-time matching was negotiated. A pair is joined if both keys
    have the same form of range; a single date or time is left as it is.

    Parameters
    ----------
    conditions : iterable of Condition
        What `parse_key` made of the keys of one identifier.

    Returns
    -------
    tuple of Condition
        With a `CombinedRange` in the place of the date, and without the time, of each pair. Pairs in the
        items of sequences are joined as well.

    Raises
    ------
    IdentifierMismatch
        If a range ends before it begins: that of a pair, or one of times that runs past midnight and has found no
        date to be joined with.

    References
    ----------
    PS3.4 C.2.2.2.5.2, PS3.4 C.2.2.2.5.4
    """
    conditions = tuple(conditions)
    ranges = {row.keyword: row for row in conditions if isinstance(row, Range) and not row.single}
    pairs = {
        date.keyword: _pair(date, time)
        for date in ranges.values()
        if (time := ranges.get(_time_keyword(date.keyword))) is not None and _form(date) == _form(time)
    }
    paired_times = {pair.time_keyword for pair in pairs.values()}
    joined: list[Condition] = []
    for row in conditions:
        if isinstance(row, SequenceMatch):
            row = SequenceMatch(row.keyword, combine_date_times(row.conditions))
        elif isinstance(row, Range) and row.keyword in pairs:
            row = pairs[row.keyword]
        elif isinstance(row, Range) and row.keyword in paired_times:
            continue
        _check_forward(row)
        joined.append(row)
    return tuple(joined)


def _check_forward(row: Condition) -> None:
    for part in row.conditions if isinstance(row, AnyOf) else (row,):
        if isinstance(part, (Range, CombinedRange)) and part.first and part.last and part.last < part.first:
            keyword = part.keyword if isinstance(part, Range) else part.date_keyword
            raise IdentifierMismatch(f"{keyword}: a range that ends before it begins")


def _parse(keyword: str, vr: str, value: object, combined: bool, depth: int) -> Condition | None:
    if keyword in _NOT_KEYS:
        return None
    if vr == "SQ":
        return _parse_sequence(keyword, value, combined, depth)
    texts = split_values(vr, value)
    if not texts or any(not text.strip("*") for text in texts):
        return None
    if vr in BULK_VRS:
        raise IdentifierMismatch(f"{keyword}: a value of VR {vr} cannot be matched")
    if vr == "UI":
        return _parse_uids(keyword, texts)
    if len(texts) > _ALTERNATIVES_MAX:
        raise IdentifierMismatch(f"{keyword}: more than {_ALTERNATIVES_MAX} values, and not of VR UI")
    alternatives: dict[Condition, None] = {}
    for text in texts:
        conditions = _parse_single(keyword, vr, text, combined)
        if not conditions:
            return None
        alternatives.update(dict.fromkeys(conditions))
    return next(iter(alternatives)) if len(alternatives) == 1 else AnyOf(keyword, tuple(alternatives))


def _parse_single(keyword: str, vr: str, text: str, combined: bool) -> tuple[Condition, ...]:
    """Return the alternatives that one value of a key leaves; none for universal matching."""
    if vr in RANGE_VRS:
        return _parse_range(keyword, vr, text, combined)
    if vr == "PN":
        return _parse_person_name(keyword, text)
    if vr in NUMBER_VRS:
        return (SingleValue(keyword, normalise_number(text)),)
    if vr in WILD_CARD_VRS and ("*" in text or "?" in text):
        return (WildCard(keyword, _checked(keyword, _RUN_OF_ASTERISKS.sub("*", text))),)
    return (SingleValue(keyword, text),)


def _checked(keyword: str, pattern: str) -> str:
    """Return a pattern that is not too long."""
    if len(pattern) > _PATTERN_LENGTH_MAX:
        raise IdentifierMismatch(f"{keyword}: a pattern of more than {_PATTERN_LENGTH_MAX} characters")
    return pattern


def _parse_uids(keyword: str, texts: Iterable[str]) -> UIDList:
    uids = tuple(dict.fromkeys(texts))
    for uid in uids:
        if not is_valid_uid(uid):
            raise IdentifierMismatch(f"{keyword}: a value that is not a UID")
    return UIDList(keyword, uids)


def _parse_range(keyword: str, vr: str, text: str, combined: bool) -> tuple[Range, ...]:
    bounds = query_bounds(vr, text)
    if bounds is None:
        raise IdentifierMismatch(f"{keyword}: neither a value of VR {vr} nor a range of such values")
    if bounds.reversed and not (combined and vr == "TM"):
        raise IdentifierMismatch(f"{keyword}: a range that ends before it begins")
    if bounds.first is None and bounds.last is None:
        # Workstations send a lone hyphen when both fields of a date range are left empty.
        return ()
    return (Range(keyword, bounds.first, bounds.last, bounds.single),)


def _parse_person_name(keyword: str, text: str) -> tuple[PersonNameMatch, ...]:
    patterns = [_name_patterns(_checked(keyword, group)) for group in persons.normalised_groups(text)]
    if "=" not in text:
        return tuple(PersonNameMatch(keyword, any_group=pattern) for pattern in patterns[0])
    if not any(patterns):
        return ()
    return tuple(
        PersonNameMatch(keyword, groups=(alphabetic, ideographic, phonetic))
        for alphabetic, ideographic, phonetic in product(*(group or (None,) for group in patterns))
    )


def _name_patterns(pattern: str) -> tuple[str, ...]:
    """Return the patterns of which one must fit a normalised component group; none for universal matching.

    A normalised name has no trailing ``^``, so that ``SMITH^*`` has to find *SMITH* as well as *SMITH^JOHN*.
    """
    pattern = _RUN_OF_ASTERISKS.sub("*", pattern)
    stem = pattern
    while stem.endswith("^*"):
        stem = stem.removesuffix("^*").rstrip("^")
    if stem == pattern or not stem:
        return () if pattern in ("", "*") else (pattern,)
    if stem.endswith("*"):
        return () if stem == "*" else (stem,)
    return stem, f"{stem}^*"


def _parse_sequence(keyword: str, value: object, combined: bool, depth: int) -> SequenceMatch | None:
    if not value:
        return None
    if depth >= _SEQUENCE_DEPTH_MAX:
        raise IdentifierMismatch(f"{keyword}: sequences nested more than {_SEQUENCE_DEPTH_MAX} deep")
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise IdentifierMismatch(f"{keyword}: not a sequence of items")
    if len(value) > 1:
        # PS3.4 C.2.2.2.6: "a Sequence of Items with a single Item".
        raise IdentifierMismatch(f"{keyword}: a key of VR SQ has at most one item, this one has {len(value)}")
    conditions = (
        _parse(item_keyword, vr, item_value, combined, depth + 1)
        for item_keyword, vr, item_value in _keys_of_item(keyword, value[0])
    )
    kept = tuple(condition for condition in conditions if condition is not None)
    return SequenceMatch(keyword, kept) if kept else None


def _keys_of_item(keyword: str, item: object) -> Iterator[tuple[str, str, object]]:
    if isinstance(item, Mapping):
        for item_keyword, value in item.items():
            yield item_keyword, value_representation(item_keyword), value
        return
    if not isinstance(item, Iterable):
        raise IdentifierMismatch(f"{keyword}: not a sequence of items")
    try:
        for element in item:
            # A private attribute has no keyword, and no private attribute is matched.
            if element.keyword:
                yield element.keyword, element.VR, element.value
    except _PYDICOM_ERRORS as error:
        raise IdentifierMismatch(f"{keyword}: an item that cannot be read") from error


def _time_keyword(date_keyword: str) -> str:
    if date_keyword.startswith("DateOf"):  # DateOfSecondaryCapture
        return "Time" + date_keyword.removeprefix("Date")
    return date_keyword.removesuffix("Date") + "Time" if date_keyword.endswith("Date") else ""


def _form(row: Range) -> tuple[bool, bool]:
    return row.first is None, row.last is None


def _pair(date: Range, time: Range) -> CombinedRange:
    first = None if date.first is None or time.first is None else (date.first, time.first)
    last = None if date.last is None or time.last is None else (date.last, time.last)
    return CombinedRange(date.keyword, time.keyword, first, last)
