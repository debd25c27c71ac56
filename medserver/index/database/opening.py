"""Which database a URL means, and bringing its schema up to date."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import peewee
from playhouse.migrations import Runner

from medserver.errors import ConfigError, IndexFailure
from medserver.index.database.backend import Backend

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


def migrate(backend: Backend) -> list[str]:
    """Bring the schema up to date; several processes may call this at once.

    Parameters
    ----------
    backend : Backend
        The database.

    Returns
    -------
    list of str
        The migrations that were applied now.

    Raises
    ------
    IndexFailure
        If the database cannot be opened, or its schema is newer than this program.
    """
    runner = Runner(backend.database, str(MIGRATIONS), table_name="schema_migrations")
    try:
        with backend.database.connection_context():
            if _is_current(runner):
                return []
            with backend.migration_lock():
                return [] if _is_current(runner) else runner.up()
    except (peewee.PeeweeException, *backend.errors) as error:
        raise IndexFailure(f"index: {error}") from error


def _is_current(runner: Runner) -> bool:
    rows = runner.status()
    unknown = [row.name for row in rows if row.path is None]
    if unknown:
        raise IndexFailure(f"the index was made by a newer version: unknown migration {', '.join(unknown)}")
    return all(row.applied for row in rows)
