r"""Which columns hold an attribute, and how a value gets into them.

Every stored attribute has a column with its value as it was sent, without padding. Where that is not the
form in which values are compared, there are further columns, which conditions look at:

================  ========================================================================
PN                ``<column>_alphabetic``, ``_ideographic``, ``_phonetic``: one normalised component group each
DA TM IS DS       ``<column>_normal``: the normalised date, time or number
several values    ``<column>_normal`` (for PN the three above): ``\first\second\``, normalised
================  ========================================================================

NULL means that there is no value; the two columns that identify a patient are empty instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from math import isfinite
from types import MappingProxyType

from medserver.dicom.attributes import LEVELS, Attribute, at_level
from medserver.dicom.persons import normalised_groups
from medserver.dicom.values import normalise_value, split_values, strip_padding

TABLES: Mapping[str, str] = MappingProxyType(
    {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}
)
"""Query/Retrieve Level -> table."""

PARENTS: Mapping[str, str] = MappingProxyType({"STUDY": "patient", "SERIES": "study", "IMAGE": "series"})
"""Query/Retrieve Level -> column that refers to the level above."""

IDENTIFYING = ("patient_id", "issuer_of_patient_id")
"""Columns of a patient that are never NULL."""

NAME_GROUPS = ("alphabetic", "ideographic", "phonetic")
"""The suffixes of the columns of a person name."""

INDEXED_LENGTH_MAX = 256
_REMEMBERED_LENGTH_MAX = 128
"""Values of columns that a database index holds are cut to this length: PostgreSQL cannot index long ones.
No such attribute may have more than 64 characters, or a name more than 64 a group (PS3.5 6.2)."""

_NORMALISED_VRS = frozenset({"DA", "TM", "IS", "DS"})
_ORDER = "instance_number_order"

Convert = Callable[[str], tuple[str | None, ...]]


def match_columns(attribute: Attribute) -> tuple[str, ...]:
    """Return the columns that conditions on an attribute look at.

    Parameters
    ----------
    attribute : Attribute
        One that is stored.

    Returns
    -------
    tuple of str
        Three for a PN, one for everything else.
    """
    column = attribute.column
    assert column is not None, attribute.keyword
    if attribute.vr == "PN":
        return tuple(f"{column}_{group}" for group in NAME_GROUPS)
    if attribute.vr in _NORMALISED_VRS or attribute.multi_valued:
        return (f"{column}_normal",)
    return (column,)


@dataclass(frozen=True, slots=True, eq=False)
class _Converter:
    """How the value of one attribute becomes the values of its columns."""

    column: str
    names: tuple[str, ...]
    convert: Convert
    nothing: tuple[str | None, ...]


def _plain(attribute: Attribute) -> Convert:
    vr, length_max = attribute.vr, _length_max(attribute)

    def convert(text: str) -> tuple[str | None, ...]:
        return (strip_padding(vr, text)[:length_max] or None,)

    return convert


def _sequence(attribute: Attribute) -> Convert:
    return lambda text: (text,)


def _normalised(attribute: Attribute) -> Convert:
    vr, multi_valued, length_max = attribute.vr, attribute.multi_valued, _length_max(attribute)

    def convert(text: str) -> tuple[str | None, ...]:
        values = [normal for value in split_values(vr, text) if (normal := normalise_value(vr, value))]
        if not values:
            return text, None
        return text, _listed(values) if multi_valued else values[0][:length_max]

    return convert


def _person_name(attribute: Attribute) -> Convert:
    multi_valued, length_max = attribute.multi_valued, _length_max(attribute)

    def convert(text: str) -> tuple[str | None, ...]:
        names = [normalised_groups(value) for value in split_values("PN", text)]
        if not names:
            return text, None, None, None
        if not multi_valued:
            return text, *(group[:length_max] or None for group in names[0])
        return text, *(_listed([group for group in groups if group]) for groups in zip(*names))

    return convert


def _listed(values: list[str]) -> str | None:
    return "\\" + "\\".join(values) + "\\" if values else None


def _length_max(attribute: Attribute) -> int | None:
    return INDEXED_LENGTH_MAX if attribute.indexed or attribute.column in IDENTIFYING else None


def _converter(attribute: Attribute) -> _Converter:
    assert attribute.column is not None
    if attribute.vr == "SQ":
        make = _sequence
    elif attribute.vr == "PN":
        make = _person_name
    elif attribute.vr in _NORMALISED_VRS or attribute.multi_valued:
        make = _normalised
    else:
        make = _plain
    names = tuple(dict.fromkeys((attribute.column, *match_columns(attribute))))
    nothing = ("",) if attribute.column in IDENTIFYING else (None,) * len(names)
    return _Converter(attribute.column, names, make(attribute), nothing)


_CONVERTERS: Mapping[str, tuple[_Converter, ...]] = MappingProxyType(
    {level: tuple(_converter(row) for row in at_level(level) if row.column) for level in LEVELS}
)

VALUE_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {level: tuple(converter.column for converter in _CONVERTERS[level]) for level in LEVELS}
)
"""Query/Retrieve Level -> columns of `InstanceRecord.values`, in the order of `level_row`'s argument."""

LEVEL_COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        level: tuple(name for converter in _CONVERTERS[level] for name in converter.names)
        + ((_ORDER,) if level == "IMAGE" else ())
        for level in LEVELS
    }
)
"""Query/Retrieve Level -> columns of its table that hold attributes, in the order of `level_row`'s result."""


def _spans(level: str) -> tuple[slice, ...]:
    ends = list(accumulate(len(converter.names) for converter in _CONVERTERS[level]))
    return tuple(map(slice, [0, *ends], ends))


_SPANS: Mapping[str, tuple[slice, ...]] = MappingProxyType({level: _spans(level) for level in LEVELS})
"""Query/Retrieve Level -> which columns of a row each value makes."""

_NOTHING: Mapping[str, tuple[str | float | None, ...]] = MappingProxyType(
    {
        level: (*chain.from_iterable(one.nothing for one in _CONVERTERS[level]), *([None] if level == "IMAGE" else []))
        for level in LEVELS
    }
)
"""Query/Retrieve Level -> the row of no values."""


def level_values(level: str, values: Mapping[str, str | None]) -> tuple[str | None, ...]:
    """Pick the values of one level.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    values : Mapping
        See `InstanceRecord.values`.

    Returns
    -------
    tuple of (str or None)
        In the order of `VALUE_COLUMNS`.
    """
    return tuple(map(values.get, VALUE_COLUMNS[level]))


def level_row(level: str, values: tuple[str | None, ...]) -> tuple[str | float | None, ...]:
    """Convert the values of one level to a row of its table.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    values : tuple of (str or None)
        From `level_values`.

    Returns
    -------
    tuple
        In the order of `LEVEL_COLUMNS`.
    """
    row = list(_NOTHING[level])
    for converter, span, text in zip(_CONVERTERS[level], _SPANS[level], values):  # most attributes have no value
        if text:  # the instances of a series have most of theirs in common, so short ones are remembered
            row[span] = (_remembered if len(text) <= _REMEMBERED_LENGTH_MAX else _convert)(converter, text)
    if level == "IMAGE":
        row[-1] = _order(row[_NUMBER])
    return tuple(row)


def _convert(converter: _Converter, text: str) -> tuple[str | None, ...]:
    converted = converter.convert(text if text.isascii() and "\0" not in text else storable(text))
    return converter.nothing if converted[0] is None else converted


_remembered = lru_cache(maxsize=4096)(_convert)


def storable(text: str) -> str:
    """Leave out what PostgreSQL or UTF-8 cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


_NUMBER = LEVEL_COLUMNS["IMAGE"].index("instance_number_normal")


def _order(number: str | float | None) -> float | None:
    """Return the Instance Number as a number to sort by."""
    try:
        order = float(number or "")
    except ValueError:
        return None
    return order if isfinite(order) else None


@lru_cache(maxsize=1024)
def common_row(level: str, values: tuple[str | None, ...]) -> tuple[str | float | None, ...]:
    """Return `level_row`, remembered: the instances of a series share the rows above them."""
    return level_row(level, values)


def newly_known(
    level: str, present: tuple[str | float | None, ...], arrived: tuple[str | float | None, ...]
) -> dict[str, str | float | None]:
    """Tell what a row could learn from another row of the same thing.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    present, arrived : tuple
        The row of the table, and one that describes the same patient, study or series; in the order of
        `LEVEL_COLUMNS`.

    Returns
    -------
    dict
        The columns of the attributes that have no value in `present` and one in `arrived`.
    """
    names = LEVEL_COLUMNS[level]
    return {
        name: value
        for span in _SPANS[level]
        if present[span.start] is None and arrived[span.start] is not None
        for name, value in zip(names[span], arrived[span])
    }
