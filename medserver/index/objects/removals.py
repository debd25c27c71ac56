"""Copies that are removed from a volume on purpose, `Index.removals`: their objects stay, on other volumes.

They are not missed there: who looks for missing copies does not make them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from peewee import SQL, Query, fn

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import Locations, RemovedCopies
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import NewJob
from medserver.index.objects.deletions import OrderTable
from medserver.index.objects.locations import LocationTable
from medserver.index.objects.records import GOOD, StoredCopy

_AT = (Locations.volume == PARAMETER) & (Locations.path == PARAMETER)


class Removals:
    """Forgets copies of which others stay. Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    orders : OrderTable
        Locks instances.
    locations : LocationTable
        Forgets the copies.
    """

    def __init__(self, access: Access, orders: OrderTable, locations: LocationTable) -> None:
        self._access = access
        self._backend = access.backend
        self._orders = orders
        self._locations = locations

    @statement
    def _kept(self) -> Query:
        """The object of a copy, if another good copy of it is on one of some volumes."""
        others = Locations.alias()
        is_other = (others.object == Locations.object) & (others.id != Locations.id) & (others.state == GOOD)
        elsewhere = others.select(SQL("1")).where(is_other & self._backend.is_among(others.volume))
        return Locations.select(Locations.object).where(_AT & fn.EXISTS(elsewhere))

    @statement
    def _note(self) -> Query:
        return insertion(RemovedCopies, ("object", "volume")).on_conflict_ignore()

    @statement
    def _forget(self) -> Query:
        return RemovedCopies.delete().where(RemovedCopies.volume == PARAMETER)

    @statement
    def _count(self) -> Query:
        is_there = Locations.select(SQL("1")).where(
            (Locations.object == RemovedCopies.object) & (Locations.volume == RemovedCopies.volume)
        )
        lacking = RemovedCopies.select(RemovedCopies.volume, fn.COUNT(SQL("*"))).where(~fn.EXISTS(is_there))
        return lacking.group_by(RemovedCopies.volume)

    def perform(
        self,
        copies: Iterable[StoredCopy],
        others: Sequence[str],
        jobs_of: Callable[[Sequence[StoredCopy]], Iterable[NewJob]],
    ) -> list[StoredCopy]:
        """Forget copies, those of which another good one is on one of some volumes.

        Parameters
        ----------
        copies : iterable of StoredCopy
            Which. Those that are not known any more are none.
        others : sequence of str
            The volumes on which another one may be.
        jobs_of : callable
            Returns what is to be done with the files of those that are forgotten; added in the same transaction.

        Returns
        -------
        list of StoredCopy
            What is forgotten.
        """
        wanted = sorted(copies, key=lambda one: one.sop_instance_uid)  # the order in which instances are locked
        among = self._backend.list_parameter(list(others))

        def perform(connection: Any, add_jobs: AddJobs) -> list[StoredCopy]:
            gone = []
            for one in wanted:
                self._orders.lock(connection, one.sop_instance_uid)
                for (number,) in connection.execute(self._kept, (one.volume, one.path, among)).fetchall():
                    connection.execute(self._note, (number, one.volume))
                    gone.append(one)
            self._locations.remove(connection, gone)
            add_jobs(jobs_of(gone) if gone else ())
            return gone

        return self._access.transact(perform)

    def counts(self) -> dict[str, int]:
        """Count, by volume, the objects of which a copy was removed, and is not there again."""
        return dict(self._access.rows(self._count))

    def forget(self, volume: str) -> None:
        """Let everything be missed on a volume that was removed from it."""
        self._access.writer.run(lambda connection: connection.execute(self._forget, (volume,)) and None, is_long=True)
