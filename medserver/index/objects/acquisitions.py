"""The conditions under which instances were acquired, `Index.acquisitions`: read from headers once, and kept as JSON.

What they are and how they are read is in `medserver.conditions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import JOIN, SQL, Query, fn

from medserver.index.database.access import Access
from medserver.index.database.models import CURRENT_OBJECT, Instances, Objects, Series
from medserver.index.database.moments import from_text
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.objects.records import InstanceRecord, StoredCopy

Values = Mapping[str, Any]
"""Keyword -> what `medserver.dicom.matching.matches` takes: a text, a list of texts, or of mappings for a sequence."""

_IS_UNREAD = Instances.acquisition.is_null()


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
        self._backend = access.backend

    @statement
    def _unread(self) -> Query:
        # Of an inner join SQLite without statistics would begin with all objects, and sort what it finds.
        columns = (Instances.sop_instance_uid, Objects.received_at)
        unread = Instances.select(*columns).join(Objects, JOIN.LEFT_OUTER, on=CURRENT_OBJECT).where(_IS_UNREAD)
        return unread.order_by(Instances.id).limit(PARAMETER)

    @statement
    def _newest(self) -> Query:
        newest = Instances.select(fn.MAX(Instances.id)).where(_IS_UNREAD)
        return Objects.select(Objects.received_at).where((Objects.instance == newest) & (Objects.is_current == 1))

    @statement
    def _put(self) -> Query:
        is_current = fn.EXISTS(Objects.select(SQL("1")).where(CURRENT_OBJECT & (Objects.digest == PARAMETER)))
        instance = (Instances.sop_instance_uid == PARAMETER) & is_current
        return Instances.update({Instances.acquisition: PARAMETER}).where(instance)

    @statement
    def _of_series(self) -> Query:
        different = Instances.select(Instances.acquisition).distinct().join(Series)
        return different.where((Series.series_instance_uid == PARAMETER) & Instances.acquisition.is_null(False))

    def unread(self, limit: int) -> list[Unread]:
        """Return instances whose conditions have not been read, those first that came first."""
        rows = self._access.rows(self._unread, (limit,))
        return [Unread(uid, from_text(moment)) for uid, moment in rows if moment]

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
