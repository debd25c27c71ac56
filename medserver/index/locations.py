"""The files that the index knows, for checks against the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medserver.index.backend import Backend
from medserver.index.moments import from_text
from medserver.index.pruning import Pruning
from medserver.index.records import Duplicate, StoredLocation

PAGE_ROWS = 500


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
        columns = ", ".join(
            f"COALESCE(instances.{name}, duplicates.{name})"
            for name in ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "size_bytes", "digest")
        )
        self._page = backend.sql(
            "SELECT volume, path, CASE WHEN duplicate IS NULL THEN 'instance' ELSE 'duplicate' END, "
            f"data_set_offset, meta_digest, state, verified_at, {columns} FROM locations "
            "LEFT JOIN instances ON instances.id = locations.instance "
            "LEFT JOIN duplicates ON duplicates.id = locations.duplicate "
            f"WHERE (volume, path) > (?, ?) ORDER BY volume, path LIMIT {PAGE_ROWS}"
        )
        self._duplicates = backend.sql(
            "SELECT locations.id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, reason, volume, "
            "path, data_set_offset, size_bytes, digest, meta_digest, received_at, calling_ae_title, state, verified_at "
            "FROM duplicates JOIN locations ON locations.id = "
            "(SELECT MIN(copies.id) FROM locations AS copies WHERE copies.duplicate = duplicates.id) "
            f"WHERE locations.id > ? ORDER BY locations.id LIMIT {PAGE_ROWS}"
        )
        self._find = backend.sql(
            "SELECT id, instance, duplicate FROM locations WHERE volume = ? AND path = ?"
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
        return [
            StoredLocation(
                volume=row[0],
                path=row[1],
                role=row[2],
                data_set_offset=row[3],
                meta_digest=row[4],
                state=row[5],
                verified_at=from_text(row[6]) if row[6] else None,
                sop_instance_uid=row[7],
                sop_class_uid=row[8],
                transfer_syntax_uid=row[9],
                size_bytes=row[10],
                digest=row[11],
            )
            for row in connection.execute(self._page, after).fetchall()
        ]

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
