"""Connections to a file that are lent to threads.

A connection a thread would be opened with each association: opening one and reading the schema takes as long as
several transactions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Connections:
    """Connections that are opened when needed, lent to one user at a time, and kept for the next: a few are enough for
    any number of associations.

    Parameters
    ----------
    connect : callable
        Opens a connection.
    usable : callable
        Tells whether an idle connection can be lent.
    connections_max : int
        How many may be open at a time; who comes later waits.
    """

    def __init__(
        self, connect: Callable[[], Any], usable: Callable[[Any], bool], *, connections_max: int
    ) -> None:
        self._connect = connect
        self._usable = usable
        self._idle: list[Any] = []
        self._closed = False
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(connections_max)

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """Lend a connection for the length of a ``with`` block.

        Yields
        ------
        connection
            A connection of the database driver, outside of any transaction.
        """
        with self._room:
            connection = self._take() or self._connect()
            try:
                yield connection
            finally:
                self._take_back(connection)

    def _take(self) -> Any:
        """Return an idle connection that is still good, or None."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if self._usable(connection):
                return connection
            connection.close()

    def _take_back(self, connection: Any) -> None:
        usable = self._usable(connection)
        with self._lock:
            keep = usable and not self._closed
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def close(self) -> None:
        """Close the idle connections; those that are lent are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
