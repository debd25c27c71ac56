"""How far work has come that can be resumed, `Index.progress`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import EXCLUDED, Query

from medserver.audit.rows import AuditRow

from medserver.index.database import models
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.statements import PARAMETER, insertion, statement


class Progress:
    """Notes how far work has come, by its name.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    def get(self, name: str) -> str | None:
        """Return what `set` noted, or None."""
        rows = self._access.rows(self._find, (name,))
        return rows[0][0] if rows else None

    def set(self, name: str, value: str | None) -> None:
        """Note how far a piece of work has come.

        Parameters
        ----------
        name : str
            The piece of work.
        value : str or None
            How far; None when it is finished.
        """
        noted = (self._delete, (name,)) if value is None else (self._note, (name, value))
        self._access.writer.run(lambda connection: connection.execute(*noted) and None)

    def exchange(self, name: str, known: str | None, value: str, told: Sequence[AuditRow] = ()) -> bool:
        """Note how far a piece of work has come, unless somebody else has since.

        Parameters
        ----------
        name : str
            The piece of work.
        known : str or None
            What `get` returned.
        value : str
            How far it has come.
        told : sequence of AuditRow
            What the audit trail tells of it, in the same transaction.

        Returns
        -------
        bool
            False if it is not as known any more, and nothing was done.
        """

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            self._backend.lock(connection, f"progress {name}")
            rows = connection.execute(self._find, (name,)).fetchall()
            if (rows[0][0] if rows else None) != known:
                return False
            connection.execute(self._note, (name, value))
            add_jobs(told)
            return True

        return self._access.transact(perform)

    @statement
    def _find(self) -> Query:
        return models.Progress.select(models.Progress.value).where(models.Progress.name == PARAMETER)

    @statement
    def _note(self) -> Query:
        row = insertion(models.Progress, ("name", "value"))
        return row.on_conflict(conflict_target=[models.Progress.name], update={models.Progress.value: EXCLUDED.value})

    @statement
    def _delete(self) -> Query:
        return models.Progress.delete().where(models.Progress.name == PARAMETER)
