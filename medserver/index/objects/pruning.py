"""Deleting series, studies and patients that have nothing below them any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from peewee import SQL, Delete, ForeignKeyField, Model, Query, fn

from medserver.index.database.backend import Backend
from medserver.index.database.models import Instances, Patients, Series, Studies
from medserver.index.database.statements import PARAMETER, statement
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
        self._backend = backend
        self._hierarchy = hierarchy

    @statement
    def _lock_patients(self) -> Query:
        patients = Studies.select(Studies.patient).where(Studies.id.in_(self._studies()))
        chosen = Patients.select(Patients.id).where(Patients.id.in_(patients))
        return self._backend.locked(chosen.order_by(Patients.id))

    @statement
    def _lock_studies(self) -> Query:
        chosen = Studies.select(Studies.id).where(Studies.id.in_(self._studies()))
        return self._backend.locked(chosen.order_by(Studies.id))

    def _studies(self) -> Query:
        return Series.select(Series.study).where(self._backend.is_among(Series.id))

    @statement
    def _delete_series(self) -> Query:
        return _deletion_of_empty(Series, Instances.series).returning(Series.study)

    @statement
    def _delete_study(self) -> Query:
        return _deletion_of_empty(Studies, Series.study).returning(Studies.patient)

    @statement
    def _delete_patient(self) -> Query:
        return _deletion_of_empty(Patients, Studies.patient)

    def prune(self, connection: Any, series: Collection[int]) -> None:
        """Delete those of some series that are empty, and what becomes empty above them.

        Of two transactions which each take away one of two instances the second one waits here for the first, and sees
        what that did.

        Parameters
        ----------
        connection
            A connection in a transaction, which will take no other instance away.
        series : collection of int
            The rows of the series.
        """
        if not series:
            return
        listed = (self._backend.list_parameter(sorted(series)),)
        for lock in (self._lock_patients, self._lock_studies):  # from the top, as those who change these rows
            connection.execute(lock, listed).fetchall()
        for each in sorted(series):
            self._prune(connection, each)

    def _prune(self, connection: Any, series: int) -> None:
        studies = connection.execute(self._delete_series, (series,)).fetchall()
        if not studies:
            return
        self._hierarchy.forget()
        patients = connection.execute(self._delete_study, studies[0]).fetchall()
        if patients:
            connection.execute(self._delete_patient, patients[0])


def _deletion_of_empty(model: type[Model], parent: ForeignKeyField) -> Delete:
    """Build the deletion of a row that no row below it refers to."""
    has_any = fn.EXISTS(parent.model.select(SQL("1")).where(parent == model.id))
    return model.delete().where((model.id == PARAMETER) & ~has_any)
