"""What was deleted on purpose, so that it does not come back by mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.jobs.records import NewJob
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.records import InstanceRecord, StoredLocation

PAGE_ROWS = 500

_COLUMNS = "sop_instance_uid, digest, transfer_syntax_uid, deleted_at, deleted_by, reason"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One object that was deleted.

    Parameters
    ----------
    sop_instance_uid, digest, transfer_syntax_uid : str
        Which: the same SOP Instance with other bytes is another object.
    deleted_at : datetime
        When. What is received later is not meant.
    deleted_by, reason : str
        Who wanted it, and why.
    """

    sop_instance_uid: str
    digest: str
    transfer_syntax_uid: str
    deleted_at: datetime
    deleted_by: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        """SOP Instance UID, digest and transfer syntax."""
        return self.sop_instance_uid, self.digest, self.transfer_syntax_uid


class TombstoneTable:
    """The table of tombstones.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._insert = backend.sql(
            f"INSERT INTO tombstones ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (sop_instance_uid, digest, transfer_syntax_uid) DO UPDATE SET "
            "deleted_at = excluded.deleted_at, deleted_by = excluded.deleted_by, reason = excluded.reason "
            "WHERE excluded.deleted_at > tombstones.deleted_at"
        )

    def add(self, connection: Any, tombstone: Tombstone) -> None:
        """Note that an object is deleted; of two tombstones for one object the later one counts."""
        moment = to_text(tombstone.deleted_at)
        connection.execute(self._insert, (*tombstone.key, moment, tombstone.deleted_by, tombstone.reason))


class Tombstones:
    """The tombstones of an index, `Index.tombstones`.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    table : TombstoneTable
        The table.
    locations : LocationTable
        Forgets the copies of what is deleted.
    """

    def __init__(self, access: Access, table: TombstoneTable, locations: LocationTable) -> None:
        self._access = access
        self._table = table
        self._locations = locations
        self._find = access.backend.sql(
            "SELECT 1 FROM tombstones WHERE sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ? "
            "AND deleted_at >= ?"
        )
        key = "({0}.sop_instance_uid, {0}.digest, {0}.transfer_syntax_uid)"
        self._final = access.backend.sql(
            "SELECT 1 FROM tombstones WHERE sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ? "
            "AND deleted_at = ? "
            + " ".join(
                f"AND NOT EXISTS (SELECT 1 FROM {table} WHERE {key.format(table)} = {key.format('tombstones')})"
                for table in ("instances", "duplicates")
            )
        )
        self._page = access.backend.sql(
            f"SELECT id, {_COLUMNS} FROM tombstones WHERE id > ? ORDER BY id LIMIT {PAGE_ROWS}"
        )

    def add(
        self, tombstones: Sequence[Tombstone], copies: Iterable[StoredLocation] = (), jobs: Iterable[NewJob] = ()
    ) -> None:
        """Note that objects are deleted; forget their copies, and add jobs, in the same transaction.

        Parameters
        ----------
        tombstones : sequence of Tombstone
            What is deleted. Of two for one object the later one counts.
        copies : iterable of StoredLocation
            All copies of these objects.
        jobs : iterable of NewJob
            What is to be done with their files.
        """
        copies, jobs = list(copies), list(jobs)

        def perform(connection: Any, add_jobs: AddJobs) -> None:
            for each in tombstones:
                self._table.add(connection, each)
            for copy in copies:
                self._locations.remove(connection, copy.volume, copy.path)
            add_jobs(jobs)

        self._access.transact(perform)

    def is_deleted(self, record: InstanceRecord) -> bool:
        """Whether an object was deleted after it was received."""
        key = (record.sop_instance_uid, record.digest, record.transfer_syntax_uid, to_text(record.received_at))
        return bool(self._access.rows(self._find, key))

    def unwritten(self, ordered: Sequence[Tombstone]) -> list[Tombstone]:
        """Return those of some orders that were carried out, of objects that are not there again."""
        return [each for each in ordered if self._access.rows(self._final, (*each.key, to_text(each.deleted_at)))]

    def all(self) -> Iterator[Tombstone]:
        """Yield every tombstone, the oldest first."""
        last = 0
        while page := self._access.read(self._rows, last):
            for row in page:
                yield Tombstone(*row[1:4], from_text(row[4]), *row[5:])
            last = page[-1][0]

    def _rows(self, connection: Any, after: int) -> list[tuple]:
        return connection.execute(self._page, (after,)).fetchall()
