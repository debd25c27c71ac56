"""How much the index holds."""

from __future__ import annotations

from datetime import datetime

from peewee import SQL, Query, Select, Table, fn

from medserver.index.database.access import Access
from medserver.index.database.models import (
    CURRENT_OBJECT,
    Conflicts,
    Instances,
    Locations,
    Objects,
    Patients,
    Series,
    Studies,
)
from medserver.index.database.moments import from_text
from medserver.index.database.statements import PARAMETER, spelled, statement
from medserver.index.database.tables import TABLES
from medserver.index.objects.records import Counts


class HeldCounts:
    """Counts what the index holds.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    def all(self) -> Counts:
        """Return how much there is."""
        [row] = self._access.rows(self._counts)
        return Counts(*row)

    def only_here(self) -> dict[str, int]:
        """Count what a rebuild from the volumes would not bring back, by what it is."""
        found: dict[str, int] = {}
        for name, table in TABLES.items():
            if table.lost_by_rebuild:
                counted = Table(name).select(fn.COUNT(SQL("*"))).where(SQL(table.counted))
                [[count]] = self._access.rows(spelled(self._backend, counted))
                found[table.lost_by_rebuild] = found.get(table.lost_by_rebuild, 0) + count
        return {what: count for what, count in found.items() if count}

    def last_received_at(self, study_instance_uid: str, series_instance_uid: str = "") -> datetime | None:
        """Return when the last instance of a study, or of one series of it, was received; None if there is none."""
        parameters = (study_instance_uid, series_instance_uid, series_instance_uid)
        [[last]] = self._access.rows(self._last_received, parameters)
        return from_text(last) if last else None

    @statement
    def _counts(self) -> Query:
        rows = [model.select(fn.COUNT(SQL("*"))) for model in (Patients, Studies, Series, Instances)]
        with_file = Objects.select(fn.COUNT(Objects.id.distinct())).join_from(Objects, Locations)
        rows += [with_file.where(Objects.is_current == 0)]
        rows += [model.select(fn.COUNT(SQL("*"))) for model in (Locations, Conflicts)]
        size_bytes = fn.COALESCE(fn.SUM(Objects.size_bytes), 0).cast("BIGINT")
        return Select(columns=[*rows, Objects.select(size_bytes).where(Objects.is_current == 1)])

    @statement
    def _last_received(self) -> Query:
        of_study = Objects.select(fn.MAX(Objects.received_at)).join_from(Objects, Instances, on=CURRENT_OBJECT)
        of_study = of_study.join_from(Instances, Series).join_from(Series, Studies)
        series = (Series.series_instance_uid == PARAMETER) | (PARAMETER == "")
        return of_study.where((Studies.study_instance_uid == PARAMETER) & series)
