"""Who is told of changes of work items: of one, or of all that there are and will be (PS3.4 CC.2.3).

A subscription to all is a row of its own, and a row for each item: so an AE and an item are in one state, whatever it
came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from peewee import Query, fn

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import WorkitemGlobalSubscriptions as Globals
from medserver.index.database.models import Workitems as Rows
from medserver.index.database.models import WorkitemSubscriptions as Subscribed
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import NewJob
from medserver.index.workitems.records import Subscription

PAGE_ROWS = 200
"""How many items are subscribed to in one transaction."""

PAGE_LENGTH = 16 * 1024 * 1024
"""How many characters of content are read together, but for one item that is larger."""

GLOBAL_LOCK = "workitems"
"""Taken by who enters an item, and by who subscribes to all."""


class Told(NamedTuple):
    """What is told of an item first: its UID, its state, and its content."""

    sop_instance_uid: str
    state: str
    content: str


First = Callable[[Told], Iterable[NewJob]]
"""Returns what tells a new subscriber of an item as it is."""


def within(sizes: Iterable[tuple[int, int]], length: int) -> list[int]:
    """Return the first of some numbers whose lengths are not more than this together; at least one."""
    numbers: list[int] = []
    for number, size in sizes:
        length -= size
        if numbers and length < 0:
            break
        numbers.append(number)
    return numbers


class Subscriptions:
    """The subscriptions of an index, `Index.workitems.subscriptions`.

    Every method that writes returns when what it did outlives the machine. Every method raises `IndexFailure` if the
    database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend

    @statement
    def _of_item(self) -> Query:
        found = Subscribed.select(Subscribed.receiver, Subscribed.has_lock)
        return found.where(Subscribed.sop_instance_uid == PARAMETER).order_by(Subscribed.receiver)

    @statement
    def _of_all(self) -> Query:
        return Globals.select(Globals.receiver, Globals.has_lock).order_by(Globals.receiver)

    @statement
    def _receivers(self) -> Query:
        return Subscribed.select(Subscribed.receiver).distinct()

    @statement
    def _lock(self) -> Query:
        item = Rows.select(Rows.sop_instance_uid, Rows.state, Rows.content).where(Rows.sop_instance_uid == PARAMETER)
        return self._backend.locked(item)

    @statement
    def _set(self) -> Query:
        return insertion(Subscribed, ("sop_instance_uid", "receiver", "has_lock")).on_conflict(
            conflict_target=[Subscribed.sop_instance_uid, Subscribed.receiver], preserve=[Subscribed.has_lock]
        )

    @statement
    def _add(self) -> Query:
        new = insertion(Subscribed, ("sop_instance_uid", "receiver", "has_lock"))
        return new.on_conflict(action="NOTHING")

    @statement
    def _set_global(self) -> Query:
        return insertion(Globals, ("receiver", "has_lock")).on_conflict(
            conflict_target=[Globals.receiver], preserve=[Globals.has_lock]
        )

    @statement
    def _sizes(self) -> Query:
        sizes = Rows.select(Rows.id, fn.LENGTH(Rows.content)).where(Rows.id > PARAMETER)
        return sizes.order_by(Rows.id).limit(PAGE_ROWS)

    @statement
    def _items(self) -> Query:
        items = Rows.select(Rows.sop_instance_uid, Rows.state, Rows.content)
        return self._backend.locked(items.where(self._backend.is_among(Rows.id)).order_by(Rows.id))

    @statement
    def _delete(self) -> Query:
        of_item = Subscribed.sop_instance_uid == PARAMETER
        return Subscribed.delete().where(of_item & (Subscribed.receiver == PARAMETER))

    @statement
    def _delete_global(self) -> Query:
        return Globals.delete().where(Globals.receiver == PARAMETER)

    @statement
    def _some_of_receiver(self) -> Query:
        found = Subscribed.select(Subscribed.sop_instance_uid)
        return found.where(Subscribed.receiver == PARAMETER).order_by(Subscribed.sop_instance_uid).limit(PAGE_ROWS)

    def read(self, connection: Any, sop_instance_uid: str) -> list[Subscription]:
        """Return who is subscribed to an item, by AE title, within a transaction."""
        rows = connection.execute(self._of_item, (sop_instance_uid,)).fetchall()
        return [Subscription(receiver, bool(has_lock)) for receiver, has_lock in rows]

    def of(self, sop_instance_uid: str) -> list[Subscription]:
        """Return who is subscribed to an item, by AE title."""
        return self._access.read(self.read, sop_instance_uid)

    def of_all(self) -> list[Subscription]:
        """Return who is subscribed to all items, by AE title."""
        return [Subscription(receiver, bool(has_lock)) for receiver, has_lock in self._access.rows(self._of_all)]

    def receivers(self) -> list[str]:
        """Return the AE titles that are subscribed to anything."""
        of_items = {row[0] for row in self._access.rows(self._receivers)}
        return sorted(of_items | {one.receiver for one in self.of_all()})

    def subscribe(self, sop_instance_uid: str, receiver: str, has_lock: bool, first: First) -> bool:
        """Subscribe an AE to an item, or change its lock; False if there is no such item.

        Parameters
        ----------
        first : callable
            See `First`; what it returns is added in the same transaction. May be called more than once.
        """

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            rows = connection.execute(self._lock, (sop_instance_uid,)).fetchall()
            if not rows:
                return False
            connection.execute(self._set, (sop_instance_uid, receiver, int(has_lock)))
            add_jobs(first(Told(*rows[0])))
            return True

        return self._access.transact(perform)

    def unsubscribe(self, sop_instance_uid: str, receiver: str) -> bool:
        """End the subscription of an AE to an item, if there is one; False if there is no such item."""

        def perform(connection: Any) -> bool:
            if not connection.execute(self._lock, (sop_instance_uid,)).fetchall():
                return False
            connection.execute(self._delete, (sop_instance_uid, receiver))
            return True

        return self._access.writer.run(perform)

    def subscribe_to_all(self, receiver: str, has_lock: bool, first: First | None) -> None:
        """Subscribe an AE to all items that there will be, and to those that there are without a subscription of it.

        That goes in pages: what was entered in between has found the subscription already. Doing it again is harmless.

        Parameters
        ----------
        first : callable or None
            See `First`; what it returns for each item that there is is added with it.
        """

        def begin(connection: Any) -> None:
            self._backend.lock(connection, GLOBAL_LOCK)
            connection.execute(self._set_global, (receiver, int(has_lock)))

        def page(connection: Any, add_jobs: AddJobs) -> int | None:
            numbers = within(connection.execute(self._sizes, (last,)).fetchall(), PAGE_LENGTH)
            if not numbers:
                return None
            for told in connection.execute(self._items, (self._backend.list_parameter(numbers),)).fetchall():
                connection.execute(self._add, (told[0], receiver, int(has_lock)))
                if first is not None:
                    add_jobs(first(Told(*told)))
            return numbers[-1]

        self._access.writer.run(begin)
        last: int | None = 0
        while last is not None:
            last = self._access.transact(page)

    def unsubscribe_from_all(self, receiver: str) -> None:
        """End every subscription of an AE, to all items and to each (PS3.4 table CC.2.3-2)."""
        self.suspend(receiver)

        def page(connection: Any) -> int:
            rows: Sequence[Any] = connection.execute(self._some_of_receiver, (receiver,)).fetchall()
            for (sop_instance_uid,) in rows:
                connection.execute(self._delete, (sop_instance_uid, receiver))
            return len(rows)

        while self._access.writer.run(page) == PAGE_ROWS:
            pass

    def suspend(self, receiver: str) -> None:
        """End the subscription of an AE to all items that there will be; those to items that there are stay."""

        def perform(connection: Any) -> None:
            self._backend.lock(connection, GLOBAL_LOCK)
            connection.execute(self._delete_global, (receiver,))

        self._access.writer.run(perform)
