"""Where objects lie: the copies that the index knows, one row each. A location never changes its object."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from medserver.index.database.backend import Backend
from medserver.index.database.moments import to_text
from medserver.index.objects.copies import SELECT_COPIES, Preference, copy_of
from medserver.index.objects.pruning import Pruning
from medserver.index.objects.records import ObjectKey, StoredCopy

PAGE_ROWS = 500

RECENT_ROWS = 100
"""More than all processes enter at a time."""


class LocationTable:
    """The table of locations.

    Parameters
    ----------
    backend : Backend
        The database.
    pruning : Pruning
        Deletes what becomes empty.
    preference : Preference
        The order in which copies are read.
    """

    def __init__(self, backend: Backend, pruning: Pruning, preference: Preference) -> None:
        self._pruning = pruning
        self._preference = preference
        self._list_parameter = backend.list_parameter
        sql = backend.sql
        self._page = sql(f"{SELECT_COPIES} WHERE (volume, path) > (?, ?) ORDER BY volume, path LIMIT {PAGE_ROWS}")
        self._find = sql("SELECT 1 FROM locations WHERE volume = ? AND path = ?")
        self._find_instance = sql("SELECT 1 FROM instances WHERE sop_instance_uid = ?")
        self._at = sql(f"{SELECT_COPIES} WHERE volume = ? AND path = ?")
        self._of_instances = sql(f"{SELECT_COPIES} WHERE sop_instance_uid {backend.among}")
        self._duplicates = sql(
            f"{SELECT_COPIES} WHERE is_current = 0 AND locations.id = (SELECT MIN(copies.id) FROM locations AS copies "
            f"WHERE copies.object = objects.id) AND locations.id > ? ORDER BY locations.id LIMIT {PAGE_ROWS}"
        )
        self._recent = sql(
            "SELECT MIN(path) FROM (SELECT path FROM locations WHERE volume = ? "
            f"ORDER BY id DESC LIMIT {RECENT_ROWS}) AS recent"
        )
        self._lock = sql(f"SELECT id FROM instances WHERE sop_instance_uid = ?{backend.for_update}")
        self._object_of = sql("SELECT id FROM objects WHERE instance = ? AND digest = ? AND transfer_syntax_uid = ?")
        # What is read and compared is what was written, wherever it lies; a bad copy is replaced by it.
        self._add = sql(
            "INSERT INTO locations (object, volume, path, data_set_offset, meta_digest, verified_at) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (volume, path) DO UPDATE SET "
            "data_set_offset = excluded.data_set_offset, meta_digest = excluded.meta_digest, state = 'good', "
            "verified_at = excluded.verified_at WHERE locations.object = excluded.object RETURNING id"
        )
        self._mark = sql(
            "UPDATE locations SET state = ?, verified_at = COALESCE(CAST(? AS TEXT), verified_at) "
            "WHERE volume = ? AND path = ? AND (state <> ? OR CAST(? AS TEXT) IS NOT NULL) RETURNING id"
        )
        self._delete = sql("DELETE FROM locations WHERE volume = ? AND path = ? RETURNING object")
        self._delete_object = sql(
            "DELETE FROM objects WHERE id = ? AND NOT EXISTS (SELECT 1 FROM locations WHERE object = objects.id) "
            "AND NOT EXISTS (SELECT 1 FROM objects AS forms WHERE forms.made_from = objects.id) "
            # An instance keeps its current object as long as it has others: if that is received again, it is whole.
            "AND NOT (is_current = 1 AND EXISTS (SELECT 1 FROM objects AS others JOIN locations ON object = others.id "
            "WHERE others.instance = objects.instance)) RETURNING instance, made_from"
        )
        self._delete_instance = sql(
            "DELETE FROM instances WHERE id = ? AND NOT EXISTS "
            "(SELECT 1 FROM objects WHERE objects.instance = instances.id) RETURNING series"
        )

    def page(self, connection: Any, after: tuple[str, str]) -> list[StoredCopy]:
        """Return the next locations after a volume and path, in that order; an empty list at the end."""
        return [copy_of(row) for row in connection.execute(self._page, after).fetchall()]

    def at(self, connection: Any, volume: str, path: str) -> StoredCopy | None:
        """Return what the index knows of a file, None if it does not refer to it."""
        rows = connection.execute(self._at, (volume, path)).fetchall()
        return copy_of(rows[0]) if rows else None

    def has(self, connection: Any, volume: str, path: str) -> bool:
        """Whether the index refers to a file."""
        return bool(connection.execute(self._find, (volume, path)).fetchall())

    def has_instance(self, connection: Any, sop_instance_uid: str) -> bool:
        """Whether there is an instance."""
        return bool(connection.execute(self._find_instance, (sop_instance_uid,)).fetchall())

    def instances(self, connection: Any, sop_instance_uids: Sequence[str]) -> dict[str, StoredCopy]:
        """Return the preferred copy of the current object of each instance, by SOP Instance UID."""
        copies: dict[str, StoredCopy] = {}
        for copy in self._of(connection, sop_instance_uids):
            if copy.is_current:
                copies.setdefault(copy.sop_instance_uid, copy)
        return copies

    def of(self, connection: Any, objects: Sequence[ObjectKey]) -> list[list[StoredCopy]]:
        """Return all copies of each object, the one to read first first."""
        copies: defaultdict[ObjectKey, list[StoredCopy]] = defaultdict(list)
        for copy in self._of(connection, [one.sop_instance_uid for one in objects]):
            copies[copy.key].append(copy)
        return [copies.get(one, []) for one in objects]

    def _of(self, connection: Any, sop_instance_uids: Sequence[str]) -> list[StoredCopy]:
        rows = connection.execute(self._of_instances, (self._list_parameter(sop_instance_uids),)).fetchall()
        return [copy_of(row) for row in sorted(rows, key=self._preference.key)]

    def duplicates(self, connection: Any, after: int) -> list[tuple[int, StoredCopy]]:
        """Return the next objects that are not current, each with its first copy, and the numbers of these."""
        return [(row[0], copy_of(row)) for row in connection.execute(self._duplicates, (after,)).fetchall()]

    def recent(self, connection: Any, volume: str) -> str | None:
        """Return the first path, in their order, of the files that were entered last; None if there is no file."""
        return connection.execute(self._recent, (volume,)).fetchone()[0]

    def add(self, connection: Any, copy: StoredCopy) -> bool:
        """Enter a copy of an object that the index knows, as good; False if the index does not know the object.

        Raises
        ------
        ValueError
            Another object lies there.
        """
        for (instance,) in connection.execute(self._lock, (copy.sop_instance_uid,)).fetchall():
            version = (instance, copy.digest, copy.transfer_syntax_uid)
            for (number,) in connection.execute(self._object_of, version).fetchall():
                return self._enter(connection, copy, number)
        return False

    def _enter(self, connection: Any, copy: StoredCopy, number: int) -> bool:
        moment = to_text(copy.verified_at) if copy.verified_at else None
        row = (number, copy.volume, copy.path, copy.data_set_offset, copy.meta_digest, moment)
        if not connection.execute(self._add, row).fetchall():
            raise ValueError(f"{copy.volume}:{copy.path}: another object lies there")
        return True

    def mark(self, connection: Any, volume: str, path: str, state: str, verified_at: datetime | None) -> bool:
        """Note the state of a copy; False if it was known, or the copy is not."""
        moment = to_text(verified_at) if verified_at else None
        return bool(connection.execute(self._mark, (state, moment, volume, path, state, moment)).fetchall())

    def remove(self, connection: Any, volume: str, path: str) -> bool:
        """Forget a copy, and its object if that has no other and nothing was made from it.

        Returns
        -------
        bool
            False if the index did not know it.
        """
        rows = connection.execute(self._delete, (volume, path)).fetchall()
        for (number,) in rows:
            self._forget(connection, number)
        return bool(rows)

    def _forget(self, connection: Any, number: int) -> None:
        """Delete an object that has no copy, what it was made from likewise, and what has become empty."""
        for instance, made_from in connection.execute(self._delete_object, (number,)).fetchall():
            if made_from is not None:
                self._forget(connection, made_from)
            for (series,) in connection.execute(self._delete_instance, (instance,)).fetchall():
                self._pruning.prune_series(connection, series)
