"""The instances that a retrieve is about: counted first, then read piece by piece."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from peewee import Query

from medserver.dicom.attributes import attribute
from medserver.dicom.matching import Condition
from medserver.index.audit.subjects import Subject, Subjects
from medserver.index.database.backend import Backend, Connections
from medserver.index.database.models import CURRENT_OBJECT, MODELS, Instances, Locations, Objects, Series
from medserver.index.database.statements import statement
from medserver.index.find import answers
from medserver.index.find.query import Matching, compiled, levels_between, rows_of
from medserver.index.objects.copies import COPY_COLUMNS, Preference, copy_of
from medserver.index.objects.records import StoredCopy

PAGE_ROWS = 500


class Pages:
    """Reads instances by the numbers of their rows.

    Parameters
    ----------
    backend : Backend
        The database.
    connections : Connections
        To read with.
    preference : Preference
        Which copy of an instance is told.
    """

    def __init__(self, backend: Backend, connections: Connections, preference: Preference) -> None:
        self._backend = backend
        self._connections = connections
        self._preference = preference
        self._subjects = Subjects(backend)

    @statement
    def _read(self) -> Query:
        query = rows_of(levels_between(("STUDY",), "IMAGE"), Instances.id, *COPY_COLUMNS)
        query = query.join_from(Instances, Objects, on=CURRENT_OBJECT)
        query = query.join_from(Objects, Locations, on=Locations.object == Objects.id)
        return query.where(self._backend.is_among(Instances.id))

    def subjects(self, rows: Sequence[int]) -> list[Subject]:
        """Return whose instances they are, and of which studies.

        Raises
        ------
        IndexFailure
            If the database fails.
        """
        try:
            with self._connections.lent() as connection:
                return self._subjects.by_row(connection, rows)
        except self._backend.errors as error:
            raise self._backend.failure(error) from error

    def read(self, rows: Sequence[int]) -> list[StoredCopy]:
        """Return the instances of some rows, in their order; without those that were deleted since.

        Raises
        ------
        IndexFailure
            If the database fails.
        """
        parameters: tuple[Any, ...] = (self._backend.list_parameter(rows),)
        try:
            with self._connections.lent() as connection:
                found = self._preference.first(connection.execute(self._read, parameters))
        except self._backend.errors as error:
            raise self._backend.failure(error) from error
        return [copy_of(found[row][1:]) for row in rows if row in found]


class Selection:
    """Instances, in the order study, series, Instance Number.

    It holds eight bytes an instance, and no connection. Iterating reads a page at a time, any number of
    times; an instance that was deleted since is left out, so that fewer than `count` may come.

    Parameters
    ----------
    backend : Backend
        The database.
    connections : Connections
        To read with.
    conditions : iterable of Condition
        All have to be fulfilled.
    pages : Pages
        Reads them.
    patients_only : bool
        As in `Query`.

    Attributes
    ----------
    count : int
        The number of instances.
    contexts : list of tuple (sop_class_uid, transfer_syntax_uid, count)
        What they are and how they are encoded, the most frequent first.

    Raises
    ------
    IndexFailure
        If the database fails.
    ValueError
        If a condition is on an attribute that the index does not keep.
    """

    def __init__(
        self,
        backend: Backend,
        connections: Connections,
        conditions: Iterable[Condition],
        pages: Pages,
        patients_only: bool = False,
    ) -> None:
        self._backend = backend
        self._connections = connections
        self._pages = pages
        self._rows: array[int] = array("q")
        counter: Counter[tuple[str, str]] = Counter()
        try:
            for row, sop_class_uid, transfer_syntax_uid in self._matches(tuple(conditions), patients_only):
                self._rows.append(row)
                counter[sop_class_uid, transfer_syntax_uid] += 1
        except backend.errors as error:
            raise backend.failure(error) from error
        self.count = len(self._rows)
        self.contexts = [(*context, count) for context, count in counter.most_common()]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[StoredCopy]:
        for start in range(0, len(self._rows), PAGE_ROWS):
            yield from self._pages.read(self._rows[start : start + PAGE_ROWS])

    def subjects(self) -> list[Subject]:
        """Return whose instances they are, and of which studies. Raises `IndexFailure` if the database fails."""
        return self._pages.subjects(self._rows)

    def _matches(self, conditions: Sequence[Condition], patients_only: bool) -> Iterator[tuple[int, str, str]]:
        """Yield instance, SOP class and transfer syntax of what matches."""
        matching = Matching(self._backend, "IMAGE", conditions, patients_only)
        checked = answers.keywords(matching.unsure)
        attributes = [row for keyword in checked if (row := attribute(keyword))]
        query = matching.rows(
            Instances.id,
            Instances.sop_class_uid,
            Objects.transfer_syntax_uid,
            *[getattr(MODELS[row.level], row.column or "") for row in attributes],
            levels=("SERIES",),
        ).join_from(Instances, Objects, on=CURRENT_OBJECT)
        query = query.order_by(Series.study, Series.id, Instances.instance_number_order, Instances.id)
        text, parameters = compiled(self._backend, query)
        with self._connections.lent() as connection:
            for row in self._backend.stream(connection, text, parameters):
                if answers.fulfils(matching.unsure, dict(zip(checked, row[3:]))):
                    yield row[0], row[1], row[2]
