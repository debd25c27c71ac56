"""Transactions: who shares one, and what is repeated.

On SQLite everybody who waits to write shares a transaction: one can write at a time, and its commit is what takes time.
Who leads, and who waits, is in `medserver.group_commit`; here is what a leader does. A task that fails must not make
others fail: the transaction is rolled back and every task is performed again in a transaction of its own.

On PostgreSQL a thread has a transaction of its own, unless its task says in which order it locks. Tasks without an
order that shared a transaction would hold the locks of each other until its end, and wait for those of other processes
in a circle. Objects that are received do share one, sorted: with 4 senders that takes a quarter less of the node's
processor than a transaction each, with 16 half as much.

All transactions lock in one order, so that none waits for another that waits for it; within each kind in the order of
its key:

1. what the transaction is about: ``deletions``, ``commitments``, ``performed_steps``, ``job_schedule`` by their key;
   who adds or subscribes to work items takes the lock of that first, then ``workitems``, then their subscriptions;
2. instances that exist, by SOP Instance UID;
3. patients, studies, series, in this order: rows above instances are changed, made and deleted from the top;
4. instances, duplicates and locations that are made or deleted;
5. kinds of jobs and lanes; then the locks of order keys, sorted; then jobs, by number.

Jobs come last because almost every transaction adds some: `Access.transact` collects them. What collides all the same,
with another process, or with a row that is just being made or deleted, is repeated here and nowhere else.

What was changed in an authoritative table (see `medserver.index.database.tables`) is flushed before its task is
answered, here and nowhere else: outside of the transaction, so that nobody who does not need it waits for it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar

from medserver.errors import IndexFailure, IndexUnavailable, MedserverError
from medserver.group_commit import Closed, GroupCommit, Task
from medserver.index.database.backend import Backend
from medserver.index.database.flushes import Flushes
from medserver.index.database.tables import has_authoritative

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TASKS_MAX = 256
"""How many tasks share a transaction at most; it bounds the time that others wait for the write lock."""

ATTEMPTS_MAX = 8
"""How often a transaction is tried that collides with those of others."""

REPEAT_WITHIN_S = 8.0
"""A transaction that has taken longer is not tried again: somebody waits for it."""

_FIRST_PAUSE_S = 0.004


class _Task(Task, Generic[Result]):
    """One piece of writing, and what came of it."""

    __slots__ = ("is_authoritative", "order", "perform", "result")

    def __init__(self, perform: Callable[[Any], Result], order: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.perform = perform
        self.order = order
        self.result: Result | None = None
        self.is_authoritative = False


class Writer:
    """The only way to change the index from this process.

    Parameters
    ----------
    backend : Backend
        The database.
    on_begin : callable
        Called with the connection where a transaction begins; what it raises ends that: see `Fence`.
    on_commit, on_rollback : callable
        Called in the thread that performed a transaction, with the connection after it was committed, or after it was
        rolled back, so that what was remembered of its rows can be kept or forgotten.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        on_begin: Callable[[Any], None] = lambda connection: None,
        on_commit: Callable[[Any], None],
        on_rollback: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._on_begin = on_begin
        self._on_commit = on_commit
        self._on_rollback = on_rollback
        self._connections = backend.connections(writing=True)
        self._group: GroupCommit[_Task] = GroupCommit(self._perform_all, TASKS_MAX)
        self._flushes = Flushes(backend)
        self.flush = self._flushes.flush

    def run(
        self,
        perform: Callable[[Any], Result],
        order: tuple[str, ...] = (),
        *,
        is_long: bool = False,
        flushed: bool = False,
    ) -> Result:
        """Perform a task in a transaction.

        Parameters
        ----------
        perform : callable
            Takes the connection and returns the result. May be called more than once, each time in a new
            transaction.
        order : tuple of str
            By what it locks: patient, study, series and instance. The tasks of a transaction are performed in this
            order, so that processes which lock the same rows don't lock each other out.
        is_long : bool
            Whether a statement may take minutes: it changes very many rows.
        flushed : bool
            Whether what is changed has to outlive the machine although it is in no authoritative table.

        Returns
        -------
        Result
            What `perform` returned. It outlives this process; also the machine if it is authoritative, or was to be
            flushed.

        Raises
        ------
        IndexFailure
            If the database failed; the change has not been made, or the flush failed.
        UnknownOutcome
            If the connection was lost while committing, and nobody could be asked what came of it.
        OutOfResources
            If there was no space.
        """
        task: _Task[Result] = _Task(perform, order)
        if self._backend.shares_transactions or order:
            try:
                self._group.run(task)
            except Closed:
                raise IndexFailure("index: it is closed") from None
        else:
            self._perform_all([task], is_long=is_long)
            if task.failure is not None:
                raise task.failure
        if flushed or task.is_authoritative:
            self.flush()
        return task.result  # type: ignore[return-value]

    def close(self) -> None:
        """Wait for the transactions that are shared, refuse others, and close the connections."""
        self._group.close(_Task(lambda connection: None))
        self._flushes.close()
        self._connections.close()

    def _perform_all(self, tasks: list[_Task], *, is_long: bool = False) -> None:
        tasks.sort(key=lambda task: task.order)
        try:
            self._transact(tasks, is_long)
        except _NoTransaction as error:
            for task in tasks:
                task.failure = error.failure
        except Exception as error:
            if len(tasks) == 1:
                tasks[0].failure = self._translated(error)
                return
            logger.info("a transaction of %d tasks failed, performing them one by one", len(tasks))
            for task in tasks:
                self._perform_all([task])

    def _transact(self, tasks: list[_Task], is_long: bool) -> None:
        """Perform tasks in one transaction; again if it collided with others, or its connection was lost."""
        began = time.monotonic()
        for attempt in count(1):
            has_begun = False
            try:
                with self._connections.lent() as connection:
                    self._backend.begin(connection, is_long=is_long)
                    has_begun = True
                    self._attempt(connection, tasks)
                return
            except Exception as error:
                is_last = attempt == ATTEMPTS_MAX or time.monotonic() - began > REPEAT_WITHIN_S
                if is_last or not (isinstance(error, Collision) or self._backend.may_pass(error)):
                    if not has_begun and isinstance(error, self._backend.errors):
                        raise _NoTransaction(self._backend.failure(error)) from error
                    raise
                logger.debug("a transaction is repeated: %s", type(error).__name__)
            if not self._backend.shares_transactions:  # else everybody would wait with this one
                time.sleep(random.uniform(0, _FIRST_PAUSE_S * 2**attempt))

    def _attempt(self, connection: Any, tasks: list[_Task]) -> None:
        try:
            self._on_begin(connection)
            for task in tasks:
                task.result = task.perform(connection)
                task.is_authoritative = has_authoritative(self._backend.take_changed(connection))
            self._backend.commit(connection)
        except BaseException:
            self._roll_back(connection)
            raise
        self._on_commit(connection)

    def _roll_back(self, connection: Any) -> None:
        self._on_rollback()
        try:
            self._backend.rollback(connection)
        except self._backend.errors as error:  # it is not lent again
            logger.warning("rolling back failed, the connection is given up: %s", error)

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, Collision):
            return IndexUnavailable("index: others kept changing the same rows")
        return self._backend.failure(error) if isinstance(error, self._backend.errors) else error


class Collision(Exception):
    """Raised by a task that finds that another process was quicker; the transaction is tried again."""


class _NoTransaction(Exception):
    """No transaction could be begun; trying the tasks one by one would not help either."""

    def __init__(self, failure: MedserverError) -> None:
        self.failure = failure
        super().__init__(str(failure))
