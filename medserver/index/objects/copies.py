"""The copies of an object: several locations that hold the same bytes, and what is known of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.find.locating import Preference
from medserver.index.objects.records import Duplicate, StoredInstance, StoredLocation

_OBJECT = ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "size_bytes", "digest")


class CopyTable:
    """The locations of one object, see `locations.LocationTable` for those of all.

    Parameters
    ----------
    backend : Backend
        The database.
    preference : Preference
        The order in which copies are read.
    """

    def __init__(self, backend: Backend, preference: Preference) -> None:
        self._preference = preference
        self._list_parameter = backend.list_parameter
        self._of_objects = backend.sql(
            " UNION ALL ".join(_copies_in(table, role, backend.among) for table, role in (
                ("instances", "instance"), ("duplicates", "duplicate"),
            ))
        )  # fmt: skip
        self._add = backend.sql(
            "INSERT INTO locations (instance, duplicate, volume, path, data_set_offset, meta_digest, verified_at) "
            "SELECT instance, duplicate, ?, ?, data_set_offset, meta_digest, ? FROM locations "
            "WHERE volume = ? AND path = ? "
            "ON CONFLICT (volume, path) DO UPDATE SET instance = excluded.instance, "
            "duplicate = excluded.duplicate, data_set_offset = excluded.data_set_offset, "
            "meta_digest = excluded.meta_digest, state = excluded.state, verified_at = excluded.verified_at "
            "RETURNING id"
        )
        self._mark = backend.sql(
            "UPDATE locations SET state = ?, verified_at = COALESCE(CAST(? AS TEXT), verified_at) "
            "WHERE volume = ? AND path = ? AND (state <> ? OR CAST(? AS TEXT) IS NOT NULL) RETURNING id"
        )

    def of(
        self, connection: Any, objects: Sequence[StoredInstance | StoredLocation | Duplicate]
    ) -> list[list[StoredLocation]]:
        """Return all copies of each object, the one to read first first."""
        uids = self._list_parameter([one.sop_instance_uid for one in objects])
        rows = connection.execute(self._of_objects, (uids, uids)).fetchall()
        rows.sort(key=lambda row: self._preference.key(row[1], row[2], row[0]))
        copies: defaultdict[tuple[str, str, str], list[StoredLocation]] = defaultdict(list)
        for row in rows:
            copy = _copy(row)
            copies[_key(copy)].append(copy)
        return [copies.get(_key(one), []) for one in objects]

    def add(
        self, connection: Any, source: tuple[str, str], copy: tuple[str, str], verified_at: datetime | None
    ) -> bool:
        """Enter a copy as what its source is, and as good; False if the index does not know the source."""
        moment = to_text(verified_at) if verified_at else None
        return bool(connection.execute(self._add, (*copy, moment, *source)).fetchall())

    def mark(
        self, connection: Any, volume: str, path: str, state: str, verified_at: datetime | None
    ) -> bool:
        """Note the state of a copy; False if it was known, or the copy is not."""
        moment = to_text(verified_at) if verified_at else None
        return bool(connection.execute(self._mark, (state, moment, volume, path, state, moment)).fetchall())


def _copy(row: Sequence[Any]) -> StoredLocation:
    return StoredLocation(
        state=row[1],
        volume=row[2],
        path=row[3],
        data_set_offset=row[4],
        meta_digest=row[5],
        verified_at=from_text(row[6]) if row[6] else None,
        role=row[7],
        **dict(zip(_OBJECT, row[8:])),
    )


def _key(stored: StoredInstance | StoredLocation | Duplicate) -> tuple[str, str, str]:
    """Return what the copies of an object have in common, and no two objects."""
    return stored.sop_instance_uid, stored.digest, stored.transfer_syntax_uid


def _copies_in(table: str, role: str, among: str) -> str:
    columns = ", ".join(f"{table}.{name}" for name in _OBJECT)
    return (
        "SELECT locations.id, state, volume, path, data_set_offset, meta_digest, verified_at, "
        f"'{role}', {columns} FROM {table} JOIN locations ON locations.{role} = {table}.id "
        f"WHERE {table}.sop_instance_uid {among}"
    )
