"""Which volumes belong to the archive, as their markers say: see `medserver.volumes`."""

from __future__ import annotations

_TEXT = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the table. It is filled when the volumes are looked at: only they tell whether they are there."""
    text = _TEXT["sqlite" if hasattr(database, "pragma") else "postgresql"]
    database.execute_sql(
        f'CREATE TABLE "volumes" ("name" {text} NOT NULL PRIMARY KEY, "volume_uuid" {text} NOT NULL UNIQUE, '
        f'"archive_uuid" {text} NOT NULL, "marked" INTEGER NOT NULL, "detached" INTEGER NOT NULL)'
    )
