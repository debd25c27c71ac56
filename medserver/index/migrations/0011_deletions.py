"""Which objects are to be deleted: an order is withdrawn when its object is received again."""

from __future__ import annotations

_TEXT = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the table."""
    text = _TEXT["sqlite" if hasattr(database, "pragma") else "postgresql"]
    database.execute_sql(
        f'CREATE TABLE "deletions" ("sop_instance_uid" {text} NOT NULL, "digest" {text} NOT NULL, '
        f'"transfer_syntax_uid" {text} NOT NULL, PRIMARY KEY (sop_instance_uid, digest, transfer_syntax_uid))'
    )
