"""What only one process may do with an index, while nobody else writes: a rebuild, a restore, a migration."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

from medserver.errors import IndexLocked, MedserverError
from medserver.host import this_process
from medserver.index.database.backend import Backend
from medserver.index.database.opening import clock_of, open_backend
from medserver.index.nodes.fence import Lock, LockTable
from medserver.index.nodes.schema import create_tables

LEASE_S = 30.0
"""After which time others take the lock of an owner of whom they know nothing else."""

RENEWALS_PER_LEASE = 6

logger = logging.getLogger(__name__)


@dataclass
class Held:
    """The lock, as its owner has it.

    Parameters
    ----------
    owner : str
        Who that is, for `open_index`; empty where there was no index to lock.
    number : int
        The number of the lock.
    is_incomplete : bool
        Whether the index is not complete until the work is.
    """

    table: LockTable | None = None
    owner: str = ""
    number: int = 0
    is_incomplete: bool = False

    def spoil(self) -> None:
        """Note that from now on nobody can use the index until the work was done, should this process be killed."""
        self.is_incomplete = True
        if self.owner and self.table is not None:
            _transact(self.table, lambda connection: self.table.spoil(connection, self.owner))

    def pass_on(self, backend: Backend) -> None:
        """Let who opened the index that was there not take the one that comes into its place for the same."""
        table = LockTable(backend, clock_of(backend))
        _transact(table, lambda connection: table.outgrow(connection, self.number + 1))


@contextmanager
def exclusively(url: str, base: Path, work: str, clock: Callable[[], datetime] | None = None) -> Iterator[Held]:
    """Keep everybody else, on this host and others, from writing to an index for what is done inside.

    An index that cannot be read cannot be locked either: it is what a restore or a rebuild is for. On SQLite the lock
    of the data folder keeps others out then, see `medserver.lock`.

    Parameters
    ----------
    url, base : str, Path
        As for `open_index`; the base is the data folder of this node.
    work : str
        What is done, such as ``restore``.
    clock : callable, optional
        As for `open_index`.

    Raises
    ------
    IndexLocked
        Somebody else has the lock.
    """
    backend = open_backend(url, base)
    table = LockTable(backend, clock or clock_of(backend))
    held = Held(table)
    owner = f"{this_process(base)}:{token_hex(6)}"
    try:
        if _ensure_tables(table):
            lock = _transact(table, lambda connection: _take(table, connection, work, owner))
            held.owner, held.number, held.is_incomplete = owner, lock.number, bool(lock.is_incomplete)
    except IndexLocked:
        raise
    except (MedserverError, *backend.errors) as error:
        logger.warning("the index that is there cannot be locked: %s", error)
    with _renewed(held):
        try:
            yield held
        finally:
            if held.owner:
                _give_back(held)


def _ensure_tables(table: LockTable) -> bool:
    """Make the tables in an index of an earlier version; False for a database file that is none yet."""
    if table.backend.name == "sqlite" and not table.backend.dump_size_bytes():
        return False
    with closing(table.backend.connect(writing=True)) as connection:
        is_there = table.exists(connection)
    if not is_there:
        _transact(table, lambda connection: create_tables(connection.execute, table.backend.name))
    return True


def _take(table: LockTable, connection: Any, work: str, owner: str) -> Lock:
    table.wait_for_writers(connection)
    lock = table.read(connection)
    if lock.work is not None and not lock.is_left(table.clock()):
        raise IndexLocked(lock.problem)
    table.take(connection, work, owner, table.clock() + timedelta(seconds=LEASE_S))
    return table.read(connection)


def _give_back(held: Held) -> None:
    """Give the lock back; if that fails, others find out that this process has ended."""
    try:
        _transact(held.table, lambda connection: held.table.give_back(connection, held.owner, held.is_incomplete))
    except (MedserverError, *held.table.backend.errors) as error:
        logger.warning("the lock of the index is left to run out: %s", error)


@contextmanager
def _renewed(held: Held) -> Iterator[None]:
    """Extend the lease now and then. On SQLite all who could ask know whether the process lives."""
    if held.table.backend.name == "sqlite" or not held.owner:
        yield
        return
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_S / RENEWALS_PER_LEASE):
            until = held.table.clock() + timedelta(seconds=LEASE_S)
            try:
                _transact(held.table, lambda connection: held.table.renew(connection, held.owner, until))
            except (MedserverError, *held.table.backend.errors) as error:
                logger.warning("the lock of the index cannot be extended: %s", error)

    thread = threading.Thread(target=renew, name="lock of the index", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _transact(table: LockTable, perform: Callable[[Any], Any]) -> Any:
    """Perform a transaction that no fence is in the way of, on a connection of its own.

    A database file that is about to be renamed must not be open: SQLite would take the wrong log away.
    """
    backend = table.backend
    with closing(backend.connect(writing=True)) as connection:
        backend.begin(connection)
        try:
            result = perform(connection)
        except BaseException:
            backend.rollback(connection)
            raise
        backend.commit(connection)
        return result
