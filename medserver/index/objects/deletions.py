"""Orders of deletion: what is to be deleted, unless it is received again before that.

An order is a row that names an object and how often that had been received. Who deletes consumes it in the transaction
in which the object is forgotten, and who receives the object again withdraws it in the transaction that says so: one of
the two is first, whatever clocks say and however often a worker is killed and begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from medserver.errors import IndexFailure
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.jobs.records import NewJob
from medserver.index.objects.copies import SELECT_COPIES, copy_of
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.records import ObjectKey, StoredCopy
from medserver.index.objects.tombstones import Tombstone, TombstoneTable

_OF_KEY = "sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ?"
_OBJECTS = "objects JOIN instances ON instances.id = objects.instance"


class OrderTable:
    """The table of orders.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        sql = backend.sql
        self._insert = sql(
            f"INSERT INTO deletions (object, receipts) SELECT objects.id, receipts FROM {_OBJECTS} WHERE {_OF_KEY} "
            "ON CONFLICT (object) DO UPDATE SET receipts = excluded.receipts"
        )
        self._consume = sql(
            f"DELETE FROM deletions WHERE object IN (SELECT objects.id FROM {_OBJECTS} WHERE {_OF_KEY} "
            "AND objects.receipts = deletions.receipts) RETURNING object"
        )
        self._withdraw = sql(
            f"DELETE FROM deletions WHERE object IN (SELECT objects.id FROM {_OBJECTS} WHERE sop_instance_uid = ?) "
            "RETURNING object"
        )
        # Who receives locks the instance first: so does who deletes, or they would wait for each other.
        self._lock = sql(f"SELECT id FROM instances WHERE sop_instance_uid = ?{backend.for_update}")
        self._under = sql(
            f"SELECT sop_instance_uid, digest, transfer_syntax_uid FROM {_OBJECTS} WHERE sop_instance_uid = ?"
        )
        # Orders whose job was dropped are still there, and nobody carries them out.
        self._stays = sql(
            f"SELECT 1 FROM {_OBJECTS} WHERE {_OF_KEY} AND NOT (EXISTS "
            "(SELECT 1 FROM deletions WHERE deletions.object = objects.id) "
            "AND EXISTS (SELECT 1 FROM jobs WHERE kind = 'delete'))"
        )

    def add(self, connection: Any, key: ObjectKey) -> None:
        """Note that an object is to be deleted."""
        connection.execute(self._insert, _row(key))

    def under(self, connection: Any, sop_instance_uid: str) -> list[ObjectKey]:
        """Return every object of an instance."""
        connection.execute(self._lock, (sop_instance_uid,)).fetchall()
        return [ObjectKey(*row) for row in connection.execute(self._under, (sop_instance_uid,)).fetchall()]

    def stays(self, connection: Any, key: ObjectKey) -> bool:
        """Tell whether an object is there, and is not to be deleted."""
        connection.execute(self._lock, (key.sop_instance_uid,)).fetchall()
        return bool(connection.execute(self._stays, _row(key)).fetchall())

    def consume(self, connection: Any, key: ObjectKey) -> bool:
        """Take the order for an object; False if there is none, or it was received since."""
        connection.execute(self._lock, (key.sop_instance_uid,)).fetchall()
        return bool(connection.execute(self._consume, _row(key)).fetchall())

    def withdraw(self, connection: Any, sop_instance_uid: str) -> bool:
        """Withdraw the orders for all objects of an instance that is received again; False if there is none."""
        return bool(connection.execute(self._withdraw, (sop_instance_uid,)).fetchall())


class Deletions:
    """The orders of an index, `Index.deletions`. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    orders : OrderTable
        The orders.
    tombstones : TombstoneTable
        Where those end that were carried out.
    locations : LocationTable
        Forgets the copies of what is deleted.
    """

    def __init__(
        self, access: Access, orders: OrderTable, tombstones: TombstoneTable, locations: LocationTable
    ) -> None:
        self._access = access
        self._orders = orders
        self._tombstones = tombstones
        self._locations = locations
        self._copies = access.backend.sql(f"{SELECT_COPIES} WHERE {_OF_KEY}")

    def order(
        self,
        copies: Iterable[StoredCopy],
        jobs_of: Callable[[Sequence[ObjectKey]], Iterable[NewJob]] = lambda keys: (),
    ) -> list[ObjectKey]:
        """Note that objects are to be deleted. What is received again from now on withdraws the order for it.

        Parameters
        ----------
        copies : iterable of StoredCopy
            Any copy of each. With the current object of an instance go all others of it, also what has been made of it
            since somebody looked.
        jobs_of : callable
            Returns what carries the orders out; added in the same transaction.

        Returns
        -------
        list of ObjectKey
            What was ordered.
        """
        wanted = list(copies)

        def perform(connection: Any, add_jobs: AddJobs) -> list[ObjectKey]:
            keys: dict[ObjectKey, None] = {}
            for one in wanted:
                under = self._orders.under(connection, one.sop_instance_uid)
                keys |= dict.fromkeys(under if one.is_current else [one.key])
            for key in keys:
                self._orders.add(connection, key)
            add_jobs(jobs_of(list(keys)))
            return list(keys)

        return self._access.transact(perform)

    def perform(
        self, ordered: Sequence[Tombstone], jobs_of: Callable[[Sequence[StoredCopy]], Iterable[NewJob]]
    ) -> list[Tombstone]:
        """Forget the objects whose orders still stand, with all their copies; durable when it returns.

        Parameters
        ----------
        ordered : sequence of Tombstone
            What was ordered.
        jobs_of : callable
            Returns what is to be done with the files of these copies; added in the same transaction.

        Returns
        -------
        list of Tombstone
            Of the files of the objects that are forgotten now, each with its path.
        """

        def perform(connection: Any, add_jobs: AddJobs) -> list[Tombstone]:
            performed: list[Tombstone] = []
            gone: list[StoredCopy] = []
            for each in (one for one in ordered if self._orders.consume(connection, one.key)):
                copies = self._copies_of(connection, each.key)
                gone += copies
                paths = sorted({copy.path for copy in copies}) or [""]
                performed += [replace(each, path=path) for path in paths]
            for each in performed:
                self._tombstones.add(connection, each)
            for copy in gone:
                self._locations.remove(connection, copy.volume, copy.path)
            add_jobs(jobs_of(gone))
            return performed

        performed = self._access.transact(perform)
        try:
            self._access.backend.flush()  # the tombstones that follow must not outlive it
        except OSError as error:
            raise IndexFailure(f"index: {error}") from error
        return performed

    def _copies_of(self, connection: Any, key: ObjectKey) -> list[StoredCopy]:
        return [copy_of(row) for row in connection.execute(self._copies, _row(key)).fetchall()]


def _row(key: ObjectKey) -> tuple[str, str, str]:
    return key.sop_instance_uid, key.digest, key.transfer_syntax_uid
