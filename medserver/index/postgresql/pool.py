"""The connections of a process, in a pool of psycopg_pool.

That opens connections in a thread of its own and knows their greatest age. Whoever waits for one would not learn there
that none can be opened, and its pauses between attempts have no limit; for that there is `availability`.
playhouse.pool opens them under its own lock: while the network swallows packets nobody could even give one back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import psycopg_pool

from medserver.index.postgresql.availability import Availability, Unreachable
from medserver.index.postgresql.connection import Connection

WAIT_S = 5.0
"""How long somebody waits for a connection when all are lent."""

_LOOK_EVERY_S = 0.2
_AGE_MAX_S = 3600.0
_IDLE_MAX_S = 300.0

logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # it tells of every connection that is lent


class Pool:
    """Connections that are lent to one user at a time.

    Parameters
    ----------
    connect : callable
        Opens a connection.
    usable : callable
        Tells whether an idle connection can be lent.
    availability : Availability
        Of the server.
    connections_max : int
        How many may be open at a time; who comes later waits for `WAIT_S`.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        usable: Callable[[Any], bool],
        availability: Availability,
        *,
        connections_max: int,
    ) -> None:
        self._usable = usable
        self._availability = availability
        self._pool = psycopg_pool.ConnectionPool(
            connection_class=_opening(connect, availability),
            min_size=0,
            max_size=connections_max,
            max_lifetime=_AGE_MAX_S,
            max_idle=_IDLE_MAX_S,
            reconnect_timeout=0,
            num_workers=1,
            open=False,
        )

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Lend a connection for the length of a ``with`` block.

        Yields
        ------
        Connection
            Outside of any transaction.

        Raises
        ------
        psycopg.OperationalError
            The server cannot be reached, or all connections are lent for longer than `WAIT_S`.
        """
        connection = self._take()
        try:
            yield connection
        finally:
            self._pool.putconn(connection)  # it rolls back what was left open, and drops what is broken

    def close(self) -> None:
        """Close the idle connections; those that are lent are closed when they come back."""
        self._pool.close()

    def _take(self) -> Connection:
        """Return a connection; one that the server has closed in the meantime is exchanged."""
        deadline = time.monotonic() + WAIT_S
        self._availability.require()
        losses = self._availability.losses
        self._pool.open()  # once: its threads are started with the first connection
        while True:
            try:
                connection = self._pool.getconn(_LOOK_EVERY_S)
            except psycopg_pool.PoolTimeout:
                if self._availability.losses != losses:
                    self._availability.require()
                if time.monotonic() > deadline:
                    raise Unreachable(f"no connection was free within {WAIT_S:g} s") from None
            else:
                if self._usable(connection):
                    return connection
                connection.close()
                self._pool.putconn(connection)


def _opening(connect: Callable[[], Connection], availability: Availability) -> type[Connection]:
    """Return what psycopg_pool opens connections with."""

    class Opening(Connection):
        @classmethod
        def connect(cls, *unused: Any, **also_unused: Any) -> Connection:
            try:
                connection = connect()
            except psycopg.Error as error:
                availability.lost(error)
                raise
            availability.found()
            return connection

    return Opening
