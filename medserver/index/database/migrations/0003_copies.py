"""Several copies of an object: which of them are good, and when that was last seen.

`state` is ``good`` or ``bad``; `verified_at` is when the whole copy was last read and compared with its digests,
NULL if that has not been done since it was written. What receives an object sets neither, so that receiving costs what
it did; the index holds only the copies that are bad.
"""

from __future__ import annotations


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Add the columns and the index of what is to be repaired."""
    text = "TEXT" if hasattr(database, "pragma") else 'TEXT COLLATE "C"'
    database.execute_sql(f"ALTER TABLE \"locations\" ADD COLUMN \"state\" {text} NOT NULL DEFAULT 'good'")
    database.execute_sql(f'ALTER TABLE "locations" ADD COLUMN "verified_at" {text}')
    database.execute_sql(
        "CREATE INDEX \"locations_bad\" ON locations (volume, path) WHERE state <> 'good'"
    )
