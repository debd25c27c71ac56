"""The fence: what a transaction looks at before it writes.

The lock of the index is a row with a number. Who rebuilds, restores or migrates takes it, with which the number grows;
who opened the index before has an old number, and whatever it tries to write fails, in the transaction itself. It opens
the index anew when the lock is free: what it remembers of rows may not be true any more.

On PostgreSQL the look keeps a lock on the table (ACCESS SHARE) until the end of the transaction. Who takes the lock
waits for all of those (ACCESS EXCLUSIVE): nobody who saw the old number is still writing when he begins. On SQLite one
transaction writes at a time, and the row is read only if another connection has written since the last look.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any, NamedTuple

from peewee import SQL, Query, fn

from medserver import host
from medserver.errors import IndexLocked
from medserver.index.database.backend import Backend
from medserver.index.database.clock import DatabaseClock
from medserver.index.database.models import IndexLock
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, statement

_GROWN = {IndexLock.number: IndexLock.number + 1}


class Lock(NamedTuple):
    """The row.

    Parameters
    ----------
    number : int
        Grows whenever the lock is taken or given back.
    work : str or None
        What is done, such as ``restore``; None if the lock is free.
    owner, host : str or None
        The process that has it, see `host.Process`, and the name of its machine.
    since, lease_until : str or None
        When it was taken, and until when its owner will at least live.
    is_incomplete : int
        Whether the index lacks something until the work has been done, also if its owner is dead.
    """

    number: int
    work: str | None
    owner: str | None
    host: str | None
    since: str | None
    lease_until: str | None
    is_incomplete: int

    def is_left(self, now: datetime) -> bool:
        """Whether the owner is dead: it is known to be, or its lease has run out."""
        process = host.process_of(self.owner or "")
        if process is not None and process.is_here:
            return process.is_gone
        return not self.lease_until or self.lease_until < to_text(now)

    @property
    def problem(self) -> str:
        """Why the index cannot be used."""
        if self.work is None:
            return (
                f"a {self.what} on {self.host} was interrupted, and the index is not complete: "
                f"run medserver backup restore again"
            )
        since = f"{from_text(self.since):%Y-%m-%d %H:%M}" if self.since else "?"
        return f"a {self.what} of the index runs on {self.host} since {since} UTC: wait for its end"

    @property
    def what(self) -> str:
        """What is or was done."""
        return self.work or "restore"


class LockTable:
    """The SQL of the lock.

    Parameters
    ----------
    backend : Backend
        The database.
    clock : callable
        Told the time of the database if it is a `DatabaseClock`.
    """

    def __init__(self, backend: Backend, clock: Callable[[], datetime]) -> None:
        self.backend = self._backend = backend
        self.clock = clock

    @statement
    def _select(self) -> Query:
        now = fn.clock_timestamp() if self._backend.name == "postgresql" else SQL("NULL")
        return IndexLock.select(*(getattr(IndexLock, name) for name in Lock._fields), now)

    @statement
    def _take(self) -> Query:
        taken = (IndexLock.work, IndexLock.owner, IndexLock.host, IndexLock.since, IndexLock.lease_until)
        return IndexLock.update({**_GROWN, **dict.fromkeys(taken, PARAMETER)})

    @statement
    def _give_back(self) -> Query:
        free = dict.fromkeys((IndexLock.work, IndexLock.owner, IndexLock.lease_until))
        given_back = IndexLock.update({**_GROWN, **free, IndexLock.is_incomplete: PARAMETER})
        return given_back.where(IndexLock.owner == PARAMETER)

    @statement
    def _renew(self) -> Query:
        return IndexLock.update({IndexLock.lease_until: PARAMETER}).where(IndexLock.owner == PARAMETER)

    @statement
    def _spoil(self) -> Query:
        return IndexLock.update({IndexLock.is_incomplete: 1}).where(IndexLock.owner == PARAMETER)

    @statement
    def _grow(self) -> Query:
        return IndexLock.update(_GROWN)

    @statement
    def _outgrow(self) -> Query:
        return IndexLock.update({IndexLock.number: PARAMETER}).where(IndexLock.number < PARAMETER)

    def exists(self, connection: Any) -> bool:
        """Whether the index has the table, which those of earlier versions do not have."""
        if self._backend.name == "postgresql":
            statement = "SELECT to_regclass('index_lock') IS NOT NULL"
        else:
            statement = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'index_lock'"
        return bool(connection.execute(statement).fetchall()[0][0])

    def read(self, connection: Any) -> Lock:
        """Read the row, in a transaction or not."""
        asked_at = self.clock.monotonic() if isinstance(self.clock, DatabaseClock) else 0.0
        [[*row, now]] = connection.execute(self._select).fetchall()
        if isinstance(self.clock, DatabaseClock):
            self.clock.set(now, asked_at)
        return Lock(*row)

    def wait_for_writers(self, connection: Any) -> None:
        """Keep others from looking at the row until the end of the transaction; who has looked has ended by then."""
        if self.backend.name == "postgresql":
            connection.execute("LOCK TABLE index_lock IN ACCESS EXCLUSIVE MODE")

    def take(self, connection: Any, work: str, owner: str, lease_until: datetime) -> None:
        """Take the lock."""
        now = to_text(self.clock())
        connection.execute(self._take, (work, owner, host.host_name(), now, to_text(lease_until)))

    def give_back(self, connection: Any, owner: str, is_incomplete: bool) -> None:
        """Give the lock back, if the owner still has it."""
        connection.execute(self._give_back, (int(is_incomplete), owner))

    def renew(self, connection: Any, owner: str, lease_until: datetime) -> None:
        """Extend the lease of the owner."""
        connection.execute(self._renew, (to_text(lease_until), owner))

    def spoil(self, connection: Any, owner: str) -> None:
        """Note that the index is not complete until the work has been done."""
        connection.execute(self._spoil, (owner,))

    def grow(self, connection: Any) -> None:
        """Let who opened the index before open it anew."""
        connection.execute(self._grow)

    def outgrow(self, connection: Any, number: int) -> None:
        """Let the number be at least so high."""
        connection.execute(self._outgrow, (number, number))


class Fence:
    """The number with which this process writes.

    Parameters
    ----------
    backend : Backend
        The database.
    clock : callable
        As for `LockTable`.
    owner : str
        Who has the lock, if it was taken for this index; empty if not.
    """

    def __init__(self, backend: Backend, clock: Callable[[], datetime], owner: str = "") -> None:
        self._table = LockTable(backend, clock)
        self._owner = owner
        self._seen: tuple[Any, int] | None = None  # SQLite: by which connection, and which state of the file
        self.number = 0

    def open(self) -> None:
        """Take the present number; a lock that a dead process has left is given back.

        Raises
        ------
        IndexLocked
            Somebody has the lock, or has left the index incomplete.
        IndexFailure
            The database cannot be read.
        """
        try:
            lock = self._read()
        except self._table.backend.errors as error:
            raise self._table.backend.failure(error) from error
        is_ours = lock.work is not None and lock.owner == self._owner
        if not is_ours and (lock.work is not None or lock.is_incomplete):
            raise IndexLocked(lock.problem)
        self.number = lock.number

    def _read(self) -> Lock:
        """Return the row, without an owner that is dead."""
        backend = self._table.backend
        with closing(backend.connect(writing=True)) as connection:
            lock = self._table.read(connection)
            if lock.work is None or lock.owner == self._owner or not lock.is_left(self._table.clock()):
                return lock
            backend.begin(connection)
            self._table.give_back(connection, lock.owner or "", bool(lock.is_incomplete))
            backend.commit(connection)
            return self._table.read(connection)

    def check(self, connection: Any) -> None:
        """Look, at the beginning of a transaction, whether this process may still write.

        Raises
        ------
        IndexLocked
            It may not.
        """
        if self._table.backend.name == "sqlite":
            seen = (connection, connection.data_version())
            if seen == self._seen:
                return
        else:
            seen = None
        self.check_reading(connection)
        self._seen = seen

    def committed(self, connection: Any) -> None:
        """Note that a transaction is committed that began with a look: its own changes need no other one."""
        if self._seen is not None:
            self._seen = (connection, connection.data_version())

    def check_reading(self, connection: Any) -> None:
        """Look whether what is read now answers a peer: of an index that is restored just now it would be a part.

        Raises
        ------
        IndexLocked
            It does not.
        """
        lock = self._table.read(connection)
        if lock.number != self.number:
            if lock.work is None and not lock.is_incomplete:
                raise IndexLocked("the index was replaced or migrated, and has to be opened anew")
            raise IndexLocked(lock.problem)

    def is_outdated(self, connection: Any) -> bool:
        """Tell whether the index has to be opened anew, and can be: the lock was taken, and is free."""
        lock = self._table.read(connection)
        if lock.number == self.number or lock.is_incomplete:
            return False
        return lock.work is None or lock.is_left(self._table.clock())
