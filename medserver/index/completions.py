"""When studies seemed complete, and by what evidence, `Index.completions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from medserver.index.backend import Backend
from medserver.index.job_records import NewJob
from medserver.index.job_table import JobTable
from medserver.index.jobs import Jobs
from medserver.index.moments import from_text, to_text
from medserver.index.writer import Writer


class Completions:
    """What was noticed. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    backend, read, writer, jobs, job_table, clock
        As for `upkeep.Upkeep`.
    """

    def __init__(
        self,
        backend: Backend,
        read: Callable[..., Any],
        writer: Writer,
        jobs: Jobs,
        job_table: JobTable,
        clock: Callable[[], datetime],
    ) -> None:
        self._read = read
        self._writer = writer
        self._jobs = jobs
        self._job_table = job_table
        self._clock = clock
        self._note = backend.sql(
            'INSERT INTO completions (study_instance_uid, evidence, "at") VALUES (?, ?, ?) '
            'ON CONFLICT (study_instance_uid, evidence) DO UPDATE SET "at" = excluded."at"'
        )
        self._of_study = backend.sql('SELECT evidence, "at" FROM completions WHERE study_instance_uid = ?')
        self._prune = backend.sql('DELETE FROM completions WHERE "at" < ?')

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
