"""Group commit: everybody who waits to write shares one transaction.

Who leads, and who waits, is in `medserver.group_commit`; here is what a leader does.

A task that fails must not make others fail: the transaction is rolled back and every task is performed
again in a transaction of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from medserver.errors import IndexFailure, MedserverError
from medserver.group_commit import Closed, GroupCommit, Task
from medserver.index.database.backend import Backend

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TASKS_MAX = 256
"""How many tasks share a transaction at most; it bounds the time that others wait for the write lock."""

ATTEMPTS_MAX = 8
"""How often a transaction is tried that collides with those of other processes."""


class _Task(Task, Generic[Result]):
    """One piece of writing, and what came of it."""

    __slots__ = ("order", "perform", "result")

    def __init__(self, perform: Callable[[Any], Result], order: tuple[str, ...]) -> None:
        super().__init__()
        self.perform = perform
        self.order = order
        self.result: Result | None = None


class Writer:
    """The only way to change the index from this process.

    Parameters
    ----------
    backend : Backend
        The database.
    on_begin : callable
        Called with the connection where a transaction begins; what it raises ends that: see `Fence`.
    on_commit, on_rollback : callable
        Called in the thread of the leader after a transaction was committed or rolled back, so that what
        was remembered of its rows can be kept or forgotten.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        on_begin: Callable[[Any], None] = lambda connection: None,
        on_commit: Callable[[], None],
        on_rollback: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._on_begin = on_begin
        self._on_commit = on_commit
        self._on_rollback = on_rollback
        self._group: GroupCommit[_Task] = GroupCommit(self._perform_all, TASKS_MAX)
        self._connection: Any = None

    def run(self, perform: Callable[[Any], Result], order: tuple[str, ...] = ()) -> Result:
        """Perform a task in a transaction, together with those of other threads.

        Parameters
        ----------
        perform : callable
            Takes the connection and returns the result. May be called more than once, each time in a new
            transaction.
        order : tuple of str
            The tasks of a transaction are performed in this order. When all processes lock rows in the
            same order, they don't lock each other out.

        Returns
        -------
        Result
            What `perform` returned; it is durable.

        Raises
        ------
        IndexFailure
            If the database failed. The change has most likely not been made; if the connection was lost while
            committing, nobody knows.
        OutOfResources
            If there was no space.
        """
        task: _Task[Result] = _Task(perform, order)
        try:
            self._group.run(task)
        except Closed:
            raise IndexFailure("index: it is closed") from None
        return task.result  # type: ignore[return-value]

    def close(self) -> None:
        """Wait for the current transactions, refuse others, and close the connection."""
        self._group.close(_Task(lambda connection: None, ()))
        self._drop_connection()

    def _perform_all(self, tasks: list[_Task]) -> None:
        tasks.sort(key=lambda task: task.order)
        try:
            self._transact(tasks)
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

    def _transact(self, tasks: list[_Task]) -> None:
        """Perform tasks in one transaction; again if it collided with others."""
        for attempts_left in reversed(range(ATTEMPTS_MAX)):
            connection = self._begin()
            try:
                self._on_begin(connection)
                for task in tasks:
                    task.result = task.perform(connection)
                self._backend.commit(connection)
            except BaseException as error:
                self._roll_back()
                if attempts_left and (isinstance(error, Collision) or self._backend.may_pass(error)):
                    logger.debug("a transaction collided: %s", type(error).__name__)
                    continue
                raise
            self._on_commit()
            return

    def _begin(self) -> Any:
        """Begin a transaction; a connection that was lost since the last one is opened anew."""
        for attempts_left in (1, 0):
            try:
                if self._connection is None:
                    self._connection = self._backend.connect(writing=True)
                self._backend.begin(self._connection)
                return self._connection
            except self._backend.errors as error:
                self._drop_connection()
                if not (attempts_left and self._backend.may_pass(error)):
                    raise _NoTransaction(self._backend.failure(error)) from error
        raise AssertionError("unreachable")

    def _roll_back(self) -> None:
        self._on_rollback()
        try:
            self._backend.rollback(self._connection)
        except self._backend.errors as error:
            logger.warning("rolling back failed, the connection is given up: %s", error)
            self._drop_connection()
            return
        if not self._backend.usable(self._connection):
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._backend.errors as error:
                logger.info("closing a connection failed: %s", error)

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, Collision):
            return IndexFailure("index: other processes kept changing the same rows")
        return self._backend.failure(error) if isinstance(error, self._backend.errors) else error


class Collision(Exception):
    """Raised by a task that finds that another process was quicker; the transaction is tried again."""


class _NoTransaction(Exception):
    """No transaction could be begun; trying the tasks one by one would not help either."""

    def __init__(self, failure: MedserverError) -> None:
        self.failure = failure
        super().__init__(str(failure))
