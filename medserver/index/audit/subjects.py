"""Whose instances they are, and of which studies: what audit messages tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from peewee import SQL, Query, fn

from medserver.index.database.backend import Backend
from medserver.index.database.models import Instances, Patients, Series, Studies
from medserver.index.database.statements import PARAMETER, statement

PAGE_ROWS = 500


class Subject(NamedTuple):
    """Instances of a SOP class and a study, and the patient."""

    study_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    sop_class_uid: str
    count: int


class Subjects:
    """Counts instances by patient, study and SOP class.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _by_row(self) -> Query:
        return _counted(self._backend.is_among(Instances.id))

    @statement
    def _by_uid(self) -> Query:
        return _counted(self._backend.is_among(Instances.sop_instance_uid))

    @statement
    def _of_study(self) -> Query:
        found = Studies.select(SQL("1")).where(Studies.study_instance_uid == PARAMETER)
        return found.limit(1)

    def by_row(self, connection: Any, rows: Sequence[int]) -> list[Subject]:
        """Return what instances are, by the numbers of their rows; those that were deleted since are left out."""
        return self._all(connection, self._by_row, rows)

    def by_uid(self, connection: Any, sop_instance_uids: Iterable[str]) -> list[Subject]:
        """Return what instances are, by their UIDs."""
        return self._all(connection, self._by_uid, list(sop_instance_uids))

    def has_study(self, connection: Any, study_instance_uid: str) -> bool:
        """Tell whether anything of a study is there."""
        return bool(connection.execute(self._of_study, (study_instance_uid,)).fetchall())

    def _all(self, connection: Any, text: str, values: Sequence[Any]) -> list[Subject]:
        counts: dict[tuple[str, ...], int] = {}
        for first in range(0, len(values), PAGE_ROWS):
            page = self._backend.list_parameter(list(values[first : first + PAGE_ROWS]))
            for *key, count in connection.execute(text, (page,)).fetchall():
                key = tuple(each or "" for each in key)
                counts[key] = counts.get(key, 0) + count
        return [Subject(*key, count) for key, count in sorted(counts.items())]


def _counted(condition: Any) -> Any:
    columns = (
        Studies.study_instance_uid,
        Studies.accession_number,
        Patients.patient_id,
        Patients.patient_name,
        Instances.sop_class_uid,
    )
    query = Instances.select(*columns, fn.COUNT(SQL("*")))
    query = query.join_from(Instances, Series).join_from(Series, Studies).join_from(Studies, Patients)
    return query.where(condition).group_by(*columns)
