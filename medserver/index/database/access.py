"""What each part of an index works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from medserver.audit.rows import AuditRow
from medserver.index.audit.records import Counted
from medserver.index.audit.table import AuditTable
from medserver.index.database.backend import Backend
from medserver.index.database.writer import Writer
from medserver.index.jobs.jobs import Jobs
from medserver.index.jobs.records import NewJob
from medserver.index.jobs.table import JobTable

Result = TypeVar("Result")
Following = NewJob | AuditRow | Counted
"""What follows from a change, and is added in its transaction: jobs, and what the audit trail tells or counts of it."""

AddJobs = Callable[[Iterable[Following]], None]


@dataclass(frozen=True, slots=True)
class Access:
    """The ways to the database.

    Parameters
    ----------
    backend : Backend
        The database.
    read : callable
        Reads with a connection that is lent.
    writer : Writer
        Performs transactions.
    jobs : Jobs
        Told of jobs that are added.
    job_table : JobTable
        The SQL of that.
    audit_table : AuditTable
        The SQL of what is told of a change.
    clock : callable
        Tells the present moment.
    """

    backend: Backend
    read: Callable[..., Any]
    writer: Writer
    jobs: Jobs
    job_table: JobTable
    audit_table: AuditTable
    clock: Callable[[], datetime]

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """Return all rows that a statement selects."""
        return self.read(lambda connection: connection.execute(statement, parameters).fetchall())

    def read_at_once(self, read: Callable[..., Result], *arguments: Any) -> Result:
        """Read with several statements that see one state of the database."""

        def perform(connection: Any) -> Result:
            self.backend.begin_reading(connection)
            try:
                return read(connection, *arguments)
            finally:
                self.backend.rollback(connection)

        return self.read(perform)

    def transact(
        self, perform: Callable[[Any, AddJobs], Result], order: tuple[str, ...] = (), *, flushed: bool = False
    ) -> Result:
        """Perform a transaction that may add jobs; who waits for jobs is told of them after the commit.

        Parameters
        ----------
        perform : callable
            Takes the connection and a function that adds jobs and audit messages, and returns the result. They are
            added behind everything else that it does. May be called more than once, as for `Writer.run`.
        order, flushed
            As for `Writer.run`.

        Returns
        -------
        Result
            What `perform` returned; it is durable.
        """
        now, jobs = self.clock(), list[NewJob]()

        def task(connection: Any) -> Result:
            jobs.clear()
            following: list[Following] = []
            result = perform(connection, following.extend)
            for each in following:
                if isinstance(each, NewJob):
                    jobs.append(each)
                elif isinstance(each, Counted):
                    self.audit_table.count(connection, each)
                else:
                    self.audit_table.insert(connection, [each])
            if jobs:
                self.job_table.add(connection, jobs, now)
            return result

        result = self.writer.run(task, order, flushed=flushed)
        if jobs:
            self.jobs.announce(job.lane for job in jobs)
        return result
