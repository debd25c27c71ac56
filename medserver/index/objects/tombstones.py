"""What was deleted on purpose, so that it does not come back by mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.index.database.access import Access
from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.objects.records import InstanceRecord, ObjectKey

PAGE_ROWS = 500

_COLUMNS = "sop_instance_uid, digest, transfer_syntax_uid, deleted_at, deleted_by, reason, path"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One file of an object that was deleted.

    Parameters
    ----------
    sop_instance_uid, digest, transfer_syntax_uid : str
        Which: the same SOP Instance with other bytes is another object.
    deleted_at : datetime
        When.
    deleted_by, reason : str
        Who wanted it, and why.
    path : str
        Its path, on every volume: what is received later has another one. Empty in tombstones of earlier versions,
        which mean every file that had been received until then.
    """

    sop_instance_uid: str
    digest: str
    transfer_syntax_uid: str
    deleted_at: datetime
    deleted_by: str
    reason: str
    path: str = ""

    @property
    def key(self) -> ObjectKey:
        """Which object it was."""
        return ObjectKey(self.sop_instance_uid, self.digest, self.transfer_syntax_uid)


class TombstoneTable:
    """The table of tombstones.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._insert = backend.sql(
            f"INSERT INTO tombstones ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (sop_instance_uid, digest, transfer_syntax_uid, path) DO UPDATE SET "
            "deleted_at = excluded.deleted_at, deleted_by = excluded.deleted_by, reason = excluded.reason "
            "WHERE excluded.deleted_at > tombstones.deleted_at"
        )

    def add(self, connection: Any, tombstone: Tombstone) -> None:
        """Note that a file is deleted; of two tombstones for one file the later one counts."""
        one, moment = tombstone, to_text(tombstone.deleted_at)
        row = (one.sop_instance_uid, one.digest, one.transfer_syntax_uid, moment, one.deleted_by, one.reason, one.path)
        connection.execute(self._insert, row)


class Tombstones:
    """The tombstones of an index, `Index.tombstones`.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    table : TombstoneTable
        The table.
    """

    def __init__(self, access: Access, table: TombstoneTable) -> None:
        self._access = access
        self._table = table
        of_key = "sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ?"
        self._find = access.backend.sql(
            f"SELECT 1 FROM tombstones WHERE {of_key} AND (path = ? OR (path = '' AND deleted_at >= ?))"
        )
        self._performed = access.backend.sql(
            f"SELECT {_COLUMNS} FROM tombstones WHERE {of_key} AND deleted_at = ? "
            "AND NOT EXISTS (SELECT 1 FROM locations WHERE locations.path = tombstones.path)"
        )
        self._page = access.backend.sql(
            f"SELECT id, {_COLUMNS} FROM tombstones WHERE id > ? ORDER BY id LIMIT {PAGE_ROWS}"
        )

    def add(self, tombstones: Sequence[Tombstone]) -> None:
        """Note that files are deleted, as the notes of a volume tell."""

        def perform(connection: Any) -> None:
            for each in tombstones:
                self._table.add(connection, each)

        self._access.writer.run(perform)

    def is_deleted(self, record: InstanceRecord) -> bool:
        """Whether a file is one of an object that was deleted."""
        moment = to_text(record.received_at)
        return bool(self._access.rows(self._find, (*_row(record.key), record.path, moment)))

    def performed(self, ordered: Sequence[Tombstone]) -> list[Tombstone]:
        """Return the tombstones of those of some orders that were carried out."""
        return [
            _tombstone(row)
            for each in ordered
            for row in self._access.rows(self._performed, (*_row(each.key), to_text(each.deleted_at)))
        ]

    def all(self) -> Iterator[Tombstone]:
        """Yield every tombstone, the oldest first."""
        last = 0
        while page := self._access.read(self._rows, last):
            for row in page:
                yield _tombstone(row[1:])
            last = page[-1][0]

    def _rows(self, connection: Any, after: int) -> list[tuple]:
        return connection.execute(self._page, (after,)).fetchall()


def _row(key: ObjectKey) -> tuple[str, str, str]:
    return key.sop_instance_uid, key.digest, key.transfer_syntax_uid


def _tombstone(row: Sequence[Any]) -> Tombstone:
    return Tombstone(*row[:3], from_text(row[3]), *row[4:])
