"""Deleting series, studies and patients that have nothing below them any more."""

from __future__ import annotations

from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.objects.hierarchy import Hierarchy


class Pruning:
    """Deletes what has become empty.

    Parameters
    ----------
    backend : Backend
        The database.
    hierarchy : Hierarchy
        Told to forget what it remembers whenever a row above the instances is deleted.
    """

    def __init__(self, backend: Backend, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._lock = [
            backend.sql(statement + backend.for_update) if backend.for_update else ""
            for statement in (
                "SELECT id FROM patients WHERE id = (SELECT patient FROM studies WHERE id = "
                "(SELECT study FROM series WHERE id = ?))",
                "SELECT id FROM studies WHERE id = (SELECT study FROM series WHERE id = ?)",
            )
        ]
        self._is_empty = backend.sql(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM instances WHERE instances.series = ?)"
        )
        self._delete_series = backend.sql(
            "DELETE FROM series WHERE id = ? AND NOT EXISTS "
            "(SELECT 1 FROM instances WHERE instances.series = series.id) RETURNING study"
        )
        self._delete_study = backend.sql(
            "DELETE FROM studies WHERE id = ? AND NOT EXISTS "
            "(SELECT 1 FROM series WHERE series.study = studies.id) RETURNING patient"
        )
        self._delete_patient = backend.sql(
            "DELETE FROM patients WHERE id = ? AND NOT EXISTS "
            "(SELECT 1 FROM studies WHERE studies.patient = patients.id)"
        )

    def prune_series(self, connection: Any, series: int) -> None:
        """Delete a series if it is empty, and what becomes empty above it.

        Parameters
        ----------
        connection
            A connection in a transaction.
        series : int
            The row of the series.
        """
        if not connection.execute(self._is_empty, (series,)).fetchall():
            return
        for statement in filter(None, self._lock):  # from the top, as those who change these rows
            connection.execute(statement, (series,))
        studies = connection.execute(self._delete_series, (series,)).fetchall()
        if not studies:
            return
        self._hierarchy.forget()
        patients = connection.execute(self._delete_study, studies[0]).fetchall()
        if patients:
            connection.execute(self._delete_patient, patients[0])
