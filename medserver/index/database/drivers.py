"""peewee without the drivers that it would import by itself, and with the one that an index on PostgreSQL needs.

peewee imports every driver that is installed. psycopg takes as long as all the rest of a command that looks into an
index on SQLite. This module is imported before any other of the package, which is the first to import peewee.
"""

from __future__ import annotations

from medserver.imports import without

with without("MySQLdb", "psycopg", "psycopg2", "psycopg2cffi", "pymysql"):
    import peewee
    import playhouse.migrations  # noqa: F401 - it looks for drivers too


def introduce_psycopg() -> None:
    """Let peewee know psycopg, under the names that it gives to what it imports of it itself."""
    import psycopg
    from psycopg.pq import TransactionStatus
    from psycopg.types.json import Json, Jsonb

    peewee.psycopg, peewee.TransactionStatus = psycopg, TransactionStatus
    peewee.Json_pg3, peewee.Jsonb_pg3 = Json, Jsonb
    adapter = peewee.Psycopg3Adapter
    adapter.txn_idle = TransactionStatus.IDLE
    adapter.txn_inerror = TransactionStatus.INERROR
    adapter.txn_unknown = TransactionStatus.UNKNOWN
