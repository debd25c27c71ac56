"""Work items in the database: entered, changed under a lock, searched in pages, and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from peewee import SQL, Field, ModelSelect, Query, fn

from medserver.index.database.access import Access, AddJobs
from medserver.index.database.models import WorkitemGlobalSubscriptions as Globals
from medserver.index.database.models import Workitems as Rows
from medserver.index.database.models import WorkitemSubscriptions as Subscribed
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.jobs.records import NewJob
from medserver.index.workitems.records import NewWorkitem, Subscription, Workitem, WorkitemChange, WorkitemKeys
from medserver.index.workitems.subscriptions import GLOBAL_LOCK, PAGE_LENGTH, Subscriptions, within

PAGE_ROWS = 200
PRUNE_ROWS = 500
"""How many rows are looked at, and how many forgotten, in one transaction."""

_KEYS = tuple(each.name for each in fields(WorkitemKeys))
_FIRST = (
    "sop_instance_uid", "state", "transaction_digest", "revision", "content", "created_by", "performer",
    "cancel_requested", "created_at", "changed_at", "ended_at",
)  # fmt: skip
_COLUMNS = (*_FIRST, *_KEYS)
_CHANGED = (
    "state", "transaction_digest", "revision", "content", "performer", "cancel_requested", "changed_at", "ended_at",
    *_KEYS,
)  # fmt: skip

FollowUps = Callable[[Workitem, Sequence[Subscription]], Iterable[NewJob]]
"""Takes an item and who is subscribed to it, and returns what follows."""


class Workitems:
    """The work items of an index, `Index.workitems`.

    Every method that writes returns when what it did outlives the machine. Every method raises `IndexFailure` if the
    database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.

    Attributes
    ----------
    subscriptions : Subscriptions
        Who is told of changes.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend
        self.subscriptions = Subscriptions(access)

    @statement
    def _insert(self) -> Query:
        return insertion(Rows, _COLUMNS).on_conflict(action="NOTHING").returning(Rows.id)

    @statement
    def _inherit(self) -> Query:
        of_all = Globals.select(PARAMETER, Globals.receiver, Globals.has_lock)
        names = [Subscribed.sop_instance_uid, Subscribed.receiver, Subscribed.has_lock]
        return Subscribed.insert_from(of_all.where(SQL("true")), names).on_conflict(action="NOTHING")

    @statement
    def _find(self) -> Query:
        return _items().where(Rows.sop_instance_uid == PARAMETER)

    @statement
    def _find_wish(self) -> Query:
        wish = Rows.select(Rows.cancel_requested, Rows.ended_at, Rows.performer)
        return wish.where(Rows.sop_instance_uid == PARAMETER)

    @statement
    def _lock(self) -> Query:
        return self._backend.locked(_items().where(Rows.sop_instance_uid == PARAMETER))

    @statement
    def _update(self) -> Query:
        return Rows.update({getattr(Rows, name): PARAMETER for name in _CHANGED}).where(Rows.id == PARAMETER)

    @statement
    def _ended(self) -> Query:
        locked = Subscribed.select(SQL("1")).where(
            (Subscribed.sop_instance_uid == Rows.sop_instance_uid) & (Subscribed.has_lock == SQL("1"))
        )
        ended = Rows.select(Rows.id, Rows.sop_instance_uid, Rows.ended_at).where(
            Rows.ended_at.is_null(False) & (Rows.ended_at < PARAMETER) & ~fn.EXISTS(locked)
        )
        return self._backend.locked(ended.order_by(Rows.ended_at).limit(PRUNE_ROWS), skips=True)

    @statement
    def _locks(self) -> Query:
        """The locks on items that became final before a moment."""
        ended = Rows.select(Rows.sop_instance_uid).where(Rows.ended_at.is_null(False) & (Rows.ended_at < PARAMETER))
        locks = Subscribed.select(Subscribed.sop_instance_uid, Subscribed.receiver).where(
            Subscribed.sop_instance_uid.in_(ended) & (Subscribed.has_lock == SQL("1"))
        )
        return self._backend.locked(locks.limit(PRUNE_ROWS), skips=True)

    @statement
    def _unlock(self) -> Query:
        of_item = (Subscribed.sop_instance_uid == PARAMETER) & (Subscribed.receiver == PARAMETER)
        return Subscribed.update({Subscribed.has_lock: SQL("0")}).where(of_item)

    @statement
    def _delete(self) -> Query:
        return Rows.delete().where(Rows.id == PARAMETER)

    @statement
    def _delete_subscriptions(self) -> Query:
        return Subscribed.delete().where(Subscribed.sop_instance_uid == PARAMETER)

    @statement
    def _count(self) -> Query:
        return Rows.select(Rows.state, fn.COUNT(SQL("*"))).group_by(Rows.state)

    def add(self, new: NewWorkitem, follow_ups: FollowUps) -> bool:
        """Enter an item, and subscribe to it who is subscribed to all; False if there is one of this UID.

        Parameters
        ----------
        new : NewWorkitem
            The item.
        follow_ups : callable
            See `FollowUps`; may be called more than once.
        """
        now = self._access.clock()
        item = Workitem(
            new.sop_instance_uid, new.state, "", 0, new.content, new.created_by, "", False, now, now, None, new.keys
        )
        row = (
            *(getattr(item, name) for name in _FIRST[:7]),
            0, to_text(now), to_text(now), None,
            *(getattr(new.keys, name) for name in _KEYS),
        )  # fmt: skip

        def perform(connection: Any, add_jobs: AddJobs) -> bool:
            # Else one who subscribes to all at this moment would neither find the item nor be found.
            self._backend.lock(connection, GLOBAL_LOCK)
            if not connection.execute(self._insert, row).fetchall():
                return False
            connection.execute(self._inherit, (new.sop_instance_uid,))
            add_jobs(follow_ups(item, self.subscriptions.read(connection, new.sop_instance_uid)))
            return True

        return self._access.transact(perform)

    def change(
        self, sop_instance_uid: str, decide: Callable[[Workitem, Sequence[Subscription]], WorkitemChange | None]
    ) -> Workitem | None:
        """Change an item by what it is at this moment, which nobody else changes meanwhile.

        Parameters
        ----------
        sop_instance_uid : str
            Which.
        decide : callable
            Takes it and who is subscribed to it, and returns what it becomes, None if it stays as it is; what it
            raises leaves it as it is. May be called more than once.

        Returns
        -------
        Workitem or None
            As it was before; None if there is none.
        """
        now = to_text(self._access.clock())

        def perform(connection: Any, add_jobs: AddJobs) -> Workitem | None:
            rows = connection.execute(self._lock, (sop_instance_uid,)).fetchall()
            if not rows:
                return None
            item = _item(rows[0])
            changed = decide(item, self.subscriptions.read(connection, sop_instance_uid))
            if changed is not None:
                ended_at = None
                if changed.is_final:
                    ended_at = now if item.ended_at is None else to_text(item.ended_at)
                row = (
                    changed.state, changed.transaction_digest, item.revision + 1, changed.content, changed.performer,
                    int(changed.cancel_requested), now, ended_at,
                    *(getattr(changed.keys, name) for name in _KEYS), item.id,
                )  # fmt: skip
                connection.execute(self._update, row)
                add_jobs(changed.jobs)
            return item

        return self._access.transact(perform)

    def get(self, sop_instance_uid: str) -> Workitem | None:
        """Return an item, None if there is none."""
        rows = self._access.rows(self._find, (sop_instance_uid,))
        return _item(rows[0]) if rows else None

    def goes_on(self, sop_instance_uid: str, performer: str | None = None) -> bool:
        """Tell whether an item is not final, and nobody wants it cancelled; False if there is none.

        Where a `performer` is given, also whether it is still its performer.
        """
        rows = self._access.rows(self._find_wish, (sop_instance_uid,))
        if not rows:
            return False
        cancel_requested, ended_at, has_it = rows[0]
        return not cancel_requested and ended_at is None and performer in (None, has_it)

    def page(
        self, after: int = 0, among: Mapping[str, Sequence[str]] | None = None, limit: int = PAGE_ROWS
    ) -> list[Workitem]:
        """Return the next items, in the order in which they were entered.

        Parameters
        ----------
        after : int
            The number of the last one that is known.
        among : mapping of str to sequence of str
            Columns (``sop_instance_uid``, ``state``, those of `WorkitemKeys`), and the values of which one has to be
            there.
        limit : int
            How many at most; fewer where they are large, see `PAGE_LENGTH`. None: there are no more.
        """
        while sizes := self._access.rows(*self._text(self._sizes(after, among or {}, limit))):
            numbers = within(sizes, PAGE_LENGTH)
            found = _items().where(self._backend.one_of(Rows.id, numbers)).order_by(Rows.id)
            if rows := self._access.rows(*self._text(found)):
                return [_item(row) for row in rows]
            after = numbers[-1]  # they were forgotten in between
        return []

    def _sizes(self, after: int, among: Mapping[str, Sequence[str]], limit: int) -> Query:
        """Select the numbers of the next items, and the length of the content of each."""
        query = Rows.select(Rows.id, fn.LENGTH(Rows.content)).where(Rows.id > after)
        for name, values in among.items():
            query = query.where(self._backend.one_of(getattr(Rows, name), list(values)))
        return query.order_by(Rows.id).limit(limit)

    def _text(self, query: Query) -> tuple[str, Sequence[Any]]:
        return self._backend.database.get_sql_context().sql(query).query()

    def counts(self) -> dict[str, int]:
        """Count the items by their state."""
        return dict(self._access.rows(self._count))

    def unlock(self, before: datetime) -> int:
        """Take some of the locks away on items that became final before a moment; 0 if there are none."""

        def perform(connection: Any) -> int:
            rows = connection.execute(self._locks, (to_text(before),)).fetchall()
            for row in rows:
                connection.execute(self._unlock, tuple(row))
            return len(rows)

        return self._access.writer.run(perform)

    def prune(self, before: datetime) -> int:
        """Forget some of the items that became final before a moment and that nobody has locked.

        Returns
        -------
        int
            How many: `PRUNE_ROWS` if there may be more.
        """

        def perform(connection: Any) -> int:
            rows = connection.execute(self._ended, (to_text(before),)).fetchall()
            for number, sop_instance_uid, _ in rows:
                if any(one.has_lock for one in self.subscriptions.read(connection, sop_instance_uid)):
                    continue  # it was locked between the look and ours
                connection.execute(self._delete, (number,))
                connection.execute(self._delete_subscriptions, (sop_instance_uid,))
            return len(rows)

        return self._access.writer.run(perform)


def _items(*columns: Field) -> ModelSelect:
    return Rows.select(*columns, *(getattr(Rows, name) for name in _COLUMNS), Rows.id)


def _item(row: Sequence[Any]) -> Workitem:
    *texts, cancel_requested, created_at, changed_at, ended_at = row[: len(_FIRST)]
    keys = WorkitemKeys(*row[len(_FIRST) : -1])
    ended = from_text(ended_at) if ended_at else None
    moments = from_text(created_at), from_text(changed_at)
    return Workitem(*texts, bool(cancel_requested), *moments, ended, keys, row[-1])
