"""Performed procedure steps, as rows: their state, and their attributes as a text of DICOM JSON (PS3.18 F)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from peewee import EXCLUDED, Field, ModelSelect, Query

from medserver.audit.rows import AuditRow
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import PerformedSteps as Steps
from medserver.index.database.models import PerformedStepSeries as Series
from medserver.index.database.models import PerformedStepStudies as Studies
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import NewJob

PAGE_ROWS = 500

_COLUMNS = ("sop_instance_uid", "state", "content", "calling_ae_title", "created_at", "changed_at")


@dataclass(frozen=True, slots=True)
class PerformedStep:
    """One performed procedure step.

    Parameters
    ----------
    sop_instance_uid, state : str
        Which, and its Performed Procedure Step Status.
    content : str
        All its attributes, as the text of a DICOM JSON object.
    calling_ae_title : str
        Who created it.
    created_at, changed_at : datetime
        When it was created, and last changed.
    studies, series : tuple of str
        The Study Instance UIDs that it belongs to, and the Series Instance UIDs that it names.
    """

    sop_instance_uid: str
    state: str
    content: str
    calling_ae_title: str
    created_at: datetime
    changed_at: datetime
    studies: tuple[str, ...] = ()
    series: tuple[str, ...] = ()


class Change(NamedTuple):
    """What a step becomes, the jobs that follow from it, and the Series Instance UIDs that it names."""

    state: str
    content: str
    jobs: Sequence[NewJob] = ()
    series: Sequence[str] = ()


class PerformedSteps:
    """The performed procedure steps of an index, `Index.performed_steps`.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _insert(self) -> Query:
        return insertion(Steps, _COLUMNS).on_conflict(action="NOTHING").returning(Steps.id)

    @statement
    def _restore(self) -> Query:
        return insertion(Steps, _COLUMNS).on_conflict(
            conflict_target=[Steps.sop_instance_uid],
            preserve=[Steps.state, Steps.content, Steps.changed_at],
            where=EXCLUDED.changed_at > Steps.changed_at,
        ).returning(Steps.id)

    @statement
    def _insert_study(self) -> Query:
        return insertion(Studies, ("sop_instance_uid", "study_instance_uid")).on_conflict(action="NOTHING")

    @statement
    def _insert_series(self) -> Query:
        return insertion(Series, ("sop_instance_uid", "series_instance_uid")).on_conflict(action="NOTHING")

    @statement
    def _delete_series(self) -> Query:
        return Series.delete().where(Series.sop_instance_uid == PARAMETER)

    @statement
    def _studies(self) -> Query:
        return Studies.select(Studies.study_instance_uid).where(Studies.sop_instance_uid == PARAMETER)

    @statement
    def _series(self) -> Query:
        return Series.select(Series.series_instance_uid).where(Series.sop_instance_uid == PARAMETER)

    @statement
    def _find(self) -> Query:
        return _steps().where(Steps.sop_instance_uid == PARAMETER)

    @statement
    def _lock(self) -> Query:
        return self._backend.locked(_steps().where(Steps.sop_instance_uid == PARAMETER))

    @statement
    def _of_study(self) -> Query:
        uids = Studies.select(Studies.sop_instance_uid).where(Studies.study_instance_uid == PARAMETER)
        return _steps().where(Steps.sop_instance_uid.in_(uids)).order_by(Steps.id)

    @statement
    def _of_series(self) -> Query:
        uids = Series.select(Series.sop_instance_uid).where(Series.series_instance_uid == PARAMETER)
        return _steps().where(Steps.sop_instance_uid.in_(uids)).order_by(Steps.id)

    @statement
    def _page(self) -> Query:
        return _steps(Steps.id).where(Steps.id > PARAMETER).order_by(Steps.id).limit(PAGE_ROWS)

    @statement
    def _update(self) -> Query:
        changed = dict.fromkeys((Steps.state, Steps.content, Steps.changed_at), PARAMETER)
        return Steps.update(changed).where(Steps.sop_instance_uid == PARAMETER)

    def add(
        self,
        sop_instance_uid: str,
        state: str,
        content: str,
        calling_ae_title: str,
        studies: Sequence[str],
        told: Sequence[AuditRow] = (),
    ) -> bool:
        """Add a step that belongs to studies, and what is told of that; False if there is one of this UID."""
        moment = to_text(self._access.clock())
        row = (sop_instance_uid, state, content, calling_ae_title, moment, moment)

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            if not connection.execute(self._insert, row).fetchall():
                return False
            self._note_studies(connection, sop_instance_uid, studies)
            add_jobs(told)
            return True

        return self._access.transact(perform)

    def restore(self, steps: Iterable[PerformedStep]) -> None:
        """Enter steps that were in another index, as far as this one does not know them in that state or a later."""
        steps = list(steps)

        def perform(connection: Any) -> None:
            for step in steps:
                moments = (to_text(step.created_at), to_text(step.changed_at))
                row = (step.sop_instance_uid, step.state, step.content, step.calling_ae_title, *moments)
                if connection.execute(self._restore, row).fetchall():
                    self._note_studies(connection, step.sop_instance_uid, step.studies)
                    self._note_series(connection, step.sop_instance_uid, step.series)

        self._access.writer.run(perform)

    def _note_studies(self, connection: Any, sop_instance_uid: str, studies: Iterable[str]) -> None:
        for study in dict.fromkeys(studies):
            connection.execute(self._insert_study, (sop_instance_uid, study))

    def _note_series(self, connection: Any, sop_instance_uid: str, series: Iterable[str]) -> None:
        connection.execute(self._delete_series, (sop_instance_uid,))
        for uid in dict.fromkeys(series):
            connection.execute(self._insert_series, (sop_instance_uid, uid))

    def change(self, sop_instance_uid: str, change: Callable[[PerformedStep], Change]) -> bool:
        """Change a step, which nobody else changes meanwhile.

        Parameters
        ----------
        sop_instance_uid : str
            Which.
        change : callable
            Takes it and returns what it becomes; what it raises leaves it as it is. May be called more than once.

        Returns
        -------
        bool
            False if there is none.
        """
        moment = to_text(self._access.clock())

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            rows = connection.execute(self._lock, (sop_instance_uid,)).fetchall()
            if not rows:
                return False
            changed = change(_step(rows[0]))
            connection.execute(self._update, (changed.state, changed.content, moment, sop_instance_uid))
            self._note_series(connection, sop_instance_uid, changed.series)
            add_jobs(changed.jobs)
            return True

        return self._access.transact(perform)

    def get(self, sop_instance_uid: str) -> PerformedStep | None:
        """Return a step with its studies and series, None if there is none."""

        def read(connection: Any) -> PerformedStep | None:
            rows = connection.execute(self._find, (sop_instance_uid,)).fetchall()
            if not rows:
                return None
            studies, series = (
                tuple(row[0] for row in connection.execute(sql, (sop_instance_uid,)).fetchall())
                for sql in (self._studies, self._series)
            )
            return replace(_step(rows[0]), studies=studies, series=series)

        return self._access.read_at_once(read)

    def of_study(self, study_instance_uid: str) -> list[PerformedStep]:
        """Return the steps of a study, the oldest first."""
        rows = self._access.rows(self._of_study, (study_instance_uid,))
        return [_step(row) for row in rows]

    def of_series(self, series_instance_uid: str) -> list[PerformedStep]:
        """Return the steps that name a series, the oldest first."""
        rows = self._access.rows(self._of_series, (series_instance_uid,))
        return [_step(row) for row in rows]

    def all(self) -> Iterator[PerformedStep]:
        """Yield every step, the oldest first."""
        last = 0
        while rows := self._access.rows(self._page, (last,)):
            yield from (_step(row[1:]) for row in rows)
            last = rows[-1][0]


def _steps(*columns: Field) -> ModelSelect:
    """Build the query for steps, with other columns before theirs."""
    return Steps.select(*columns, *(getattr(Steps, name) for name in _COLUMNS))


def _step(row: Sequence[Any]) -> PerformedStep:
    return PerformedStep(*row[:4], from_text(row[4]), from_text(row[5]))
