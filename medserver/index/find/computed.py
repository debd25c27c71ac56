"""Attributes that are worked out for each answer: counts, and what a study or instance consists of.

Each is a subquery on the rows below, evaluated only if the attribute is asked for. The values that the
node knows without the index (Retrieve AE Title, Instance Availability) are not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from peewee import OP, SQL, Expression, Node, fn

from medserver.dicom.attributes import attribute
from medserver.dicom.matching import AnyOf, CombinedRange, Condition, SingleValue
from medserver.index.database.backend import Backend
from medserver.index.database.models import CURRENT_OBJECT, Objects
from medserver.index.find.below import Below
from medserver.index.find.translation import NOTHING, Translated

# Keyword -> level of the rows that are counted.
_COUNTED: Mapping[str, str] = MappingProxyType(
    {
        "NumberOfPatientRelatedStudies": "STUDY",
        "NumberOfPatientRelatedSeries": "SERIES",
        "NumberOfPatientRelatedInstances": "IMAGE",
        "NumberOfStudyRelatedSeries": "SERIES",
        "NumberOfStudyRelatedInstances": "IMAGE",
        "NumberOfSeriesRelatedInstances": "IMAGE",
    }
)

# Keyword -> the attribute of lower rows whose different values it lists.
_COLLECTED: Mapping[str, str] = MappingProxyType(
    {
        "ModalitiesInStudy": "Modality",
        "SOPClassesInStudy": "SOPClassUID",
    }
)

_DIGITS = re.compile(r"\d{1,18}", re.ASCII)
_TRANSFER_SYNTAX = "AvailableTransferSyntaxUID"

COMPUTED = frozenset((*_COUNTED, *_COLLECTED, _TRANSFER_SYNTAX))
"""Keywords of the attributes that are computed here."""

LISTS = frozenset(_COLLECTED)
"""Keywords of those that have several values."""


def expression(backend: Backend, keyword: str) -> Node:
    """Return the SQL of a computed attribute.

    Parameters
    ----------
    backend : Backend
        The database.
    keyword : str
        One of `COMPUTED`; the query it is put into has to include its level.

    Returns
    -------
    peewee.Node
        A column or a scalar subquery.
    """
    if keyword == _TRANSFER_SYNTAX:
        return _current_transfer_syntax()
    top = _level(keyword)
    if keyword in _COUNTED:
        return Below(top, _COUNTED[keyword]).rows_of_outer(fn.COUNT(SQL("1")))
    collected = attribute(_COLLECTED[keyword])
    assert collected is not None and collected.column is not None
    below = Below(top, collected.level)
    column = getattr(below.models[collected.level], collected.column)
    return below.rows_of_outer(backend.distinct_values(column)).where(column.is_null(False))


def translate(backend: Backend, condition: Condition) -> Translated:
    """Translate a condition on a computed attribute.

    Parameters
    ----------
    backend : Backend
        The database.
    condition : Condition
        On one of `COMPUTED`.

    Returns
    -------
    Translated
        For a query that includes the level of the attribute.
    """
    keyword = condition.keyword
    if keyword in _COLLECTED:
        return _contains(backend, condition)
    if keyword == _TRANSFER_SYNTAX:
        return Translated(backend.one_of(_current_transfer_syntax(), condition.values))
    alternatives = condition.conditions if isinstance(condition, AnyOf) else (condition,)
    numbers = [
        int(row.value)
        for row in alternatives
        if isinstance(row, SingleValue) and _DIGITS.fullmatch(row.value)
    ]
    return Translated(Expression(expression(backend, keyword), OP.IN, numbers) if numbers else NOTHING)


def on_stored(condition: Condition) -> Condition | None:
    """Return what a condition on a lower level asks of a stored attribute.

    Parameters
    ----------
    condition : Condition
        On an attribute of a level below that of the query.

    Returns
    -------
    Condition or None
        The condition itself if its attribute is stored; for the modalities of a study, one on the
        modality of its series. None if that cannot be said.
    """
    keyword = condition.date_keyword if isinstance(condition, CombinedRange) else condition.keyword
    if keyword in _COLLECTED:
        return _renamed(condition, _COLLECTED[keyword])
    return None if keyword in COMPUTED else condition


def _current_transfer_syntax() -> Node:
    """Return the transfer syntax of the current object of an instance, as a scalar subquery."""
    return Objects.select(Objects.transfer_syntax_uid).where(CURRENT_OBJECT)


def _contains(backend: Backend, condition: Condition) -> Translated:
    """Whether a study has a series of a modality, or an instance of a SOP class."""
    keyword = condition.keyword
    collected = attribute(_COLLECTED[keyword])
    assert collected is not None
    below = Below(_level(keyword), collected.level)
    return below.translated(backend, [_renamed(condition, collected.keyword)])


def _renamed(condition: Condition, keyword: str) -> Condition:
    """Return the same condition on another attribute."""
    if isinstance(condition, AnyOf):
        return AnyOf(keyword, tuple(_renamed(alternative, keyword) for alternative in condition.conditions))
    return replace(condition, keyword=keyword)


def _level(keyword: str) -> str:
    row = attribute(keyword)
    assert row is not None, keyword
    return row.level
