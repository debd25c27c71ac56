"""Which database a URL means, and bringing its schema up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import peewee
from playhouse.migrations import Runner

from medserver import host, lock
from medserver.errors import ConfigError, IndexFailure, IndexLocked
from medserver.index.database import moments
from medserver.index.database.backend import Backend
from medserver.index.database.clock import DatabaseClock
from medserver.index.database.saving import save
from medserver.index.nodes.fence import LockTable
from medserver.index.nodes.records import NodeRecord
from medserver.index.nodes.table import NodeTable

MIGRATIONS = Path(__file__).parent / "migrations"

LISTEN_S = 1.0
"""How often is listened for other hosts."""

logger = logging.getLogger(__name__)


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
        from psycopg import ProgrammingError

        try:
            return PostgresqlBackend(url.replace("postgres://", "postgresql://", 1))
        except ProgrammingError as error:  # an option that libpq does not know
            raise ConfigError(f"index url {parts.scheme}://...: {str(error).strip()}") from None
    raise ConfigError(f"index url {url!r}: begins neither with sqlite:/// nor with postgresql://")


def known_migrations() -> frozenset[str]:
    """Return the names of the migrations that this program has."""
    return frozenset(path.stem for path in MIGRATIONS.glob("[0-9]*.py"))


def clock_of(backend: Backend) -> Callable[[], datetime]:
    """Return the clock that all have in common who share a database: on SQLite that of the one host."""
    return DatabaseClock() if backend.name == "postgresql" else moments.now


def migrate(backend: Backend, base: Path, owner: str = "", *, is_copy: bool = False) -> list[str]:
    """Bring the schema up to date, in one transaction; several processes may call this at once.

    Whatever interrupts it leaves the index as it was, and it is called again. What holds objects is migrated while
    nobody else works with it, and saved before. Who opened the index before has to open it anew, see
    `medserver.index.nodes.fence`.

    Parameters
    ----------
    backend : Backend
        The database.
    base : Path
        The data folder of this node.
    owner : str
        Who has the lock of the index and of the data folder, if the caller has them.
    is_copy : bool
        Whether it is what came out of a backup: that is kept, and nobody works with this one.

    Returns
    -------
    list of str
        The migrations that were applied now.

    Raises
    ------
    IndexFailure
        If the database cannot be opened, or its schema is newer than this program.
    IndexLocked
        If somebody else has the lock of the index, or works with it.
    BadUsage
        If another process of this node works with it.
    OutOfResources
        If there is no room to save it.
    """
    runner = Runner(backend.database, str(MIGRATIONS), table_name="schema_migrations")
    try:
        with backend.database.connection_context(), ExitStack() as stack:
            if _is_current(runner):
                return []
            is_in_use = bool(runner.applied()) and not is_copy
            if is_in_use and not owner:
                stack.enter_context(lock.alone(base, "the index has to be migrated"))
            if is_in_use:
                _require_no_node(backend, base, may_wait=not owner)
            stack.enter_context(backend.migration_lock())
            pending = [row.name for row in runner.status() if not row.applied]
            if not pending:
                return []
            _keep_others_out(backend, owner)
            if is_in_use:
                _save(backend, base, pending[0])
            return runner.up()
    except (peewee.PeeweeException, *backend.errors) as error:
        raise IndexFailure(f"index: {error}") from error


def _keep_others_out(backend: Backend, owner: str) -> None:
    """Wait for those who write, and let them and all others open the index anew after this transaction."""
    connection, table = backend.database.connection(), LockTable(backend, clock_of(backend))
    if not table.exists(connection):  # a new index, or one of an earlier version
        return
    table.wait_for_writers(connection)
    present = table.read(connection)
    if present.work is None:
        table.grow(connection)
    elif present.owner != owner and not present.is_left(table.clock()):
        raise IndexLocked(present.problem)


def _require_no_node(backend: Backend, base: Path, *, may_wait: bool) -> None:
    """Raise IndexLocked while another host uses the index: its version does not know what is made of it.

    One that has just been stopped says so by silence: that is waited for, if nothing keeps it from being heard.
    """
    heard_first: dict[str, datetime | None] = {}
    while running := _nodes_heard(backend, host.node_uuid(base)):
        is_alive = any(node.heartbeat_at != heard_first.setdefault(node.uuid, node.heartbeat_at) for node in running)
        names = ", ".join(node.name for node in running)
        if is_alive or not may_wait:
            raise IndexLocked(f"the index has to be migrated, and {names} uses it: stop medserver there before")
        logger.info("the index has to be migrated: is %s stopped?", names)
        time.sleep(LISTEN_S)


def _nodes_heard(backend: Backend, own: str) -> list[NodeRecord]:
    """Return the other nodes that were heard of a moment ago."""
    table = LockTable(backend, clock := clock_of(backend))
    with closing(backend.connect()) as connection:
        if not table.exists(connection):  # an index of an earlier version
            return []
        table.read(connection)  # which tells the clock the time of the database
        return [node for node in NodeTable(backend).all(connection) if node.uuid != own and node.is_heard(clock())]


def _save(backend: Backend, base: Path, migration: str) -> None:
    """Save an index that holds objects."""
    if backend.database.execute_sql("SELECT 1 FROM locations LIMIT 1").fetchall():
        save(backend, base, migration)


def _is_current(runner: Runner) -> bool:
    rows = runner.status()
    unknown = [row.name for row in rows if row.path is None]
    if unknown:
        raise IndexFailure(f"the index was made by a newer version: unknown migration {', '.join(unknown)}")
    return all(row.applied for row in rows)
