"""What arrived and does not fit to what was there: recorded with both sides, for a person to decide.

==========  ============================================================================================
`PATIENT`   a second person under a Patient ID and Issuer; each has a row, distinguished by a number
`STUDY`     a study that arrived under another patient than before; it stays with the first
`SERIES`    a Series Instance UID that occurs in two studies; each study has a series of its own
==========  ============================================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import SQL, Case, Field, ModelSelect, Query, Update, fn

from medserver.index.database import models
from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

PATIENT = "patient"
STUDY = "study"
SERIES = "series"

PAGE_ROWS = 500

_IS_UNRESOLVED = models.Conflicts.resolved_at.is_null()
_COLUMNS = ("kind", "subject", "present", "arrived", "sop_instance_uid", "calling_ae_title", "found_at")


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two descriptions that cannot both be true.

    Parameters
    ----------
    kind : str
        `PATIENT`, `STUDY` or `SERIES`.
    subject : str
        The Patient ID, the Study or the Series Instance UID in question.
    present, arrived : Mapping of str to str
        Column -> value: what the index held, and what came.
    sop_instance_uid : str
        The first instance that showed it.
    calling_ae_title : str or None
        Who sent that instance.
    found_at : datetime
        When it was received.
    number : int
        Its number in this index.
    resolved_at, resolved_by, resolution : datetime, str, str; or None
        When somebody looked at it, who, and what was decided; None as long as nobody has.
    """

    kind: str
    subject: str
    present: Mapping[str, str]
    arrived: Mapping[str, str]
    sop_instance_uid: str
    calling_ae_title: str | None
    found_at: datetime
    number: int = 0
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolution: str | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What was decided about a conflict.

    Parameters
    ----------
    kind, subject : str
        As in `Conflict`.
    fingerprint : str
        Of the kind, the subject and both sides, which make it the same conflict in another index.
    decided_at : datetime
        When.
    decided_by, reason : str
        Who decided, and what.
    """

    kind: str
    subject: str
    fingerprint: str
    decided_at: datetime
    decided_by: str
    reason: str


class Conflicts:
    """The table of conflicts.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _insert(self) -> Query:
        row = insertion(models.Conflicts, ("fingerprint", *_COLUMNS))
        once = row.on_conflict(action="NOTHING", conflict_target=models.Conflicts.fingerprint)
        return once.returning(models.Conflicts.id)

    @statement
    def _select(self) -> Query:
        return _select_conflicts().where(models.Conflicts.id > PARAMETER).order_by(models.Conflicts.id).limit(PAGE_ROWS)

    @statement
    def _get(self) -> Query:
        return _select_conflicts().where(models.Conflicts.id == PARAMETER)

    @statement
    def _resolve(self) -> Query:
        told = (models.Conflicts.kind, models.Conflicts.subject, models.Conflicts.fingerprint)
        return _resolution_of(models.Conflicts.id).returning(*told)

    @statement
    def _restore(self) -> Query:
        return _resolution_of(models.Conflicts.fingerprint)

    @statement
    def _unresolved(self) -> Query:
        new = fn.SUM(Case(None, [(models.Conflicts.found_at >= PARAMETER, 1)], 0))
        return models.Conflicts.select(fn.COUNT(SQL("*")), fn.COALESCE(new, 0)).where(_IS_UNRESOLVED)

    def record(
        self,
        connection: Any,
        kind: str,
        subject: str,
        present: Mapping[str, str | None],
        arrived: Mapping[str, str | None],
        witness: tuple[str, str | None, str],
    ) -> bool:
        """Record a conflict, once.

        Parameters
        ----------
        connection
            A connection in a transaction.
        kind, subject, present, arrived
            See `Conflict`; values that are None are left out.
        witness : tuple of (str, str or None, str)
            SOP Instance UID, calling AE title and moment of receipt.

        Returns
        -------
        bool
            Whether it was not known before.
        """
        sides = [
            json.dumps(
                {name: value for name, value in side.items() if value}, ensure_ascii=False, sort_keys=True
            )
            for side in (present, arrived)
        ]
        fingerprint = hashlib.sha256("\0".join((kind, subject, *sides)).encode()).hexdigest()
        row = (fingerprint, kind, subject, *sides, *witness)
        return bool(connection.execute(self._insert, row).fetchall())

    def all(self, connection: Any, after: int = 0) -> list[tuple[int, Conflict]]:
        """Return the next conflicts.

        Parameters
        ----------
        connection
            A connection.
        after : int
            The number of the last one that is known.

        Returns
        -------
        list of (int, Conflict)
            Up to `PAGE_ROWS` with their numbers, the oldest first.
        """
        return [(row[0], _conflict(row)) for row in connection.execute(self._select, (after,)).fetchall()]

    def get(self, connection: Any, number: int) -> Conflict | None:
        """Return a conflict by its number; None if there is none."""
        rows = connection.execute(self._get, (number,)).fetchall()
        return _conflict(rows[0]) if rows else None

    def resolve(
        self, connection: Any, number: int, at: datetime, by: str, resolution: str
    ) -> Resolution | None:
        """Note what was decided; None if there is no such conflict, or something was decided before."""
        rows = connection.execute(self._resolve, (to_text(at), by, resolution, number)).fetchall()
        return Resolution(*rows[0], at, by, resolution) if rows else None

    def restore(self, connection: Any, known: Resolution) -> None:
        """Note what had been decided about a conflict, if that is there and nothing was decided since."""
        row = (to_text(known.decided_at), known.decided_by, known.reason, known.fingerprint)
        connection.execute(self._restore, row)

    def unresolved(self, connection: Any, since: datetime) -> tuple[int, int]:
        """Count what nobody has decided on, and how many of these were found since a moment."""
        [[count, new]] = connection.execute(self._unresolved, (to_text(since),)).fetchall()
        return count, int(new)


def _select_conflicts() -> ModelSelect:
    """Build the query of all conflicts, whose rows `_conflict` understands."""
    return models.Conflicts.select(
        *(getattr(models.Conflicts, name) for name in ("id", *_COLUMNS, "resolved_at", "resolved_by", "resolution"))
    )


def _resolution_of(column: Field) -> Update:
    """Build the resolution of a conflict that nobody has decided on; it is told by a column."""
    changed = (models.Conflicts.resolved_at, models.Conflicts.resolved_by, models.Conflicts.resolution)
    return models.Conflicts.update(dict.fromkeys(changed, PARAMETER)).where((column == PARAMETER) & _IS_UNRESOLVED)


def _conflict(row: Sequence[Any]) -> Conflict:
    number, kind, subject, present, arrived, sop_instance_uid, calling_ae_title, found_at, resolved_at, by, why = row
    return Conflict(
        kind,
        subject,
        json.loads(present),
        json.loads(arrived),
        sop_instance_uid,
        calling_ae_title,
        from_text(found_at),
        number,
        from_text(resolved_at) if resolved_at else None,
        by,
        why,
    )
