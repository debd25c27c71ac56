"""What came of a transaction whose connection was lost while it was committed.

Each connection that writes has a row of its own in ``writers``. Every transaction writes its number there, in the
message that begins it; afterwards the row tells, under lock, whether that number was committed. The number of the
transaction that the server gives (``pg_xact_status``) cannot tell: a server that crashes gives the same number again.

In every so many transactions the connection takes a new row, for as long as a dump runs old versions of a row stay.
"""

from __future__ import annotations

import psycopg

from medserver.index.postgresql.connection import Connection

ROW_USED_MAX = 500

_REGISTER = (
    "WITH old AS (DELETE FROM writers WHERE id IN (SELECT id FROM writers WHERE id = %s OR "
    "opened_at < now() - interval '2 days' ORDER BY id FOR UPDATE SKIP LOCKED)) "
    "INSERT INTO writers (id, number, opened_at) VALUES (gen_random_uuid(), 0, now()) RETURNING id::text"
)
_BEGIN = "BEGIN; UPDATE writers SET number = {} WHERE id = '{}'"
_READ = "SELECT number FROM writers WHERE id = %s FOR UPDATE"


class Mark:
    """The row of a connection; it is made with the first transaction."""

    def __init__(self) -> None:
        self._row: str | None = None
        self._number = 0

    def begin(self, connection: Connection) -> None:
        """Begin a transaction, and give it a number: one message to the server."""
        if self._row is None or self._number >= ROW_USED_MAX:
            [(self._row,)] = connection.execute(_REGISTER, (self._row,)).fetchall()
            self._number = 0
        self._number += 1
        cursor = connection.execute(_BEGIN.format(self._number, self._row), prepare=False)
        cursor.nextset()
        if cursor.rowcount != 1:  # somebody has put another index in the place of this one
            self._row = None
            connection.execute("ROLLBACK")
            raise psycopg.errors.SerializationFailure("the row of the connection has gone")

    def was_committed(self, connection: Connection) -> bool | None:
        """Ask on another connection whether the last transaction was committed; None if that cannot be known."""
        rows = connection.execute(_READ, (self._row,)).fetchall()
        return rows[0][0] == self._number if rows else None
