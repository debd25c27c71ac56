"""When studies seemed complete, and by what evidence, `Index.completions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from peewee import Query

from medserver.index.database import models
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import NewJob

_ROWS = models.Completions


class Completions:
    """What was noticed. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _note(self) -> Query:
        noted = insertion(_ROWS, ("study_instance_uid", "evidence", "at"))
        return noted.on_conflict(conflict_target=[_ROWS.study_instance_uid, _ROWS.evidence], preserve=[_ROWS.at])

    @statement
    def _of_study(self) -> Query:
        return _ROWS.select(_ROWS.evidence, _ROWS.at).where(_ROWS.study_instance_uid == PARAMETER)

    @statement
    def _prune(self) -> Query:
        return _ROWS.delete().where(_ROWS.at < PARAMETER)

    def note(self, evidence: str, studies: Iterable[str], at: datetime, jobs: Iterable[NewJob]) -> None:
        """Note that studies seemed complete at a moment, and add the jobs that follow, in one transaction.

        Parameters
        ----------
        evidence : str
            By what; only the last moment of each kind counts.
        studies : iterable of str
            Study Instance UIDs.
        """
        rows, jobs = [(study, evidence, to_text(at)) for study in studies], list(jobs)

        def perform(connection: Any, add_jobs: AddJobs) -> None:
            for row in rows:
                connection.execute(self._note, row)
            add_jobs(jobs)

        self._access.transact(perform)

    def of_study(self, study_instance_uid: str) -> Mapping[str, datetime]:
        """Return when a study seemed complete, by each evidence."""
        rows = self._access.rows(self._of_study, (study_instance_uid,))
        return {evidence: from_text(at) for evidence, at in rows}

    def prune(self, before: datetime) -> None:
        """Forget what was noticed before a moment."""
        self._access.writer.run(lambda connection: connection.execute(self._prune, (to_text(before),)))
