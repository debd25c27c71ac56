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

from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text

PATIENT = "patient"
STUDY = "study"
SERIES = "series"

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


class Conflicts:
    """The table of conflicts.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        names = ", ".join(_COLUMNS)
        self._insert = backend.sql(
            f"INSERT INTO conflicts (fingerprint, {names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (fingerprint) DO NOTHING RETURNING id"
        )
        columns = f"SELECT id, {names}, resolved_at, resolved_by, resolution FROM conflicts"
        self._select = backend.sql(f"{columns} WHERE id > ? ORDER BY id LIMIT 500")
        self._get = backend.sql(f"{columns} WHERE id = ?")
        self._resolve = backend.sql(
            "UPDATE conflicts SET resolved_at = ?, resolved_by = ?, resolution = ? "
            "WHERE id = ? AND resolved_at IS NULL RETURNING id"
        )
        self._unresolved = backend.sql(
            "SELECT COUNT(*), COALESCE(SUM(CASE WHEN found_at >= ? THEN 1 ELSE 0 END), 0) FROM conflicts "
            "WHERE resolved_at IS NULL"
        )

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
            Up to 500 with their numbers, the oldest first.
        """
        return [(row[0], _conflict(row)) for row in connection.execute(self._select, (after,)).fetchall()]

    def get(self, connection: Any, number: int) -> Conflict | None:
        """Return a conflict by its number; None if there is none."""
        rows = connection.execute(self._get, (number,)).fetchall()
        return _conflict(rows[0]) if rows else None

    def resolve(self, connection: Any, number: int, at: datetime, by: str, resolution: str) -> bool:
        """Note what was decided; False if there is no such conflict, or something was decided before."""
        return bool(connection.execute(self._resolve, (to_text(at), by, resolution, number)).fetchall())

    def unresolved(self, connection: Any, since: datetime) -> tuple[int, int]:
        """Count what nobody has decided on, and how many of these were found since a moment."""
        [[count, new]] = connection.execute(self._unresolved, (to_text(since),)).fetchall()
        return count, int(new)


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
