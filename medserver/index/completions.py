"""When studies seemed complete, and by what evidence, `Index.completions`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from medserver.index.access import Access
from medserver.index.job_records import NewJob
from medserver.index.moments import from_text, to_text


class Completions:
    """What was noticed. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._read = access.read
        self._writer = access.writer
        self._jobs = access.jobs
        self._job_table = access.job_table
        self._clock = access.clock
        self._note = access.backend.sql(
            'INSERT INTO completions (study_instance_uid, evidence, "at") VALUES (?, ?, ?) '
            'ON CONFLICT (study_instance_uid, evidence) DO UPDATE SET "at" = excluded."at"'
        )
        self._of_study = access.backend.sql('SELECT evidence, "at" FROM completions WHERE study_instance_uid = ?')
        self._prune = access.backend.sql('DELETE FROM completions WHERE "at" < ?')

    def note(self, evidence: str, studies: Iterable[str], at: datetime, jobs: Iterable[NewJob]) -> None:
        """Note that studies seemed complete at a moment, and add the jobs that follow, in one transaction.

        Parameters
        ----------
        evidence : str
            By what; only the last moment of each kind counts.
        studies : iterable of str
            Study Instance UIDs.
        """
        rows, jobs, now = [(study, evidence, to_text(at)) for study in studies], list(jobs), self._clock()

        def perform(connection: Any) -> None:
            for row in rows:
                connection.execute(self._note, row)
            self._job_table.add(connection, jobs, now)

        self._writer.run(perform)
        self._jobs.announce(job.lane for job in jobs)

    def of_study(self, study_instance_uid: str) -> Mapping[str, datetime]:
        """Return when a study seemed complete, by each evidence."""
        rows = self._read(lambda connection: connection.execute(self._of_study, (study_instance_uid,)).fetchall())
        return {evidence: from_text(at) for evidence, at in rows}

    def prune(self, before: datetime) -> None:
        """Forget what was noticed before a moment."""
        self._writer.run(lambda connection: connection.execute(self._prune, (to_text(before),)))
