r"""From a condition (`medserver.dicom.conditions`) to SQL.

The SQL is exact, or it lets through too much: then the caller checks the values with
`medserver.dicom.matching.matches`. It never lets through too little.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from functools import reduce
from typing import NamedTuple

import peewee
from peewee import SQL, Node

from medserver.dicom.attributes import Attribute, attribute, value_representation
from medserver.dicom.matching import (
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
from medserver.index.database.backend import Backend
from medserver.index.database.columns import match_columns

_WILD = re.compile(r"[*?]")
_CODE_POINT_MAX = 0x10FFFF
# What stands in JSON exactly as it stands in the query.
_PLAIN_IN_JSON = re.compile(r"[A-Za-z0-9 ._^-]+")
_TEXT_VRS = frozenset({"AE", "CS", "LO", "SH", "UI"})
NOTHING = SQL("1 = 0")
"""The condition that no row fulfils."""


class Translated(NamedTuple):
    """A condition in SQL.

    Parameters
    ----------
    where : peewee.Node
        Holds for every row that fulfils the condition.
    exact : bool
        Whether it holds for no other row.
    selective : bool
        Whether a database index leads to the rows, most likely few of them.
    leading : peewee.Node or None
        For a condition on rows below: the same as `where`, written so that the search begins with the
        rows below.
    """

    where: Node
    exact: bool = True
    selective: bool = False
    leading: Node | None = None


class Translator:
    """Translates conditions on stored attributes.

    Parameters
    ----------
    backend : Backend
        The database.
    models : Mapping of str to peewee.Model
        Query/Retrieve Level -> the model, or an alias of it, whose columns are meant.
    """

    def __init__(self, backend: Backend, models: Mapping[str, peewee.Model]) -> None:
        self._backend = backend
        self._models = models

    def translate(self, condition: Condition) -> Translated:
        """Translate one condition.

        Parameters
        ----------
        condition : Condition
            On an attribute that is stored.

        Returns
        -------
        Translated
            In SQL.
        """
        if isinstance(condition, CombinedRange):
            return self._combined(condition)
        row = attribute(condition.keyword)
        assert row is not None and row.column is not None, condition.keyword
        columns = [self._column(row, name) for name in match_columns(row)]
        if isinstance(condition, AnyOf):
            return _any([self.translate(alternative) for alternative in condition.conditions])
        if isinstance(condition, PersonNameMatch):
            return self._person_name(condition, row, columns)
        if isinstance(condition, UIDList):
            return self._uids(condition, row, columns[0])
        if isinstance(condition, SingleValue):
            return self._text(columns[0], condition.value, row, literal=True)
        if isinstance(condition, WildCard):
            return self._text(columns[0], condition.pattern, row)
        if isinstance(condition, Range):
            return Translated(_between(columns[0], condition.first, condition.last), selective=row.indexed)
        assert isinstance(condition, SequenceMatch), condition
        return self._sequence(condition, columns[0])

    def _column(self, row: Attribute, name: str) -> peewee.Field:
        return getattr(self._models[row.level], name)

    def _text(self, column: Node, pattern: str, row: Attribute, *, literal: bool = False) -> Translated:
        r"""Compare a text, or a list of texts ``\a\b\``, with a pattern or, if `literal`, with a value."""
        if row.multi_valued:
            exact = _WILD.search(pattern) is None
            return Translated(self._backend.fits(column, pattern, inside=True), exact)
        if literal or not _WILD.search(pattern):
            return Translated(column == pattern, selective=row.indexed)
        prefix = _WILD.split(pattern, maxsplit=1)[0]
        where = _begins_with(column, prefix) if prefix else None
        if pattern != prefix + "*":
            fits = self._backend.fits(column, pattern)
            where = fits if where is None else where & fits
        return Translated(where, selective=row.indexed and bool(prefix))

    def _person_name(self, condition: PersonNameMatch, row: Attribute, columns: list[Node]) -> Translated:
        if condition.any_group is not None:
            return _any([self._text(column, condition.any_group, row) for column in columns])
        groups = [
            self._text(column, pattern, row)
            for column, pattern in zip(columns, condition.groups)
            if pattern is not None
        ]
        # Among several names the groups have to be those of one name, which SQL does not see.
        exact = all(group.exact for group in groups) and (len(groups) == 1 or not row.multi_valued)
        where = reduce(operator.and_, [group.where for group in groups])
        return Translated(where, exact, any(group.selective for group in groups))

    def _uids(self, condition: UIDList, row: Attribute, column: Node) -> Translated:
        if len(condition.values) == 1:
            return Translated(column == condition.values[0], selective=row.indexed)
        return Translated(self._backend.one_of(column, condition.values), selective=row.indexed)

    def _combined(self, condition: CombinedRange) -> Translated:
        """A date and a time as one moment (PS3.4 C.2.2.2.5)."""
        date_row, time_row = attribute(condition.date_keyword), attribute(condition.time_keyword)
        assert date_row is not None and time_row is not None, condition
        date = self._column(date_row, match_columns(date_row)[0])
        time = self._column(time_row, match_columns(time_row)[0])
        where = time.is_null(False)
        # The first comparison of each says nothing new, but leads to the index of the date.
        if condition.first is not None:
            day, moment = condition.first
            where &= (date >= day) & ((date > day) | (time >= moment))
        if condition.last is not None:
            day, moment = condition.last
            where &= (date <= day) & ((date < day) | (time <= moment))
        return Translated(where, selective=date_row.indexed)

    def _sequence(self, condition: SequenceMatch, column: Node) -> Translated:
        """Pick the rows whose JSON contains the plain texts that are asked for."""
        where = column.is_null(False)
        for inner in condition.conditions:
            if (
                isinstance(inner, SingleValue)
                and value_representation(inner.keyword) in _TEXT_VRS
                and _PLAIN_IN_JSON.fullmatch(inner.value)
            ):
                where &= self._backend.fits(column, f"*{inner.value}*")
        return Translated(where, exact=False)


def _any(alternatives: list[Translated]) -> Translated:
    return Translated(
        reduce(operator.or_, [alternative.where for alternative in alternatives]),
        all(alternative.exact for alternative in alternatives),
        all(alternative.selective for alternative in alternatives),
    )


def _between(column: Node, first: str | None, last: str | None) -> Node:
    if first is not None and first == last:
        return column == first
    if last is None:
        return column >= first
    return column <= last if first is None else (column >= first) & (column <= last)


def _begins_with(column: Node, prefix: str) -> Node:
    """Compare with a prefix as a range of an index."""
    end = successor(prefix)
    return (column >= prefix) if end is None else (column >= prefix) & (column < end)


def successor(prefix: str) -> str | None:
    """Return the first text after all that begin with a prefix.

    Parameters
    ----------
    prefix : str
        Not empty.

    Returns
    -------
    str or None
        In the order of code points, which is that of both databases. None if there is no such text.
    """
    while prefix:
        code_point = ord(prefix[-1]) + 1
        if 0xD800 <= code_point <= 0xDFFF:
            code_point = 0xE000  # there are no characters in between
        if code_point <= _CODE_POINT_MAX:
            return prefix[:-1] + chr(code_point)
        prefix = prefix[:-1]
    return None
