"""Dumps of the index on PostgreSQL, through pg_dump and pg_restore.

A password of the URL is given to them in their environment, which only the same user can see: never on a command line.
The tables of the schema that the index uses make the dump; those of an index that was replaced lie in another one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from medserver.errors import DamagedObject, IndexFailure
from medserver.index.database.dump import DumpContent, Interrupted, ShouldStop
from medserver.index.nodes import schema as schema_of_nodes

LOOK_EVERY_S = 0.2

_COPY = re.compile(rb"COPY (?:\S+\.)?\"?(\w+)\"? \((.*)\) FROM stdin;\n")
_END_OF_COPY = b"\\.\n"
_MESSAGE_LENGTH_MAX = 400


def dump(source: psycopg.Connection, url: str, target: Path, should_stop: ShouldStop) -> DumpContent:
    """Have pg_dump write a file, and count what is in it, in one snapshot.

    Parameters
    ----------
    source : psycopg.Connection
        Outside of any transaction.
    url : str
        The same database.
    target : Path
        A file that is written anew.
    should_stop : callable
        Tells whether to give up.

    Raises
    ------
    IndexFailure
        pg_dump failed, or is not installed.
    Interrupted
        It was told to stop.
    """
    source.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        [[snapshot, schema]] = source.execute("SELECT pg_export_snapshot(), current_schema()").fetchall()
        content = _count(source)
        options = ["--format=custom", "--compress=0", "--no-owner", "--no-privileges"]
        options += [f"--exclude-table={schema}.{table}" for table in schema_of_nodes.TABLES]
        place = [f"--snapshot={snapshot}", f"--schema={schema}", f"--file={target}"]
        with _running("pg_dump", url, [*options, *place], stdout=subprocess.DEVNULL) as process:
            while not should_stop():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_EVERY_S)
                    break
            else:
                raise Interrupted
        return content
    finally:
        source.execute("ROLLBACK")


def examine(file: Path) -> DumpContent:
    """Have pg_restore read a dump to its end, and count what it holds.

    Raises
    ------
    DamagedObject
        It is not whole.
    IndexFailure
        pg_restore is not installed.
    """
    rows: dict[str, int] = {}
    migrations: list[str] = []
    try:
        with _running("pg_restore", None, ["--file=-", file], stdout=subprocess.PIPE) as process:
            for table, columns, row in _rows(process.stdout):
                rows[table] = rows.get(table, 0) + (row is not None)
                if table == "schema_migrations" and row is not None:
                    migrations.append(row.split(b"\t")[columns.index(b"name")].decode())
    except _Failed as error:
        raise DamagedObject(f"the dump in it is damaged: {error}") from error
    return DumpContent(rows, tuple(sorted(migrations)))


def load(connection: psycopg.Connection, url: str, file: Path, kept: str) -> bool:
    """Bring the tables of a dump into the database; those that are there go into another schema before.

    Parameters
    ----------
    connection : psycopg.Connection
        To the database, writing.
    url : str
        The same database.
    file : Path
        The dump.
    kept : str
        The schema for the tables that are there.

    Returns
    -------
    bool
        Whether there were any.

    Raises
    ------
    IndexFailure
        The dump cannot be loaded; the tables are where they were.
    """
    [[schema]] = connection.execute("SELECT current_schema()").fetchall()
    tables = _tables(connection, schema)
    if tables:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(kept)))
            _move(connection, tables, schema, kept)
    options = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", f"--schema={schema}"]
    try:
        with _running("pg_restore", url, [*options, file], stdout=subprocess.DEVNULL):
            pass
    except IndexFailure:
        if tables:
            with connection.transaction():
                _move(connection, tables, kept, schema)
                connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(kept)))
        raise
    return bool(tables)


class _Failed(IndexFailure):
    """A program of PostgreSQL has failed."""


@contextmanager
def _running(program: str, url: str | None, arguments: list, *, stdout: int) -> Iterator[subprocess.Popen]:
    """Run a program; wait for its end after the block, and raise unless it succeeded."""
    path = shutil.which(program)
    if path is None:
        raise IndexFailure(f"{program} is not installed (it is in the client programs of PostgreSQL)")
    environment = dict(os.environ)
    if url is not None:
        parameters = conninfo_to_dict(url)
        if password := parameters.pop("password", None):
            environment["PGPASSWORD"] = password
        arguments = [f"--dbname={make_conninfo(**parameters)}", "--no-password", *arguments]
    process = subprocess.Popen(
        [path, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE
    )
    try:
        yield process
        _, message = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        first_line = " ".join(message.decode(errors="replace").split())[:_MESSAGE_LENGTH_MAX]
        raise _Failed(f"index: {first_line or f'{program} failed'}")


def _rows(script) -> Iterator[tuple[str, list[bytes], bytes | None]]:  # noqa: ANN001 - a pipe
    """Yield table, columns and row of all data in a script; None is the row that tells of a table."""
    table, columns = None, []
    for line in script:
        if table is None:
            if match := _COPY.fullmatch(line):
                table, columns = match[1].decode(), match[2].split(b", ")
                yield table, columns, None
        elif line == _END_OF_COPY:
            table = None
        else:
            yield table, columns, line.rstrip(b"\n")


def _tables(connection: psycopg.Connection, schema: str) -> list[str]:
    """Return the tables that a dump has, and that a restore replaces."""
    statement = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND NOT tablename = ANY(%s) ORDER BY tablename"
    return [name for (name,) in connection.execute(statement, (schema, list(schema_of_nodes.TABLES))).fetchall()]


def _move(connection: psycopg.Connection, tables: list[str], source: str, target: str) -> None:
    """Move tables, with their indexes and sequences, from one schema to another."""
    for table in tables:
        statement = sql.SQL("ALTER TABLE {} SET SCHEMA {}")
        connection.execute(statement.format(sql.Identifier(source, table), sql.Identifier(target)))


def _count(connection: psycopg.Connection) -> DumpContent:
    [[schema]] = connection.execute("SELECT current_schema()").fetchall()
    rows = {}
    for table in _tables(connection, schema):
        statement = sql.SQL("SELECT COUNT(*) FROM {}").format(sql.Identifier(schema, table))
        [[rows[table]]] = connection.execute(statement).fetchall()
    applied = connection.execute("SELECT name FROM schema_migrations ORDER BY name").fetchall()
    return DumpContent(rows, tuple(name for (name,) in applied))
