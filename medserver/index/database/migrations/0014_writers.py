"""The row of each connection that writes: the number of its last transaction, by which an interrupted commit is known.

On SQLite a commit is never interrupted by the loss of a connection.
"""

from __future__ import annotations


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the table; rows are changed all the time, and fit several times on their page."""
    if not hasattr(database, "pragma"):
        database.execute_sql(
            "CREATE TABLE writers (id UUID PRIMARY KEY, number BIGINT NOT NULL, "
            "opened_at TIMESTAMP WITH TIME ZONE NOT NULL) WITH (fillfactor = 20)"
        )
