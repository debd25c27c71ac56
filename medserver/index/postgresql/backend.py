"""The index on PostgreSQL, through psycopg 3."""

from __future__ import annotations

import logging
import re
import select
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import peewee
import psycopg
import psycopg_pool
from psycopg.pq import TransactionStatus

from medserver.errors import IndexFailure, IndexUnavailable, MedserverError, OutOfResources, UnknownOutcome
from medserver.index.database.drivers import introduce_psycopg
from medserver.index.database.dump import DumpContent, ShouldStop, Staged
from medserver.index.database.statements import PARAMETER
from medserver.index.nodes import schema as schema_of_nodes
from medserver.index.postgresql import dump as postgresql_dump
from medserver.index.postgresql.availability import Availability, Unreachable
from medserver.index.postgresql.connection import (
    MAINTENANCE,
    READING,
    WRITING,
    Connection,
    Limits,
    ServerSilent,
    connect,
    parameters,
)
from medserver.index.postgresql.outcome import Mark
from medserver.index.postgresql.pool import Pool

logger = logging.getLogger(__name__)

READERS_MAX = 8
WRITERS_MAX = 4
"""For each process; the server has to have room for all (max_connections)."""

ASK_WITHIN_S = 5.0
ASK_AGAIN_S = 0.1
"""How long, and at what intervals, a server that went away during a commit is asked what came of it."""

_STREAM_ROWS = 10_000
_MIGRATION_LOCK = 0x6D656473  # "meds": any number that no other user of the database takes
_SPECIAL_IN_LIKE = re.compile(r"([\\%_])")
_MAY_PASS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.LockNotAvailable,
)
_AWAY = ("08", "57P", "57014", "55P03", "40", "25P03")
"""The beginnings of SQLSTATEs that have nothing to do with what was asked."""

introduce_psycopg()


class PostgresqlBackend:
    """PostgreSQL as a `medserver.index.database.backend.Backend`.

    Parameters
    ----------
    url : str
        ``postgresql://user:password@host:port/database?option=value``.
    """

    name = "postgresql"
    errors = (psycopg.Error,)
    shares_transactions = False

    def __init__(self, url: str) -> None:
        self.url = url
        maintenance = parameters(url, MAINTENANCE)
        self.database: peewee.Database = peewee.PostgresqlDatabase(url, prefer_psycopg3=True, **maintenance)
        self._availability = Availability()

    def check_available(self) -> None:
        """Return unless the server was found to be away a moment ago, and it is too early to try again."""
        try:
            self._availability.check()
        except Unreachable as error:
            raise self.failure(error) from error

    def connect(self, *, writing: bool = False, limits: Limits = MAINTENANCE) -> Connection:
        """Open a connection. Durability does not depend on the settings of the server."""
        connection = connect(self.url, limits)
        connection.is_there = self._is_there
        if connection.info.parameter_status("server_encoding") != "UTF8":
            connection.close()
            raise IndexFailure("index: the database has to be one with ENCODING 'UTF8'")
        setting = "synchronous_commit" if writing else "default_transaction_read_only"
        connection.execute(f"SET {setting} = on")
        return connection

    def connections(self, *, writing: bool = False) -> Pool:
        """Return a pool; what several connections commit at a time the server writes to its log at once."""
        opener, connections_max = (self._writer, WRITERS_MAX) if writing else (self._reader, READERS_MAX)
        return Pool(opener, self.usable, self._availability, connections_max=connections_max)

    def searching(self, connections: Pool) -> Pool:
        """Return the same: the server plans for the values where that is worth it."""
        return connections

    def _reader(self) -> Connection:
        return self.connect(limits=READING)

    def _writer(self) -> Connection:
        connection = self.connect(writing=True, limits=WRITING)
        connection.mark = Mark()
        return connection

    def _is_there(self) -> bool:
        """Whether the server answers on a new connection; if not, nobody else needs to find out by waiting."""
        try:
            connect(self.url, WRITING).close()
        except psycopg.Error as error:
            self._availability.lost(error)
            return False
        return True

    def usable(self, connection: Connection) -> bool:
        """Whether the connection is open and outside of any transaction.

        A server that hangs up, or is about to, says so: something can be read from a connection that
        asked nothing.
        """
        if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
            return False
        readable = select.poll()
        readable.register(connection.fileno(), select.POLLIN)
        return not readable.poll(0)

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold an advisory lock for the length of a transaction."""
        with self.database.atomic():
            self.database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            yield

    def begin(self, connection: Connection, *, is_long: bool = False) -> None:
        """Begin a transaction; in READ COMMITTED an insert waits for others that insert the same key."""
        if connection.mark is None:
            connection.execute("BEGIN")
        else:
            connection.mark.begin(connection)
        if is_long:
            connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")

    def begin_reading(self, connection: Connection) -> None:
        """Begin a transaction; in READ COMMITTED each statement would see what was committed meanwhile."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def commit(self, connection: Connection) -> None:
        """Commit and wait for the server's disk."""
        try:
            cursor = connection.execute("COMMIT", prepare=False)
        except psycopg.Error as error:
            if not (connection.closed or _is_fatal(error)):
                raise
            connection.close()
            if not self._was_committed(connection, error):
                raise
            logger.warning("the connection was lost during a commit, which has succeeded: %s", error)
            return
        if cursor.statusmessage != "COMMIT":
            raise psycopg.errors.InFailedSqlTransaction("a statement of the transaction had failed")

    def _was_committed(self, lost: Connection, error: psycopg.Error) -> bool:
        """Tell whether the last transaction of a connection that was lost has been committed; ask for a while."""
        deadline = time.monotonic() + ASK_WITHIN_S
        answer = None
        while answer is None and lost.mark is not None:
            try:
                with closing(self.connect(writing=True, limits=WRITING)) as connection:
                    answer = lost.mark.was_committed(connection)
                break
            except psycopg.OperationalError as second:
                error = second
                if time.monotonic() > deadline:
                    break
            time.sleep(ASK_AGAIN_S)
        if answer is None:
            raise UnknownOutcome(f"index: the connection was lost during a commit: {error}") from error
        return answer

    def take_changed(self, connection: psycopg.Connection) -> set[str]:
        """Nothing needs a flush of its own."""
        return set()

    def flush(self) -> None:
        """Do nothing: a commit has waited for the server's disk."""

    def rollback(self, connection: Connection) -> None:
        """Roll back; a lost connection has nothing to roll back."""
        if not connection.closed:
            connection.execute("ROLLBACK")

    def lock(self, connection: Connection, name: str) -> None:
        """Take an advisory lock; two names may share one."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))

    def stream(
        self, connection: Connection, statement: str, parameters: Sequence[Any]
    ) -> Iterator[tuple]:
        """Yield the rows of a query through a cursor of the server."""
        with connection.transaction(), connection.cursor(name="medserver") as cursor:
            cursor.itersize = _STREAM_ROWS
            cursor.execute(statement, tuple(parameters))
            yield from cursor

    def one_of(self, column: peewee.Node, values: Sequence[int] | Sequence[str]) -> peewee.Node:
        """Compare with the elements of an array."""
        return self._in_list(column, peewee.Value(self.list_parameter(values), converter=False, unpack=False))

    def is_among(self, column: peewee.Node) -> peewee.Node:
        """Compare with the elements of an array."""
        return self._in_list(column, PARAMETER)

    def _in_list(self, column: peewee.Node, listed: peewee.Node) -> peewee.Node:
        return peewee.NodeList((column, peewee.SQL("= ANY("), listed, peewee.SQL(")")))

    def locked(self, query: peewee.Select, *, skips: bool = False) -> peewee.Select:
        """Lock the rows that it finds."""
        return query.for_update(skip_locked=skips)

    def telling(self, insertion: peewee.Insert, number: peewee.Field) -> peewee.Insert:
        """Have the INSERT return the number."""
        return insertion.returning(number)

    def insert(self, connection: Connection, statement: str, parameters: Sequence[Any]) -> int | None:
        """Execute an INSERT of one row, and read what it returns."""
        row = connection.execute(statement, parameters).fetchone()
        return None if row is None else row[0]

    def list_parameter(self, values: Sequence[int] | Sequence[str]) -> list[Any]:
        """Return the values as a list: psycopg makes an array of it."""
        return list(values)

    def distinct_values(self, column: peewee.Node) -> peewee.Node:
        """Aggregate to an array."""
        return peewee.fn.array_agg(column.distinct())

    def fits(self, column: peewee.Node, pattern: str, *, inside: bool = False) -> peewee.Node:
        """Compare with LIKE, in which ``%`` and ``_`` are the wild cards."""
        like = _SPECIAL_IN_LIKE.sub(r"\\\1", pattern).replace("*", "%").replace("?", "_")
        if inside:
            like = "%\\\\" + like + "\\\\%"
        return peewee.Expression(column, "LIKE", peewee.Value(like, converter=False))

    def failure(self, error: Exception) -> MedserverError:
        """Translate an exception of psycopg: class 53 is "insufficient resources"."""
        state = getattr(error, "sqlstate", None) or ""
        if state.startswith("53"):
            kind: type[MedserverError] = OutOfResources
        elif state.startswith(_AWAY) or (not state and isinstance(error, psycopg.OperationalError)):
            kind = IndexUnavailable
        else:
            kind = IndexFailure
        return kind(f"index: {str(error).strip() or type(error).__name__}")

    def may_pass(self, error: Exception) -> bool:
        """Other writers came in between, or the connection was lost; a server that is away is not asked again."""
        if isinstance(error, (Unreachable, ServerSilent, psycopg_pool.PoolClosed)):
            return False
        is_lost = isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or _is_fatal(error))
        return is_lost or isinstance(error, _MAY_PASS)

    def optimise(self, connection: Connection) -> None:
        """Leave it to the autovacuum of the server."""

    def dump_size_bytes(self) -> int:
        """Return the size of the tables of a dump: what they take on the disk is more than their text."""
        statement = (
            "SELECT COALESCE(SUM(pg_table_size(oid)), 0)::bigint FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> ALL(%s)"
        )
        with closing(self.connect()) as connection:  # the lock is a table that who dumps may have locked
            return connection.execute(statement, (list(schema_of_nodes.TABLES),)).fetchall()[0][0]

    def dump(self, target: Path, should_stop: ShouldStop) -> DumpContent:
        """Have pg_dump write a file."""
        with closing(self.connect()) as connection:
            return postgresql_dump.dump(connection, self.url, target, should_stop)

    def examine_dump(self, file: Path, *, quickly: bool = False) -> DumpContent:
        """Have pg_restore read a file to its end, and count its rows: there is no quicker way."""
        return postgresql_dump.examine(file)

    def saved(self, base: Path, name: str) -> Path:
        """Return a path in the data folder, for pg_restore."""
        return base / f"index.{name}.dump"

    staging = None  # wherever there is room

    def discard_staged(self) -> None:
        """Do nothing: a dump is loaded as a whole or not at all."""

    def stage(self, file: Path, name: str) -> Staged:
        """Load the dump into the database; the tables that are there go into a schema of this name."""
        with closing(self.connect(writing=True)) as connection:
            there_were = postgresql_dump.load(connection, self.url, file, name)
        return Staged(self.url, f"schema {name}" if there_were else None)

    def take_the_place(self, staged: Staged, name: str) -> str | None:
        """Do nothing more: the tables are in their place."""
        return staged.kept


def _is_fatal(error: psycopg.Error) -> bool:
    """Whether the server has ended the session."""
    return error.diag.severity_nonlocalized in ("FATAL", "PANIC")
