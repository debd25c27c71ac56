"""Which nodes share the index, and the lock of what only one may do."""

from __future__ import annotations

from medserver.index.nodes.schema import create_tables


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the tables, unless a restore has left them from a newer version of the index."""
    create_tables(database.execute_sql, "sqlite" if hasattr(database, "pragma") else "postgresql")
