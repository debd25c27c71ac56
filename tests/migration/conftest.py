"""Archives of earlier schemas that were kept, and what they become."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from playhouse.migrations import Runner

from medserver.config import ConfigFile
from medserver.index.database.opening import MIGRATIONS, open_backend
from medserver.node import Node, open_node
from tests.hurry import hurried

BEFORE = "0015_conflicts_resolved"
KEPT = Path(__file__).with_name("0015.tar.xz")

ROOT = "1.2.826.0.1.3680043.10.1.15.3"
"""Of the SOP Instance UIDs in it: see `make_0015`."""

NodeOpener = Callable[..., Node]


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest) -> str:
    """The URL of the index of the archive that was kept; a relative path begins at its data folder."""
    if request.param == "sqlite":
        return "sqlite:///index.db"
    return request.getfixturevalue("new_database")(has_schema=False)


@pytest.fixture
def kept(tmp_path: Path, index_url: str) -> Path:
    """The folder of an archive of schema 0015, with rows in every table."""
    return unpack(tmp_path / "kept", index_url)


@pytest.fixture
def open_kept(kept: Path, index_url: str) -> Iterator[NodeOpener]:
    """Give a function that opens the node of that folder."""
    with ExitStack() as stack, hurried():

        def opened(*overrides: str, **arguments: object) -> Node:
            node = open_node(config_of(kept, *overrides), **{"index_url": index_url} | arguments)
            stack.callback(node.close)
            return node

        yield opened


def config_of(kept: Path, *overrides: str) -> ConfigFile:
    """Return the configuration of an archive that was kept."""
    return ConfigFile(kept / "config.ini", (f"node.data={kept / 'data'}", *overrides))


def unpack(folder: Path, index_url: str) -> Path:
    """Unpack the archive, and bring its index into the database."""
    with tarfile.open(KEPT) as tar:
        tar.extractall(folder, filter="data")
    if index_url.startswith("postgresql"):
        load(folder / "data" / "index.db", index_url, folder)
    return folder


def load(file: Path, url: str, base: Path, last: str = BEFORE) -> None:
    """Make the schema that there was with a migration in an empty database, and copy what it has of another one."""
    backend = open_backend(url, base)
    is_sqlite = backend.name == "sqlite"
    with backend.database.connection_context(), closing(sqlite3.connect(file)) as source:
        run = backend.database.execute_sql
        with backend.database.atomic():
            Runner(backend.database, str(MIGRATIONS), table_name="schema_migrations").up(last)
            there = set(backend.database.get_tables())
            for table in filter(there.__contains__, _in_order(source)):
                run(f"DELETE FROM {table}")
                names = [column.name for column in backend.database.get_columns(table)]
                known = {row[1] for row in source.execute(f"PRAGMA table_info({table})")}
                columns = ", ".join(f'"{name}"' for name in names if name in known)
                places = ", ".join("?" if is_sqlite else "%s" for name in names if name in known)
                for row in source.execute(f"SELECT {columns} FROM {table}"):
                    run(f"INSERT INTO {table} ({columns}) VALUES ({places})", row)
            for table, number in source.execute("SELECT name, seq FROM sqlite_sequence"):
                if not is_sqlite and table in there and table != "schema_migrations":
                    run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {number})")


def rows(index_url: str, base: Path, statement: str) -> list[tuple]:
    """Return what a statement selects from an index, in no order; for both databases, and all schemas."""
    backend = open_backend(index_url, base)
    with closing(backend.connect()) as connection:
        return sorted(map(tuple, connection.execute(statement).fetchall()), key=repr)


def content(index_url: str, base: Path) -> dict[str, list[dict[str, object]]]:
    """Return all rows of all tables of an index."""
    backend = open_backend(index_url, base)
    found = {}
    with backend.database.connection_context():
        for table in backend.database.get_tables():
            names = [column.name for column in backend.database.get_columns(table)]
            columns = ", ".join(f'"{name}"' for name in names)
            cursor = backend.database.execute_sql(f'SELECT {columns} FROM "{table}"')
            unsorted = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            found[table] = sorted(unsorted, key=lambda row: repr(sorted(row.items())))
    return found


def execute(url: str, base: Path, *statements: str) -> None:
    """Change an index, whatever its schema is."""
    database = open_backend(url, base).database
    with database.connection_context():
        for statement in statements:
            database.execute_sql(statement)


def _in_order(source: sqlite3.Connection) -> list[str]:
    """Return the tables, each behind those that it refers to."""
    first = ["patients", "studies", "series", "instances", "duplicates", "commitments"]
    found = [name for (name,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    others = [name for name in found if not name.startswith(("sqlite_", "huey")) and name not in first]
    return [*first, *(name for name in others if name != "schema_migrations")]
