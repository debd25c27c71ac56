"""The files that the index knows, for checks against the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medserver.index.backend import Backend
from medserver.index.moments import from_text
from medserver.index.pruning import Pruning
from medserver.index.records import Duplicate, StoredLocation

PAGE_ROWS = 500

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
        columns = ", ".join(
            f"COALESCE(instances.{name}, duplicates.{name})"
            for name in ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid", "size_bytes", "digest")
        )
        self._page = backend.sql(
            "SELECT volume, path, CASE WHEN duplicate IS NULL THEN 'instance' ELSE 'duplicate' END, "
            f"data_set_offset, meta_digest, {columns} FROM locations "
            "LEFT JOIN instances ON instances.id = locations.instance "
            "LEFT JOIN duplicates ON duplicates.id = locations.duplicate "
            f"WHERE (volume, path) > (?, ?) ORDER BY volume, path LIMIT {PAGE_ROWS}"
        )
        self._duplicates = backend.sql(
            "SELECT locations.id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, reason, volume, "
            "path, data_set_offset, size_bytes, digest, meta_digest, received_at, calling_ae_title "
            "FROM duplicates JOIN locations ON locations.duplicate = duplicates.id "
            f"WHERE locations.id > ? ORDER BY locations.id LIMIT {PAGE_ROWS}"
        )
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
        return [
            StoredLocation(
                volume=row[0],
                path=row[1],
                role=row[2],
                data_set_offset=row[3],
                meta_digest=row[4],
                sop_instance_uid=row[5],
                sop_class_uid=row[6],
                transfer_syntax_uid=row[7],
                size_bytes=row[8],
                digest=row[9],
            )
            for row in connection.execute(self._page, after).fetchall()
        ]

    def duplicates(self, connection: Any, after: int) -> list[tuple[int, Duplicate]]:
        """Return the next objects that were put aside, with their numbers; an empty list at the end."""
        return [
            (row[0], Duplicate(*row[1:11], received_at=from_text(row[11]), calling_ae_title=row[12]))
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
