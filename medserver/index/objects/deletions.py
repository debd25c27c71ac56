"""Orders of deletion: what is to be deleted, unless it is received again before that.

An order is a row that names an object and how often that had been received. Who deletes consumes it in the transaction
in which the object is forgotten, and who receives the object again withdraws it in the transaction that says so: one of
the two is first, whatever clocks say and however often a worker is killed and begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from peewee import SQL, Case, Delete, Node, Query, fn

from medserver.audit.rows import AuditRow
from medserver.index.audit.subjects import Subject, Subjects
from medserver.index.database import models
from medserver.index.database.access import Access, AddJobs
from medserver.index.database.backend import Backend
from medserver.index.database.models import Instances, Jobs, Objects
from medserver.index.database.moments import from_text
from medserver.index.database.statements import PARAMETER, statement
from medserver.index.jobs.records import NewJob
from medserver.index.objects.copies import copy_of, select_copies
from medserver.index.objects.lineage import BEHIND
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.records import ObjectKey, StoredCopy
from medserver.index.objects.tombstones import Tombstone, TombstoneTable

_OF_INSTANCE = Instances.sop_instance_uid == PARAMETER
_OF_KEY = _OF_INSTANCE & (Objects.digest == PARAMETER) & (Objects.transfer_syntax_uid == PARAMETER)

_HAS_ORDER = fn.EXISTS(models.Deletions.select(SQL("1")).where(models.Deletions.object == Objects.id))
_HAS_JOB = fn.EXISTS(Jobs.select(SQL("1")).where(Jobs.kind == "delete"))

IS_ORDERED = Case(None, [(_HAS_ORDER & _HAS_JOB, 1)], 0)
"""1 for an object that is to be deleted, else 0. Orders whose job was dropped are still there, and nobody carries them
out. It is a value and no condition: then SQLite looks through the jobs only where there is an order."""


class OrderTable:
    """The table of orders.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _insert(self) -> Query:
        chosen = Objects.select(Objects.id, Objects.receipts).join(Instances).where(_OF_KEY)
        row = models.Deletions.insert_from(chosen, (models.Deletions.object, models.Deletions.receipts))
        return row.on_conflict(conflict_target=models.Deletions.object, preserve=models.Deletions.receipts)

    @statement
    def _consume(self) -> Query:
        receipts = Objects.select(Objects.receipts).where(Objects.id == models.Deletions.object)
        return _deletion_of_orders(_OF_KEY).where(models.Deletions.receipts == receipts)

    @statement
    def _withdraw(self) -> Query:
        return _deletion_of_orders(_OF_INSTANCE)

    @statement
    def _lock(self) -> Query:
        """Who receives locks the instance first: so does who deletes, or they would wait for each other."""
        return self._backend.locked(Instances.select(Instances.id).where(_OF_INSTANCE))

    @statement
    def _under(self) -> Query:
        columns = (Instances.sop_instance_uid, Objects.digest, Objects.transfer_syntax_uid, Objects.is_current)
        return Objects.select(*columns).join(Instances).where(_OF_INSTANCE)

    @statement
    def _ordered(self) -> Query:
        return Objects.select(IS_ORDERED).join(Instances).where(_OF_KEY)

    @statement
    def _receipts(self) -> Query:
        return Objects.select(Objects.receipts).join(Instances).where(_OF_KEY)

    def receipts(self, connection: Any, key: ObjectKey) -> int:
        """Return how often an object was received, 0 if it is not there; after `under`, which has locked it."""
        rows = connection.execute(self._receipts, _row(key)).fetchall()
        return rows[0][0] if rows else 0

    def add(self, connection: Any, key: ObjectKey) -> None:
        """Note that an object is to be deleted."""
        connection.execute(self._insert, _row(key))

    def lock(self, connection: Any, sop_instance_uid: str) -> None:
        """Lock an instance, before its orders."""
        connection.execute(self._lock, (sop_instance_uid,)).fetchall()

    def under(self, connection: Any, sop_instance_uid: str) -> dict[ObjectKey, bool]:
        """Lock an instance; return each of its objects, and whether that is the current one."""
        connection.execute(self._lock, (sop_instance_uid,)).fetchall()
        rows = connection.execute(self._under, (sop_instance_uid,)).fetchall()
        return {ObjectKey(*row[:3]): bool(row[3]) for row in rows}

    def stays(self, connection: Any, key: ObjectKey) -> bool:
        """Tell whether an object is there, and is not to be deleted."""
        return self._look_up(connection, key) == [(0,)]

    def is_ordered(self, connection: Any, key: ObjectKey) -> bool:
        """Tell whether an object is to be deleted."""
        return self._look_up(connection, key) == [(1,)]

    def _look_up(self, connection: Any, key: ObjectKey) -> list[tuple[int]]:
        """Lock the instance of an object; return whether that is to be deleted, nothing if it is not there."""
        connection.execute(self._lock, (key.sop_instance_uid,)).fetchall()
        return connection.execute(self._ordered, _row(key)).fetchall()

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
        self._backend = access.backend
        self._subjects = Subjects(access.backend)

    @statement
    def _copies(self) -> Query:
        return select_copies().where(_OF_KEY)

    def order(
        self,
        copies: Iterable[StoredCopy],
        jobs_of: Callable[[Sequence[ObjectKey]], Iterable[NewJob]] = lambda keys: (),
        *,
        is_alone: bool = False,
    ) -> list[ObjectKey]:
        """Note that objects are to be deleted. What is received again from now on withdraws the order for it.

        Parameters
        ----------
        copies : iterable of StoredCopy
            Any copy of each. With the current object of an instance go all others of it, also what has been made of it
            since somebody looked. One that was not current and is now stays, or the instance would have none.
        jobs_of : callable
            Returns what carries the orders out; added in the same transaction.
        is_alone : bool
            Whether only what is the one object of its instance is meant, and was received as often as its copy says.

        Returns
        -------
        list of ObjectKey
            What was ordered.
        """
        wanted = sorted(copies, key=lambda one: one.sop_instance_uid)  # the order in which instances are locked

        def perform(connection: Any, add_jobs: AddJobs) -> list[ObjectKey]:
            keys: dict[ObjectKey, None] = {}
            for one in wanted:
                under = self._orders.under(connection, one.sop_instance_uid)
                is_as_seen = list(under) == [one.key] and self._orders.receipts(connection, one.key) == one.receipts
                if is_alone and not is_as_seen:
                    continue
                keys |= dict.fromkeys(under if one.is_current else _alone(under, one.key))
            for key in keys:
                self._orders.add(connection, key)
            add_jobs(jobs_of(list(keys)))
            return list(keys)

        return self._access.transact(perform)

    def withdraw(self, sop_instance_uids: Iterable[str]) -> None:
        """Take back the orders for all objects of instances: who gave them does not want it any more."""
        wanted = sorted(set(sop_instance_uids))  # the order in which instances are locked

        def perform(connection: Any) -> None:
            for uid in wanted:
                self._orders.lock(connection, uid)
                self._orders.withdraw(connection, uid)

        self._access.writer.run(perform)

    def perform(
        self,
        tombstones: Sequence[Tombstone],
        jobs_of: Callable[[Sequence[StoredCopy]], Iterable[NewJob]],
        told_of: Callable[[Sequence[Subject], Set[str]], Iterable[AuditRow]] = lambda subjects, gone: (),
    ) -> list[Tombstone]:
        """Forget the objects whose orders still stand, with all their copies; durable when it returns.

        Parameters
        ----------
        tombstones : sequence of Tombstone
            What was ordered.
        jobs_of : callable
            Returns what is to be done with the files of these copies; added in the same transaction.
        told_of : callable
            Takes what was deleted, and the studies of which nothing is left, and returns what is told of it.

        Returns
        -------
        list of Tombstone
            Of the files of the objects that are forgotten now, each with its path.
        """
        ordered = sorted(tombstones, key=lambda each: each.sop_instance_uid)  # the order in which instances are locked

        def perform(connection: Any, add_jobs: AddJobs) -> list[Tombstone]:
            performed: list[Tombstone] = []
            gone: list[StoredCopy] = []
            consumed = [one for one in ordered if self._orders.consume(connection, one.key)]
            uids = sorted({one.sop_instance_uid for one in consumed})
            subjects = self._subjects.by_uid(connection, uids)
            for each in consumed:
                copies = self._copies_of(connection, each.key)
                gone += copies
                [[received_at]] = connection.execute(self._received_at, _row(each.key)).fetchall()
                # A clock that was ahead, or is behind, does not make it a deletion of something else; and what was made
                # from it, and was left without a row, had been made before.
                one = replace(each, deleted_at=max(each.deleted_at, from_text(received_at) + BEHIND))
                paths = sorted({copy.path for copy in copies}) or [""]
                performed += [replace(one, path=path) for path in paths]
            for each in performed:
                self._tombstones.add(connection, each)
            self._locations.remove(connection, gone)
            add_jobs(jobs_of(gone))
            studies = {each.study_instance_uid for each in subjects}
            left = {uid for uid in studies if self._subjects.has_study(connection, uid)}
            add_jobs(told_of(subjects, studies - left))
            return performed

        # The tombstones that follow must not outlive it, also if an interrupted attempt was what forgot the objects.
        return self._access.transact(perform, flushed=True)

    @statement
    def _received_at(self) -> Query:
        of_version = (Objects.digest == PARAMETER) & (Objects.transfer_syntax_uid == PARAMETER)
        found = Objects.select(Objects.received_at).join(Instances)
        return found.where((Instances.sop_instance_uid == PARAMETER) & of_version)

    def _copies_of(self, connection: Any, key: ObjectKey) -> list[StoredCopy]:
        return [copy_of(row) for row in connection.execute(self._copies, _row(key)).fetchall()]


def _deletion_of_orders(condition: Node) -> Delete:
    """Build the deletion of the orders for the objects that fulfil a condition.

    The condition must not be on the orders: SQLite would look through all of them.
    """
    chosen = Objects.select(Objects.id).join(Instances).where(condition)
    return models.Deletions.delete().where(models.Deletions.object.in_(chosen)).returning(models.Deletions.object)


def _alone(under: Mapping[ObjectKey, bool], key: ObjectKey) -> list[ObjectKey]:
    """Return an object; nothing if it was promoted since somebody looked, or the others would have no current one."""
    return [] if key not in under or (under[key] and len(under) > 1) else [key]


def _row(key: ObjectKey) -> tuple[str, str, str]:
    return key.sop_instance_uid, key.digest, key.transfer_syntax_uid
