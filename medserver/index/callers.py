"""AEs that called and are not known: a bounded list, for the administrator to approve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text

CALLERS_MAX = 200
"""How many are kept; the one that was silent for longest goes first."""


@dataclass(frozen=True, slots=True)
class UnknownCaller:
    """An AE that is not in the configuration, and from where it called.

    Parameters
    ----------
    calling_ae_title, called_ae_title : str
        As it introduced itself, and whom it asked for.
    address : str
        Where the connection came from.
    attempts : int
        How often.
    first_seen_at, last_seen_at : datetime
        When.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime


class UnknownCallers:
    """The table of unknown callers.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._upsert = backend.sql(
            "INSERT INTO unknown_callers "
            "(calling_ae_title, called_ae_title, address, attempts, first_seen_at, last_seen_at) "
            "VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (calling_ae_title, called_ae_title, address) "
            "DO UPDATE SET attempts = unknown_callers.attempts + 1, last_seen_at = excluded.last_seen_at"
        )
        self._trim = backend.sql(
            "DELETE FROM unknown_callers WHERE id IN "
            "(SELECT id FROM unknown_callers ORDER BY last_seen_at DESC, id DESC LIMIT 1000 OFFSET ?)"
        )
        self._select = backend.sql(
            "SELECT calling_ae_title, called_ae_title, address, attempts, first_seen_at, last_seen_at "
            "FROM unknown_callers ORDER BY last_seen_at DESC, id DESC LIMIT ?"
        )
        self._delete = backend.sql("DELETE FROM unknown_callers WHERE calling_ae_title = ?")

    def note(self, connection: Any, calling: str, called: str, address: str, at: datetime) -> None:
        """Note a call, and let the oldest go."""
        moment = to_text(at)
        names = [
            text.replace("\0", "").encode("utf-8", "replace").decode() for text in (calling, called, address)
        ]
        connection.execute(self._upsert, (*names, moment, moment))
        connection.execute(self._trim, (CALLERS_MAX,))

    def forget(self, connection: Any, calling_ae_title: str) -> None:
        """Take an AE title from the list, for it is known now."""
        connection.execute(self._delete, (calling_ae_title,))

    def all(self, connection: Any) -> list[UnknownCaller]:
        """Return all, the latest first."""
        return [
            UnknownCaller(row[0], row[1], row[2], row[3], from_text(row[4]), from_text(row[5]))
            for row in connection.execute(self._select, (CALLERS_MAX,)).fetchall()
        ]
