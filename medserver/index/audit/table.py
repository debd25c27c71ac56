"""Audit rows in the transactions of others: those that tell of a change, and what has come over an association."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peewee import Query

from medserver.audit.rows import AuditRow
from medserver.index.audit.records import Counted
from medserver.index.database.backend import Backend
from medserver.index.database.models import AuditPending, AuditTransfers
from medserver.index.database.statements import insertion, statement

TRANSFER_KEY = ("association", "study_instance_uid", "sop_class_uid", "action", "outcome")


class AuditTable:
    """The SQL that works in transactions of others.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _insert(self) -> Query:
        return insertion(AuditPending, AuditRow._fields)

    @statement
    def _count(self) -> Query:
        row = insertion(AuditTransfers, (*TRANSFER_KEY, "parties", "patient_id", "patient_name"), count=1)
        key = [getattr(AuditTransfers, name) for name in TRANSFER_KEY]
        return row.on_conflict(conflict_target=key, update={AuditTransfers.count: AuditTransfers.count + 1})

    def insert(self, connection: Any, rows: Iterable[AuditRow]) -> None:
        """Insert rows."""
        for row in rows:
            connection.execute(self._insert, row)

    def count(self, connection: Any, counted: Counted) -> None:
        """Count an instance that has come over an association."""
        transfer, study, sop_class, action, *patient = counted
        connection.execute(
            self._count, (transfer.association, study, sop_class, action, 0, transfer.parties, *patient)
        )
