"""Rules that delete: when an object was received again, and which copies were removed while their objects stay.

These are on other volumes, and are not made again.
"""

from __future__ import annotations

_TYPES = {"sqlite": ("INTEGER", "TEXT"), "postgresql": ("BIGINT", 'TEXT COLLATE "C"')}


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Add the column and the table."""
    number, text = _TYPES["sqlite" if hasattr(database, "pragma") else "postgresql"]
    database.execute_sql(f'ALTER TABLE objects ADD COLUMN "received_again_at" {text}')
    database.execute_sql(
        f'CREATE TABLE "removed_copies" ("object" {number} NOT NULL REFERENCES objects (id) ON DELETE CASCADE, '
        f'"volume" {text} NOT NULL, PRIMARY KEY (object, volume))'
    )
