"""Answering a query piece by piece.

The numbers of all matching rows are read at once and kept, eight bytes each; the answers are read in
pages when they are asked for. Between two pages no connection, cursor or transaction is held: a peer that
takes its answers slowly costs nothing, and keeps neither SQLite from emptying its log nor PostgreSQL from
cleaning up. So that the first answers come early, the first page is looked for on its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence, Set
from functools import reduce
from operator import and_
from typing import Any

from peewee import Node

from medserver.dicom.attributes import LEVELS, attribute
from medserver.dicom.matching import Condition
from medserver.index.database.backend import Backend, Connections
from medserver.index.database.models import CURRENT_OBJECT, MODELS, Locations, Objects
from medserver.index.find import answers, computed
from medserver.index.find.below import Below
from medserver.index.find.query import Matching, Query, compiled, levels_between, lowest, rows_of
from medserver.index.find.translation import Translator
from medserver.index.objects import acquisitions
from medserver.index.objects.copies import COPY_COLUMNS, Preference, copy_of

FIRST_PAGE_ROWS = 100
PAGE_ROWS = 500
PAGE_ROWS_BELOW = 25
"""How many rows are read at once if all that is below them has to be checked: that may be thousands for each."""


class Find:
    """One query that is being answered.

    Parameters
    ----------
    backend : Backend
        The database.
    connections : Connections
        To read with.
    query : Query
        What is asked.
    preference : Preference
        Which copy of an instance is told, if one is asked for.

    Raises
    ------
    ValueError
        If a condition is on an attribute that the index does not keep.
    """

    def __init__(
        self,
        backend: Backend,
        connections: Connections,
        query: Query,
        preference: Preference = Preference(),
    ) -> None:
        self._backend = backend
        self._preference = preference
        self._connections = connections
        self._level = query.level
        self._newest_first = query.newest_first
        self._matching = Matching(backend, query.level, query.conditions, query.patients_only)
        self._with_location = query.with_location and query.level == "IMAGE"
        self._with_acquisition = query.with_acquisition and query.level == "IMAGE"
        self._keys = [keyword for keyword in dict.fromkeys(query.return_keys) if self._is_kept(keyword)]
        self._checked = answers.keywords(self._matching.unsure)
        self._converters = [
            (keyword, convert)
            for keyword in self._keys
            if (row := attribute(keyword)) and (convert := answers.converter(row))
        ]
        self._page_sql = self._page_statement()

    def answers(self) -> Iterator[dict[str, Any] | None]:
        """Yield the answers, the newest first or in no particular order, as the query says.

        Yields
        ------
        dict or None
            None for a row that does not match after all: the caller can look up from a long search in vain.
            Else keyword -> value: None, a text, an integer for a count, a list of texts for an attribute that
            may have several values, a list of DICOM JSON items for a sequence.

        Raises
        ------
        IndexFailure
            If the database fails.
        """
        try:
            first = self._matches(FIRST_PAGE_ROWS)
            yield from self._pages(first)
            if len(first) < FIRST_PAGE_ROWS:
                return
            answered = set(first)
            yield from self._pages(self._matches(), answered)
        except self._backend.errors as error:
            raise self._backend.failure(error) from error

    def _is_kept(self, keyword: str) -> bool:
        row = attribute(keyword)
        if row is None or row.level not in LEVELS:
            return False
        return LEVELS.index(row.level) <= LEVELS.index(self._level)

    def _matches(self, rows_max: int | None = None) -> array[int]:
        """Return the rows that may match."""
        number = MODELS[self._level].id
        query = self._matching.rows(number)
        if self._newest_first:
            query = query.order_by(number.desc())
        statement, parameters = compiled(self._backend, query.limit(rows_max) if rows_max else query)
        with self._connections.lent() as connection:
            if rows_max:
                found = connection.execute(statement, tuple(parameters))
            else:
                found = self._backend.stream(connection, statement, parameters)
            return array("q", (row[0] for row in found))

    def _page_statement(self) -> str:
        """Return the SQL that reads the answers for a list of rows, its only parameter."""
        model = MODELS[self._level]
        attributes = [row for keyword in (*self._keys, *self._checked) if (row := attribute(keyword))]
        columns: list[Node] = [
            computed.expression(self._backend, row.keyword)
            if row.computed
            else getattr(MODELS[row.level], row.column or "")
            for row in attributes
        ]
        levels = [row.level for row in attributes]
        if self._with_acquisition:
            columns.append(MODELS["IMAGE"].acquisition)
        if self._with_location:
            levels.append("STUDY")
            columns += COPY_COLUMNS
        query = rows_of(levels_between(levels, self._level), model.id, *columns)
        if self._with_location:
            query = query.join_from(model, Objects, on=CURRENT_OBJECT)
            query = query.join_from(Objects, Locations, on=Locations.object == Objects.id)
        statement, parameters = compiled(self._backend, query.where(self._backend.one_of(model.id, [])))
        assert len(parameters) == 1, statement
        return statement

    def _pages(self, rows: Sequence[int], answered: Set[int] = frozenset()) -> Iterator[dict[str, Any] | None]:
        """Yield the answers for many rows without those that were answered before."""
        page_rows = PAGE_ROWS_BELOW if self._matching.unsure_below else PAGE_ROWS
        for start in range(0, len(rows), page_rows):
            yield from self._page([row for row in rows[start : start + page_rows] if row not in answered])

    def _page(self, rows: Sequence[int]) -> Iterator[dict[str, Any] | None]:
        """Yield the answers for some rows; a row that was deleted in the meantime does not match."""
        if not rows:
            return
        with self._connections.lent() as connection:
            parameters = (self._backend.list_parameter(rows),)
            answered = connection.execute(self._page_sql, parameters)
            found = self._preference.first(answered) if self._with_location else {row[0]: row for row in answered}
            fulfilling = self._check_below(connection, rows)
        count = len(self._keys) + 1
        for number in rows:
            row = found.get(number)
            if row is None or number not in fulfilling:
                yield None
                continue
            checked = dict(zip(self._checked, row[count:]))
            if not answers.fulfils(self._matching.unsure, checked):
                yield None
                continue
            answer = dict(zip(self._keys, row[1:count]))
            for keyword, convert in self._converters:
                answer[keyword] = convert(answer[keyword])
            if self._with_acquisition:
                answer["acquisition"] = acquisitions.decoded(row[count + len(self._checked)])
            if self._with_location:
                answer["location"] = copy_of(row[-len(COPY_COLUMNS) :])
            yield answer

    def _check_below(self, connection: Any, rows: Sequence[int]) -> set[int]:
        """Return the rows that have one below them which fulfils what SQL cannot decide."""
        conditions = self._matching.unsure_below
        if not conditions:
            return set(rows)
        return _parents_fulfilling(self._backend, connection, self._level, conditions, rows)


def _parents_fulfilling(
    backend: Backend, connection: Any, level: str, conditions: Sequence[Condition], rows: Sequence[int]
) -> set[int]:
    below = Below(level, lowest(conditions))
    translator = Translator(backend, below.models)
    where = reduce(and_, [translator.translate(condition).where for condition in conditions])
    keywords = answers.keywords(conditions)
    columns = [
        getattr(below.models[row.level], row.column or "")
        for keyword in keywords
        if (row := attribute(keyword))
    ]
    query = below.rows(below.parent, *columns).where(where & backend.one_of(below.parent, rows))
    statement, parameters = compiled(backend, query)
    return {
        row[0]
        for row in backend.stream(connection, statement, parameters)
        if answers.fulfils(conditions, dict(zip(keywords, row[1:])))
    }
