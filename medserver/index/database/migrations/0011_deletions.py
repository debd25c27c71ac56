"""Which objects are to be deleted: an order is withdrawn when its object is received again."""

from __future__ import annotations

import json

_TEXT = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}


def up(migrator, database) -> None:  # noqa: ANN001 - the runner's signature
    """Create the table, with the orders that jobs wait to carry out."""
    text = _TEXT["sqlite" if hasattr(database, "pragma") else "postgresql"]
    database.execute_sql(
        f'CREATE TABLE "deletions" ("sop_instance_uid" {text} NOT NULL, "digest" {text} NOT NULL, '
        f'"transfer_syntax_uid" {text} NOT NULL, PRIMARY KEY (sop_instance_uid, digest, transfer_syntax_uid))'
    )
    insert = "INSERT INTO deletions VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    if not hasattr(database, "pragma"):
        insert = insert.replace("?", "%s")
    for (payload,) in database.execute_sql("SELECT payload FROM jobs WHERE kind = 'delete'").fetchall():
        for key in json.loads(payload)["objects"]:
            database.execute_sql(insert, key)
