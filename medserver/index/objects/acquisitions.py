"""The conditions under which instances were acquired, `Index.acquisitions`: read from headers once, and kept as JSON.

What they are and how they are read is in `medserver.conditions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.index.database.access import Access
from medserver.index.database.moments import from_text
from medserver.index.objects.records import InstanceRecord, StoredCopy

Values = Mapping[str, Any]
"""Keyword -> what `medserver.dicom.matching.matches` takes: a text, a list of texts, or of mappings for a sequence."""


_CURRENT = "JOIN objects ON objects.instance = instances.id AND is_current = 1"


@dataclass(frozen=True, slots=True)
class Unread:
    """An instance whose conditions have not been read."""

    sop_instance_uid: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Acquisition:
    """The conditions of one instance.

    Parameters
    ----------
    sop_instance_uid, digest : str
        Which; what was replaced meanwhile keeps what belongs to it.
    content : str
        As JSON; empty if they are not kept: whoever needs them reads the header.
    """

    sop_instance_uid: str
    digest: str
    content: str

    @classmethod
    def of(cls, instance: StoredCopy | InstanceRecord, values: Values | None) -> Acquisition:
        """Return the conditions of an instance, or with None that they are not kept."""
        content = "" if values is None else json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        return cls(instance.sop_instance_uid, instance.digest, content)


class Acquisitions:
    """What the index keeps of them. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._unread = access.backend.sql(
            f"SELECT sop_instance_uid, received_at FROM instances {_CURRENT} WHERE acquisition IS NULL "
            "ORDER BY instances.id LIMIT ?"
        )
        self._newest = access.backend.sql(
            f"SELECT received_at FROM instances {_CURRENT} WHERE acquisition IS NULL ORDER BY instances.id DESC LIMIT 1"
        )
        self._put = access.backend.sql(
            "UPDATE instances SET acquisition = ? WHERE sop_instance_uid = ? AND EXISTS "
            "(SELECT 1 FROM objects WHERE objects.instance = instances.id AND is_current = 1 AND digest = ?)"
        )
        self._of_series = access.backend.sql(
            "SELECT DISTINCT acquisition FROM instances JOIN series ON series.id = instances.series "
            "WHERE series_instance_uid = ? AND acquisition IS NOT NULL"
        )

    def unread(self, limit: int) -> list[Unread]:
        """Return instances whose conditions have not been read, those first that came first."""
        rows = self._access.rows(self._unread, (limit,))
        return [Unread(uid, from_text(moment)) for uid, moment in rows]

    def newest_unread_at(self) -> datetime | None:
        """Return when the last instance came whose conditions have not been read, None if there is none."""
        rows = self._access.rows(self._newest)
        return from_text(rows[0][0]) if rows else None

    def put(self, acquisitions: Iterable[Acquisition]) -> None:
        """Keep the conditions of instances."""
        rows = [(one.content, one.sop_instance_uid, one.digest) for one in acquisitions]

        def perform(connection: Any) -> None:
            for row in rows:
                connection.execute(self._put, row)

        self._access.writer.run(perform)

    def of_series(self, series_instance_uid: str) -> list[Values]:
        """Return the different conditions of the instances of a series, as far as they have been read."""
        rows = self._access.rows(self._of_series, (series_instance_uid,))
        return [values for (text,) in rows if (values := decoded(text)) is not None]


def decoded(text: str | None) -> Values | None:
    """Return what the column holds, None if that is nothing."""
    return json.loads(text) if text else None
