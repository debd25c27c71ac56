"""What was deleted on purpose, so that it does not come back by mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any

from peewee import EXCLUDED, SQL, Query, fn

from medserver.index.database.access import Access
from medserver.index.database.backend import Backend
from medserver.index.database.models import Instances, Locations, Objects
from medserver.index.database.models import Tombstones as TombstoneRows
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.objects.records import InstanceRecord, ObjectKey

PAGE_ROWS = 500

_KEY = ("sop_instance_uid", "digest", "transfer_syntax_uid")
_COLUMNS = (*_KEY, "deleted_at", "deleted_by", "reason", "path")
_FIELDS = tuple(getattr(TombstoneRows, name) for name in _COLUMNS)
_OF_KEY = reduce(and_, (getattr(TombstoneRows, name) == PARAMETER for name in _KEY))


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
        Its path, on every volume. It means every file of the object that had been received until then too: one of
        another path was left by a reception that was killed. Empty in tombstones of earlier versions.
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

    def means(self, path: str, received_at: datetime) -> bool:
        """Tell whether a file of the object was deleted: as `Tombstones.is_deleted` does."""
        return path == self.path or received_at <= self.deleted_at


def tombstone_of_file() -> Query:
    """Build the query for a tombstone of a file, whose values are a `tombstone_row`.

    What is received later is later than every tombstone of its instance, whatever clocks say. What was received before,
    at whichever path, was left without a row by a reception that was killed.
    """
    before = (TombstoneRows.path == PARAMETER) | (TombstoneRows.deleted_at >= PARAMETER)
    return TombstoneRows.select(SQL("1")).where(_OF_KEY & before).limit(1)


def tombstone_of_path() -> Query:
    """Build the query for the tombstone of a path, which no other file ever has; for a key and the path."""
    return TombstoneRows.select(SQL("1")).where(_OF_KEY & (TombstoneRows.path == PARAMETER))


def tombstone_row(record: InstanceRecord, received_at: str) -> tuple[str, ...]:
    """Return the values that `tombstone_of_file` asks for; the moment of receipt is a text already."""
    return record.sop_instance_uid, record.digest, record.transfer_syntax_uid, record.path, received_at


class TombstoneTable:
    """The table of tombstones.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _insert(self) -> Query:
        changed = ("deleted_at", "deleted_by", "reason")
        return insertion(TombstoneRows, _COLUMNS).on_conflict(
            conflict_target=[getattr(TombstoneRows, name) for name in (*_KEY, "path")],
            update={getattr(TombstoneRows, name): getattr(EXCLUDED, name) for name in changed},
            where=EXCLUDED.deleted_at > TombstoneRows.deleted_at,
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
        self._backend = access.backend
        self._table = table

    @statement
    def _find(self) -> Query:
        return tombstone_of_file()

    @statement
    def _performed(self) -> Query:
        # By the instance: there is an index of the paths of a volume, but none of those of all.
        files = Locations.select(SQL("1")).join(Objects).join(Instances)
        of_instance = Instances.sop_instance_uid == TombstoneRows.sop_instance_uid
        is_left = fn.EXISTS(files.where(of_instance & (Locations.path == TombstoneRows.path)))
        return TombstoneRows.select(*_FIELDS).where(_OF_KEY & (TombstoneRows.deleted_at >= PARAMETER) & ~is_left)

    @statement
    def _last(self) -> Query:
        return TombstoneRows.select(fn.MAX(TombstoneRows.id))

    @statement
    def _page(self) -> Query:
        later = TombstoneRows.select(TombstoneRows.id, *_FIELDS).where(TombstoneRows.id > PARAMETER)
        return later.order_by(TombstoneRows.id).limit(PAGE_ROWS)

    @statement
    def _of_instances(self) -> Query:
        uid = TombstoneRows.sop_instance_uid
        return TombstoneRows.select(uid).where(self._backend.is_among(uid)).distinct()

    def add(self, tombstones: Sequence[Tombstone]) -> None:
        """Note that files are deleted, as the notes of a volume tell."""

        def perform(connection: Any) -> None:
            for each in tombstones:
                self._table.add(connection, each)

        self._access.writer.run(perform)

    def of_instances(self, sop_instance_uids: Sequence[str]) -> set[str]:
        """Return those instances of which an object was deleted; others of them, or later ones, may be there."""
        rows = self._access.rows(self._of_instances, (self._backend.list_parameter(sop_instance_uids),))
        return {uid for uid, in rows}

    def is_deleted(self, record: InstanceRecord) -> bool:
        """Whether a file is one of an object that was deleted."""
        return bool(self._access.rows(self._find, tombstone_row(record, to_text(record.received_at))))

    def is_made_from_deleted(self, record: InstanceRecord) -> bool:
        """Whether a form was made from an object that was deleted since; it may have been entered before, and stay."""
        original = record.original_key
        moment = to_text(record.received_at)
        return original is not None and bool(self._access.rows(self._find, (*_row(original), "", moment)))

    def performed(self, ordered: Sequence[Tombstone]) -> list[Tombstone]:
        """Return the tombstones of those of some orders that were carried out, and of later ones for the same."""
        return [
            _tombstone(row)
            for each in ordered
            for row in self._access.rows(self._performed, (*_row(each.key), to_text(each.deleted_at)))
        ]

    def last(self) -> int:
        """Return the number of the tombstone that was entered last, 0 if there is none."""
        return self._access.rows(self._last)[0][0] or 0

    def all(self, after: int = 0) -> Iterator[Tombstone]:
        """Yield every tombstone that was entered after one, by its number; in that order."""
        last = after
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
