"""Which database a URL means, and bringing its schema up to date."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import peewee
from playhouse.migrations import Runner

from medserver.errors import ConfigError, IndexFailure, IndexLocked
from medserver.index.database import moments
from medserver.index.database.backend import Backend
from medserver.index.database.clock import DatabaseClock
from medserver.index.nodes.fence import LockTable

MIGRATIONS = Path(__file__).parent / "migrations"


def open_backend(url: str, base: Path) -> Backend:
    """Choose the database.

    Parameters
    ----------
    url : str
        ``sqlite:///relative/to/base.db``, ``sqlite:////absolute.db`` or ``postgresql://...``.
    base : Path
        Where a relative path begins.

    Returns
    -------
    Backend
        Not yet connected.

    Raises
    ------
    ConfigError
        If the URL names no database that the index can use.
    IndexFailure
        If the SQLite library is one that can corrupt the database.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = unquote(parts.path[1:])
        if parts.netloc or not path or path == ":memory:":
            raise ConfigError(f"index url {url!r}: write sqlite:///FILE or sqlite:////ABSOLUTE/FILE")
        from medserver.index.sqlite.backend import SqliteBackend

        return SqliteBackend(base / path)
    if parts.scheme in ("postgresql", "postgres"):
        try:
            from medserver.index.postgresql.backend import PostgresqlBackend
        except ImportError as error:
            raise ConfigError(f"index url {parts.scheme}://...: install psycopg ({error})") from error
        return PostgresqlBackend(url.replace("postgres://", "postgresql://", 1))
    raise ConfigError(f"index url {url!r}: begins neither with sqlite:/// nor with postgresql://")


def known_migrations() -> frozenset[str]:
    """Return the names of the migrations that this program has."""
    return frozenset(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))


def clock_of(backend: Backend) -> Callable[[], datetime]:
    """Return the clock that all have in common who share a database: on SQLite that of the one host."""
    return DatabaseClock() if backend.name == "postgresql" else moments.now


def migrate(backend: Backend, owner: str = "") -> list[str]:
    """Bring the schema up to date; several processes may call this at once.

    Who opened the index before has to open it anew, see `medserver.index.nodes.fence`.

    Parameters
    ----------
    backend : Backend
        The database.
    owner : str
        Who has the lock of the index, if the caller has it.

    Returns
    -------
    list of str
        The migrations that were applied now.

    Raises
    ------
    IndexFailure
        If the database cannot be opened, or its schema is newer than this program.
    IndexLocked
        If somebody else has the lock of the index.
    """
    runner = Runner(backend.database, str(MIGRATIONS), table_name="schema_migrations")
    try:
        with backend.database.connection_context():
            if _is_current(runner):
                return []
            with backend.migration_lock():
                if _is_current(runner):
                    return []
                _keep_others_out(backend, owner)
                return runner.up()
    except (peewee.PeeweeException, *backend.errors) as error:
        raise IndexFailure(f"index: {error}") from error


def _keep_others_out(backend: Backend, owner: str) -> None:
    """Wait for those who write, and let them and all others open the index anew after this transaction."""
    connection, table = backend.database.connection(), LockTable(backend, clock_of(backend))
    if not table.exists(connection):  # a new index, or one of an earlier version
        return
    table.wait_for_writers(connection)
    lock = table.read(connection)
    if lock.work is None:
        table.grow(connection)
    elif lock.owner != owner and not lock.is_left(table.clock()):
        raise IndexLocked(lock.problem)


def _is_current(runner: Runner) -> bool:
    rows = runner.status()
    unknown = [row.name for row in rows if row.path is None]
    if unknown:
        raise IndexFailure(f"the index was made by a newer version: unknown migration {', '.join(unknown)}")
    return all(row.applied for row in rows)
