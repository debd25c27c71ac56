"""The index on SQLite, through apsw.

WAL with ``synchronous = NORMAL``: when a commit returns it outlives the process, and a little later the machine.
What a power cut may take of the last rows, and for which there is `flush`, is in `medserver.index.database.tables`.
apsw brings its own SQLite; the one that Python links is often of a version that can corrupt a WAL database which
several connections write.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import peewee
from playhouse.apsw_ext import APSWDatabase

from medserver import modes
from medserver.errors import IndexFailure, MedserverError, OutOfResources
from medserver.index.database.dump import DumpContent, ShouldStop, Staged
from medserver.index.database.statements import PARAMETER
from medserver.index.sqlite import dump as sqlite_dump
from medserver.index.sqlite.connections import Connections

SQLITE_VERSION_MIN = (3, 51, 3)
"""The first version without the WAL reset bug, see https://sqlite.org/wal.html#walresetbug."""

BUSY_TIMEOUT_S = 30.0
READERS_MAX = 8
_OPTIMISE_ALL_TABLES = 0x10002  # also those that this connection has not queried
_BUSY_PAUSE_S = 0.00025
_SWITCH_PAUSE_S = 0.02
_CACHE_KIB = {False: 8_192, True: 32_768}
_WAL_SIZE_KEPT_BYTES = 64 * 1024 * 1024
_SPECIAL_IN_GLOB = re.compile(r"\[")
_NO_ROOM = (apsw.FullError, apsw.NoMemError, apsw.TooBigError)
_MAY_PASS = (apsw.ConstraintError, apsw.SchemaChangeError)


def check_version(version: str) -> None:
    """Refuse a SQLite that can corrupt a database.

    Parameters
    ----------
    version : str
        The version of the library, as ``3.51.3``.

    Raises
    ------
    IndexFailure
        If the version is older than `SQLITE_VERSION_MIN`.
    """
    if tuple(int(part) for part in version.split(".")[:3]) < SQLITE_VERSION_MIN:
        raise IndexFailure(
            f"SQLite {version} can corrupt an index that several processes write; "
            f"install an apsw with SQLite {'.'.join(map(str, SQLITE_VERSION_MIN))} or newer"
        )


def _configure(connection: apsw.Connection, *, writing: bool) -> None:
    """Apply the settings that every connection needs."""
    _use_wal(connection)
    for pragma in (
        "synchronous = NORMAL",
        "foreign_keys = ON",
        f"cache_size = -{_CACHE_KIB[writing]}",
        f"journal_size_limit = {_WAL_SIZE_KEPT_BYTES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _plan_for_any_values(connection: apsw.Connection) -> None:
    """Plan each statement once, whatever its values.

    Else one that could use a partial index is planned again each time that it is given other values, which takes ten
    times as long as executing it. What tells that the index fits is part of the text, see
    `medserver.index.database.statements`.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def _use_wal(connection: apsw.Connection) -> None:
    """Switch to WAL, which happens once, and for which SQLite does not wait for others by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_SWITCH_PAUSE_S)


def _wait_evenly(connection: apsw.Connection) -> None:
    """Look for the write lock at short, equal intervals.

    SQLite's own busy timeout waits longer from time to time, up to 100 ms: with several processes that
    write at full speed some of them would wait for seconds. Most transactions take less than a
    millisecond, and who receives images often waits for one of the worker's: more than that is time that is lost.
    """
    deadline = 0.0

    def wait(attempts: int) -> bool:
        nonlocal deadline
        if attempts == 0:
            deadline = time.monotonic() + BUSY_TIMEOUT_S
        time.sleep(_BUSY_PAUSE_S)
        return time.monotonic() < deadline

    connection.set_busy_handler(wait)


def _make_ours(path: Path) -> None:
    """Make the file of a database if there is none, for its owner and group; SQLite gives its log the same mode."""
    modes.make_directories(path.parent)
    if not path.exists():
        modes.place_empty(path)
    for suffix in ("", "-wal", "-shm"):
        modes.narrow(f"{path}{suffix}")


class _WritingConnection(apsw.Connection):
    """A connection that knows which tables were changed by it.

    Attributes
    ----------
    changed : set of str
        Since somebody cleared it. SQLite does not tell of a DELETE without a WHERE.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.changed: set[str] = set()
        add = self.changed.add
        self.set_update_hook(lambda operation, database, table, row: add(table))


class _MigrationDatabase(APSWDatabase):
    """peewee on apsw, for `playhouse.migrations`: its history holds moments, which apsw does not bind by
    itself."""

    def _add_conn_hooks(self, connection: apsw.Connection) -> None:
        super()._add_conn_hooks(connection)
        _configure(connection, writing=False)
        connection.convert_binding = lambda cursor, number, value: str(value)


class SqliteBackend:
    """SQLite as a `medserver.index.database.backend.Backend`.

    Parameters
    ----------
    path : Path
        The database file; made if it does not exist. Not on a network file system.

    Raises
    ------
    IndexFailure
        If the SQLite library is not safe, or the folder cannot be made.
    """

    name = "sqlite"
    errors = (apsw.Error,)
    shares_transactions = True

    def __init__(self, path: Path) -> None:
        check_version(apsw.sqlite_lib_version())
        try:
            _make_ours(path)
        except OSError as error:
            advice = f": run this as {modes.owner_of(path)}" if isinstance(error, PermissionError) else ""
            raise IndexFailure(f"cannot open the index {path}: {error.strerror}{advice}") from error
        self.path = path
        self.database: peewee.Database = _MigrationDatabase(str(path), timeout=BUSY_TIMEOUT_S)

    def check_available(self) -> None:
        """Return: a file is not away."""

    def connect(self, *, writing: bool = False) -> apsw.Connection:
        """Open a connection for statements of ours."""
        connection = self._open(writing=writing)
        _plan_for_any_values(connection)
        return connection

    def _open(self, *, writing: bool = False) -> apsw.Connection:
        connection = (_WritingConnection if writing else apsw.Connection)(str(self.path))
        _wait_evenly(connection)
        try:
            _configure(connection, writing=writing)
        except apsw.Error:
            connection.close()
            raise
        return connection

    def connections(self, *, writing: bool = False) -> Connections:
        """Return connections to be lent: to one at a time who writes, to several who read."""
        connections_max = 1 if writing else READERS_MAX
        return Connections(partial(self.connect, writing=writing), self.usable, connections_max=connections_max)

    def searching(self, connections: Connections) -> Connections:
        """Return connections of which each query is planned for its values: a wild card, or a rare value, finds its own
        index."""
        return Connections(self._open, self.usable, connections_max=READERS_MAX)

    def usable(self, connection: apsw.Connection) -> bool:
        """Whether the connection is open and outside of any transaction."""
        try:
            return not connection.in_transaction
        except apsw.ConnectionClosedError:
            return False

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold the one write lock of the file."""
        with self.database.atomic("IMMEDIATE"):
            yield

    def begin(self, connection: apsw.Connection, *, is_long: bool = False) -> None:
        """Begin a transaction with the write lock, so that it cannot fail half-way for want of it."""
        connection.execute("BEGIN IMMEDIATE")

    def begin_reading(self, connection: apsw.Connection) -> None:
        """Begin a transaction; in WAL mode the first statement decides on what all of them see."""
        connection.execute("BEGIN DEFERRED")

    def commit(self, connection: apsw.Connection) -> None:
        """Commit and wait for the disk."""
        connection.execute("COMMIT")

    def take_changed(self, connection: _WritingConnection) -> set[str]:
        """Return what the update hook of the connection has noted."""
        changed = set(connection.changed)
        connection.changed.clear()
        return changed

    def flush(self) -> None:
        """Flush the write-ahead log, in which all commits are that no checkpoint has flushed already.

        SQLite holds no lock on that file, which closing a descriptor of it would give up.
        """
        for path in (f"{self.path}-wal", self.path.parent):
            with suppress(FileNotFoundError):  # the last checkpoint took it away
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def rollback(self, connection: apsw.Connection) -> None:
        """Roll back; SQLite may have done so itself, for instance when the disk is full."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def lock(self, connection: apsw.Connection, name: str) -> None:
        """Nobody else is in a transaction that writes."""

    def stream(
        self, connection: apsw.Connection, statement: str, parameters: Sequence[Any]
    ) -> Iterator[tuple]:
        """Yield the rows of a query: a cursor of SQLite holds one row at a time."""
        return connection.execute(statement, tuple(parameters))

    def one_of(self, column: peewee.Node, values: Sequence[int] | Sequence[str]) -> peewee.Node:
        """Compare with the elements of a JSON array."""
        return self._in_list(column, peewee.Value(self.list_parameter(values), converter=False))

    def is_among(self, column: peewee.Node) -> peewee.Node:
        """Compare with the elements of a JSON array."""
        return self._in_list(column, PARAMETER)

    def _in_list(self, column: peewee.Node, listed: peewee.Node) -> peewee.Node:
        return peewee.NodeList(
            (column, peewee.SQL("IN (SELECT value FROM json_each("), listed, peewee.SQL("))"))
        )

    def locked(self, query: peewee.Select, *, skips: bool = False) -> peewee.Select:
        """Return the query as it is: one transaction writes at a time."""
        return query

    def telling(self, insertion: peewee.Insert, number: peewee.Field) -> peewee.Insert:
        """Return the INSERT as it is: RETURNING takes half as long again, for it makes a table of rows."""
        return insertion

    def insert(self, connection: apsw.Connection, statement: str, parameters: Sequence[Any]) -> int | None:
        """Execute an INSERT of one row, and ask what the connection knows of it."""
        connection.execute(statement, parameters)
        return connection.last_insert_rowid() if connection.changes() else None

    def list_parameter(self, values: Sequence[int] | Sequence[str]) -> str:
        """Return the values as a JSON array."""
        return json.dumps(list(values))

    def distinct_values(self, column: peewee.Node) -> peewee.Node:
        """Aggregate to the text of a JSON array."""
        return peewee.fn.json_group_array(column.distinct())

    def fits(self, column: peewee.Node, pattern: str, *, inside: bool = False) -> peewee.Node:
        """Compare with GLOB, whose wild cards are those of DICOM and, in addition, brackets."""
        glob = _SPECIAL_IN_GLOB.sub("[[]", pattern)
        if inside:
            glob = "*\\" + glob.replace("?", "[^\\]") + "\\*"
        return peewee.Expression(column, "GLOB", peewee.Value(glob, converter=False))

    def failure(self, error: Exception) -> MedserverError:
        """Translate an exception of apsw."""
        kind = OutOfResources if isinstance(error, _NO_ROOM) else IndexFailure
        return kind(f"index: {error}")

    def may_pass(self, error: Exception) -> bool:
        """A constraint fails when another process changed what this one remembers."""
        return isinstance(error, _MAY_PASS)

    def optimise(self, connection: apsw.Connection) -> None:
        """Run ANALYZE, on a sample, on tables that have changed much since the last time."""
        connection.execute(f"PRAGMA optimize = {_OPTIMISE_ALL_TABLES}")

    def dump_size_bytes(self) -> int:
        """Return the size of the database file and its log."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def dump(self, target: Path, should_stop: ShouldStop) -> DumpContent:
        """Copy the database file, as it is at one moment, while others write."""
        with closing(self.connect()) as connection:
            return sqlite_dump.dump(connection, target, should_stop)

    def examine_dump(self, file: Path, *, quickly: bool = False) -> DumpContent:
        """Check the integrity of a database file, and count its rows."""
        return sqlite_dump.examine(file, quickly=quickly)

    def saved(self, base: Path, name: str) -> Path:
        """Return a path beside the database: to go back, the file takes its place."""
        return self.path.with_name(f"{self.path.name}.{name}")

    @property
    def staging(self) -> Path:
        """Where a dump is put before it is staged: beside the database, so that it can take its place."""
        return self.path.with_name(f"{self.path.name}.restoring")

    def discard_staged(self) -> None:
        """Remove what an interrupted restore has left there."""
        sqlite_dump.remove(self.staging)

    def stage(self, file: Path, name: str) -> Staged:
        """Return the database file as it is: it takes the place of the present one at the end."""
        return Staged(f"sqlite:///{quote(str(file))}")

    def take_the_place(self, staged: Staged, name: str) -> str | None:
        """Put the database file in the place of the present one, which stays beside it."""
        kept = self.path.with_name(f"{self.path.name}.{name}")
        return str(kept) if sqlite_dump.take_the_place(self.staging, self.path, kept) else None
