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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text

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
    """

    kind: str
    subject: str
    present: Mapping[str, str]
    arrived: Mapping[str, str]
    sop_instance_uid: str
    calling_ae_title: str | None
    found_at: datetime


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
        self._select = backend.sql(f"SELECT id, {names} FROM conflicts WHERE id > ? ORDER BY id LIMIT 500")

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
        return [
            (
                row[0],
                Conflict(
                    row[1], row[2], json.loads(row[3]), json.loads(row[4]), row[5], row[6], from_text(row[7])
                ),
            )
            for row in connection.execute(self._select, (after,)).fetchall()
        ]
