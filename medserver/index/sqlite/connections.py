"""Connections to a file that are lent to threads.

A connection a thread would be opened with each association: opening one and reading the schema takes as long as
several transactions. So it is with peewee's own pool, which binds a connection to the thread until that closes it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Connections:
    """Connections that are opened when needed, lent to one user at a time, and kept for the next: a few are enough for
    any number of associations.

    Parameters
    ----------
    connect : callable
        Opens a connection.
    usable : callable
        Tells whether a connection that comes back can be lent again.
    connections_max : int
        How many may be open at a time; who comes later waits.
    """

    def __init__(
        self, connect: Callable[[], Any], usable: Callable[[Any], bool], *, connections_max: int
    ) -> None:
        self.connect = connect
        self._usable = usable
        self._idle: list[Any] = []
        self._room = connections_max
        self._closed = False
        self._lock = threading.Lock()
        self._given_back = threading.Condition(self._lock)
        self._waiting = 0

    def lent(self) -> _Loan:
        """Lend a connection of the database driver, outside of any transaction, for the length of a ``with`` block."""
        return _Loan(self)

    def take(self) -> Any:
        """Take the room for a connection; return one that is idle, or None."""
        with self._lock:
            while not self._room:
                self._waiting += 1
                try:
                    self._given_back.wait()
                finally:
                    self._waiting -= 1
            self._room -= 1
            return self._idle.pop() if self._idle else None

    def take_back(self, connection: Any) -> None:
        """Give the room back, and keep the connection if it is good; None if none could be opened."""
        is_kept = connection is not None and self._usable(connection)
        with self._lock:
            self._room += 1
            is_kept = is_kept and not self._closed
            if is_kept:
                self._idle.append(connection)
            if self._waiting:
                self._given_back.notify()
        if connection is not None and not is_kept:
            connection.close()

    def close(self) -> None:
        """Close the idle connections; those that are lent are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class _Loan:
    """A connection that is lent; as a generator it would take several times as long."""

    __slots__ = ("_connection", "_connections")

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._connection: Any = None

    def __enter__(self) -> Any:
        self._connection = self._connections.take()
        if self._connection is None:
            try:
                self._connection = self._connections.connect()
            except BaseException:
                self._connections.take_back(None)
                raise
        return self._connection

    def __exit__(self, *unused: object) -> None:
        self._connections.take_back(self._connection)
