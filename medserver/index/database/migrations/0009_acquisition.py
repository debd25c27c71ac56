"""The conditions of acquisition of each instance, as JSON; nothing for those that have not been read yet."""

from __future__ import annotations

_TYPES = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Add the column, and what finds the instances that are to be read."""
    kind = _TYPES["sqlite" if hasattr(database, "pragma") else "postgresql"]
    database.execute_sql(f'ALTER TABLE "instances" ADD COLUMN "acquisition" {kind}')
    database.execute_sql('CREATE INDEX "instances_unread" ON "instances" ("id") WHERE "acquisition" IS NULL')
