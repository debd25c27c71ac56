"""The files that the index knows, for checks against the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import Duplicate, StoredInstance, StoredLocation

PAGE_ROWS = 500

_OBJECT = ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "size_bytes", "digest")

SELECT_LOCATIONS = (
    "SELECT locations.id, volume, path, CASE WHEN duplicate IS NULL THEN 'instance' ELSE 'duplicate' END, "
    "data_set_offset, meta_digest, state, verified_at, "
    + ", ".join(f"COALESCE(instances.{name}, duplicates.{name})" for name in _OBJECT)
    + " FROM locations LEFT JOIN instances ON instances.id = locations.instance "
    "LEFT JOIN duplicates ON duplicates.id = locations.duplicate"
)
"""The beginning of a query whose rows `location_of` understands."""

RECENT_ROWS = 100
"""More than all processes enter at a time."""


class LocationTable:
    """The table of locations, and the objects that lie there.

    Parameters
    ----------
    backend : Backend
        The database.
    pruning : Pruning
        Deletes what becomes empty.
    """

    def __init__(self, backend: Backend, pruning: Pruning) -> None:
        self._pruning = pruning
        self._page = backend.sql(
            f"{SELECT_LOCATIONS} WHERE (volume, path) > (?, ?) ORDER BY volume, path LIMIT {PAGE_ROWS}"
        )
        self._at = backend.sql(f"{SELECT_LOCATIONS} WHERE volume = ? AND path = ?")
        self._duplicates = backend.sql(
            "SELECT locations.id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, reason, volume, "
            "path, data_set_offset, size_bytes, digest, meta_digest, received_at, calling_ae_title, state, verified_at "
            "FROM duplicates JOIN locations ON locations.id = "
            "(SELECT MIN(copies.id) FROM locations AS copies WHERE copies.duplicate = duplicates.id) "
            f"WHERE locations.id > ? ORDER BY locations.id LIMIT {PAGE_ROWS}"
        )
        self._instances = backend.sql(
            "SELECT sop_instance_uid, sop_class_uid, transfer_syntax_uid, volume, path, data_set_offset, size_bytes, "
            "digest, meta_digest, study_instance_uid FROM instances "
            "JOIN locations ON locations.instance = instances.id JOIN series ON series.id = instances.series "
            f"JOIN studies ON studies.id = series.study WHERE sop_instance_uid {backend.among}"
        )
        self._backend = backend
        self._find = backend.sql(
            "SELECT id, instance, duplicate FROM locations WHERE volume = ? AND path = ?"
        )
        self._recent = backend.sql(
            "SELECT MIN(path) FROM (SELECT path FROM locations WHERE volume = ? "
            f"ORDER BY id DESC LIMIT {RECENT_ROWS}) AS recent"
        )
        self._delete = backend.sql("DELETE FROM locations WHERE id = ?")
        self._delete_instance = backend.sql(
            "DELETE FROM instances WHERE id = ? AND NOT EXISTS "
            "(SELECT 1 FROM locations WHERE locations.instance = instances.id) RETURNING series"
        )
        self._delete_duplicate = backend.sql(
            "DELETE FROM duplicates WHERE id = ? AND NOT EXISTS "
            "(SELECT 1 FROM locations WHERE locations.duplicate = duplicates.id)"
        )

    def page(self, connection: Any, after: tuple[str, str]) -> list[StoredLocation]:
        """Return the next locations after a volume and path, in that order; an empty list at the end."""
        return [location_of(row) for row in connection.execute(self._page, after).fetchall()]

    def at(self, connection: Any, volume: str, path: str) -> StoredLocation | None:
        """Return what the index knows of a file, None if it does not refer to it."""
        rows = connection.execute(self._at, (volume, path)).fetchall()
        return location_of(rows[0]) if rows else None

    def instances(self, connection: Any, sop_instance_uids: Sequence[str]) -> dict[str, StoredInstance]:
        """Return instances by SOP Instance UID, those that there are."""
        rows = connection.execute(self._instances, (self._backend.list_parameter(sop_instance_uids),)).fetchall()
        return {row[0]: StoredInstance(*row) for row in rows}

    def duplicates(self, connection: Any, after: int) -> list[tuple[int, Duplicate]]:
        """Return the next objects that were put aside, each with its first copy, and their numbers."""
        return [
            (
                row[0],
                Duplicate(
                    *row[1:11],
                    received_at=from_text(row[11]),
                    calling_ae_title=row[12],
                    state=row[13],
                    verified_at=from_text(row[14]) if row[14] else None,
                ),
            )
            for row in connection.execute(self._duplicates, (after,)).fetchall()
        ]

    def has(self, connection: Any, volume: str, path: str) -> bool:
        """Whether the index refers to a file."""
        return bool(connection.execute(self._find, (volume, path)).fetchall())

    def recent(self, connection: Any, volume: str) -> str | None:
        """Return the first path, in their order, of the files that were entered last; None if there is no file."""
        return connection.execute(self._recent, (volume,)).fetchone()[0]

    def remove(self, connection: Any, volume: str, path: str) -> bool:
        """Forget a file, and what existed nowhere else.

        Returns
        -------
        bool
            False if the index did not know it.
        """
        rows: Sequence[tuple] = connection.execute(self._find, (volume, path)).fetchall()
        if not rows:
            return False
        location, instance, duplicate = rows[0]
        connection.execute(self._delete, (location,))
        if duplicate is not None:
            connection.execute(self._delete_duplicate, (duplicate,))
            return True
        deleted = connection.execute(self._delete_instance, (instance,)).fetchall()
        if deleted:
            self._pruning.prune_series(connection, deleted[0][0])
        return True


def location_of(row: Sequence[Any]) -> StoredLocation:
    """Return a row of `SELECT_LOCATIONS`."""
    return StoredLocation(
        volume=row[1],
        path=row[2],
        role=row[3],
        data_set_offset=row[4],
        meta_digest=row[5],
        state=row[6],
        verified_at=from_text(row[7]) if row[7] else None,
        **dict(zip(_OBJECT, row[8:], strict=True)),
    )
