"""Orders of deletion: what is to be deleted, unless it is received again before that.

An order is a row. Who deletes consumes it in the transaction in which the object is forgotten, and who receives the
object again withdraws it in the transaction that says so: one of the two is first, whatever clocks say and however
often a worker is killed and begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.jobs.records import NewJob
from medserver.index.objects.locations import SELECT_LOCATIONS, LocationTable, location_of
from medserver.index.objects.records import Duplicate, StoredInstance, StoredLocation
from medserver.index.objects.tombstones import Tombstone, TombstoneTable

Key = tuple[str, str, str]

_KEY = "sop_instance_uid = ? AND digest = ? AND transfer_syntax_uid = ?"


class OrderTable:
    """The table of orders.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._insert = backend.sql("INSERT INTO deletions VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        self._consume = backend.sql(f"DELETE FROM deletions WHERE {_KEY} RETURNING 1")
        self._withdraw = backend.sql("DELETE FROM deletions WHERE sop_instance_uid = ?")
        # Who receives locks the instance first: so does who deletes, or they would wait for each other.
        self._lock = backend.sql(f"SELECT id FROM instances WHERE sop_instance_uid = ?{backend.for_update}")
        self._under = backend.sql(
            "SELECT sop_instance_uid, digest, transfer_syntax_uid FROM instances WHERE sop_instance_uid = ? UNION "
            "SELECT sop_instance_uid, digest, transfer_syntax_uid FROM duplicates WHERE sop_instance_uid = ?"
        )
        # Orders whose job was dropped are still there, and nobody carries them out.
        self._stays = backend.sql(
            f"SELECT 1 WHERE NOT (EXISTS (SELECT 1 FROM deletions WHERE {_KEY}) AND "
            "EXISTS (SELECT 1 FROM jobs WHERE kind = 'delete')) AND "
            f"(EXISTS (SELECT 1 FROM instances WHERE {_KEY}) OR EXISTS (SELECT 1 FROM duplicates WHERE {_KEY}))"
        )

    def add(self, connection: Any, key: tuple[str, str, str]) -> None:
        """Note that an object (UID, digest, transfer syntax) is to be deleted."""
        connection.execute(self._insert, key)

    def under(self, connection: Any, sop_instance_uid: str) -> list[tuple[str, str, str]]:
        """Return everything that is stored under a SOP Instance UID: the instance, and what was put aside."""
        connection.execute(self._lock, (sop_instance_uid,)).fetchall()
        return [tuple(row) for row in connection.execute(self._under, (sop_instance_uid, sop_instance_uid)).fetchall()]

    def stays(self, connection: Any, key: tuple[str, str, str]) -> bool:
        """Tell whether an object is there, and is not to be deleted."""
        connection.execute(self._lock, key[:1]).fetchall()
        return bool(connection.execute(self._stays, key * 3).fetchall())

    def consume(self, connection: Any, key: tuple[str, str, str]) -> bool:
        """Take the order for an object; False if there is none, or none any more."""
        connection.execute(self._lock, key[:1]).fetchall()
        return bool(connection.execute(self._consume, key).fetchall())

    def withdraw(self, connection: Any, sop_instance_uid: str) -> None:
        """Withdraw the orders for everything that is stored under a SOP Instance UID: it was received again."""
        connection.execute(self._withdraw, (sop_instance_uid,))


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
        rows = f"SELECT id FROM {{}}s WHERE {_KEY}"
        self._copies = {
            role: access.backend.sql(f"{SELECT_LOCATIONS} WHERE locations.{role} IN ({rows.format(role)})")
            for role in ("instance", "duplicate")
        }

    def order(
        self,
        objects: Iterable[StoredInstance | StoredLocation | Duplicate | Tombstone],
        jobs_of: Callable[[Sequence[Key]], Iterable[NewJob]] = lambda keys: (),
    ) -> list[Key]:
        """Note that objects are to be deleted. What is received again from now on withdraws the order for it.

        Parameters
        ----------
        objects : iterable of StoredInstance, StoredLocation, Duplicate or Tombstone
            Which. With an instance goes all that is stored under its SOP Instance UID now, also what has been made of
            it since somebody looked.
        jobs_of : callable
            Returns what carries the orders out; added in the same transaction.

        Returns
        -------
        list of tuple of str
            What was ordered: SOP Instance UID, digest and transfer syntax of each.
        """
        wanted = sorted(objects, key=lambda one: one.sop_instance_uid)  # the order in which instances are locked

        def perform(connection: Any, add_jobs: AddJobs) -> list[Key]:
            keys: dict[Key, None] = {}
            for one in wanted:
                key = (one.sop_instance_uid, one.digest, one.transfer_syntax_uid)
                under = self._orders.under(connection, key[0]) if isinstance(one, StoredInstance) else [key]
                keys |= dict.fromkeys(under)
            for key in keys:
                self._orders.add(connection, key)
            add_jobs(jobs_of(list(keys)))
            return list(keys)

        return self._access.transact(perform)

    def perform(
        self, tombstones: Sequence[Tombstone], jobs_of: Callable[[Sequence[StoredLocation]], Iterable[NewJob]]
    ) -> list[Tombstone]:
        """Forget the objects whose orders still stand, with all their copies; durable when it returns.

        Parameters
        ----------
        tombstones : sequence of Tombstone
            What was ordered.
        jobs_of : callable
            Returns what is to be done with the files of these copies; added in the same transaction.

        Returns
        -------
        list of Tombstone
            Of the objects that are forgotten now.
        """

        ordered = sorted(tombstones, key=lambda each: each.key)  # as instances are locked

        def perform(connection: Any, add_jobs: AddJobs) -> list[Tombstone]:
            performed = [each for each in ordered if self._orders.consume(connection, each.key)]
            copies = [copy for each in performed for copy in self._copies_of(connection, each)]
            for each in performed:
                self._tombstones.add(connection, each)
            for copy in copies:
                self._locations.remove(connection, copy.volume, copy.path)
            add_jobs(jobs_of(copies))
            return performed

        # The tombstones that follow must not outlive it, also if an interrupted attempt was what forgot the objects.
        return self._access.transact(perform, flushed=True)

    def _copies_of(self, connection: Any, tombstone: Tombstone) -> list[StoredLocation]:
        return [
            location_of(row)
            for statement in self._copies.values()
            for row in connection.execute(statement, tombstone.key).fetchall()
        ]
