"""The index on PostgreSQL, through psycopg 3."""

from __future__ import annotations

import re
import select
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import peewee
import psycopg
from psycopg.pq import TransactionStatus

from medserver.errors import IndexFailure, MedserverError, OutOfResources
from medserver.index.database.drivers import introduce_psycopg
from medserver.index.database.dump import DumpContent, ShouldStop, Staged
from medserver.index.postgresql import dump as postgresql_dump

CONNECT_TIMEOUT_S = 10
_STREAM_ROWS = 10_000
_MIGRATION_LOCK = 0x6D656473  # "meds": any number that no other user of the database takes
_SPECIAL_IN_LIKE = re.compile(r"([\\%_])")
_MAY_PASS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UniqueViolation,
    psycopg.errors.ForeignKeyViolation,
    psycopg.errors.AdminShutdown,
)

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
    for_update = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"
    among = "= ANY(?)"

    def __init__(self, url: str) -> None:
        self.url = url
        self.database: peewee.Database = peewee.PostgresqlDatabase(url, prefer_psycopg3=True)

    def connect(self, *, writing: bool = False) -> psycopg.Connection:
        """Open a connection. Durability does not depend on the settings of the server."""
        connection = psycopg.connect(
            self.url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="medserver"
        )
        connection.prepare_threshold = 2
        connection.prepared_max = 200
        if connection.info.parameter_status("server_encoding") != "UTF8":
            connection.close()
            raise IndexFailure("index: the database has to be one with ENCODING 'UTF8'")
        if writing:
            connection.execute("SET synchronous_commit = on")
        else:
            connection.execute("SET default_transaction_read_only = on")
        return connection

    def usable(self, connection: psycopg.Connection) -> bool:
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

    def sql(self, statement: str) -> str:
        """Write ``%s`` for ``?``."""
        return statement.replace("%", "%%").replace("?", "%s")

    def begin(self, connection: psycopg.Connection) -> None:
        """Begin a transaction; in READ COMMITTED an insert waits for others that insert the same key."""
        connection.execute("BEGIN")

    def commit(self, connection: psycopg.Connection) -> None:
        """Commit and wait for the server's disk."""
        connection.execute("COMMIT")

    def flush(self) -> None:
        """Do nothing: a commit has waited for the server's disk."""

    def rollback(self, connection: psycopg.Connection) -> None:
        """Roll back; a lost connection has nothing to roll back."""
        if not connection.closed:
            connection.execute("ROLLBACK")

    def lock(self, connection: psycopg.Connection, name: str) -> None:
        """Take an advisory lock; two names may share one."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))

    def stream(
        self, connection: psycopg.Connection, statement: str, parameters: Sequence[Any]
    ) -> Iterator[tuple]:
        """Yield the rows of a query through a cursor of the server."""
        with connection.transaction(), connection.cursor(name="medserver") as cursor:
            cursor.itersize = _STREAM_ROWS
            cursor.execute(statement, tuple(parameters))
            yield from cursor

    def one_of(self, column: peewee.Node, values: Sequence[int] | Sequence[str]) -> peewee.Node:
        """Compare with the elements of an array."""
        listed = peewee.Value(self.list_parameter(values), converter=False, unpack=False)
        return peewee.NodeList((column, peewee.SQL("= ANY("), listed, peewee.SQL(")")))

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
        kind = OutOfResources if state.startswith("53") else IndexFailure
        return kind(f"index: {str(error).strip() or type(error).__name__}")

    def may_pass(self, error: Exception) -> bool:
        """Other writers came in between, or the connection was lost."""
        return isinstance(error, _MAY_PASS) or (
            isinstance(error, psycopg.OperationalError) and error.sqlstate is None
        )

    def optimise(self, connection: psycopg.Connection) -> None:
        """Leave it to the autovacuum of the server."""

    def dump_size_bytes(self) -> int:
        """Return the size of the tables: what they take on the disk is more than their text."""
        statement = (
            "SELECT COALESCE(SUM(pg_table_size(oid)), 0)::bigint FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        )
        with closing(self.connect()) as connection:
            return connection.execute(statement).fetchall()[0][0]

    def dump(self, target: Path, should_stop: ShouldStop) -> DumpContent:
        """Have pg_dump write a file."""
        with closing(self.connect()) as connection:
            return postgresql_dump.dump(connection, self.url, target, should_stop)

    def examine_dump(self, file: Path) -> DumpContent:
        """Have pg_restore read a file to its end, and count its rows."""
        return postgresql_dump.examine(file)

    staging = None  # wherever there is room

    def discard_staged(self) -> None:
        """Do nothing: a dump is loaded as a whole or not at all."""

    def stage(self, file: Path, name: str) -> Staged:
        """Load the dump into the database; the tables that are there go into a schema of this name."""
        with closing(self.connect(writing=True)) as connection:
            connection.execute("SET default_transaction_read_only = off")
            there_were = postgresql_dump.load(connection, self.url, file, name)
        return Staged(self.url, f"schema {name}" if there_were else None)

    def take_the_place(self, staged: Staged, name: str) -> str | None:
        """Do nothing more: the tables are in their place."""
        return staged.kept
