"""The tables of who shares the index, which no backup holds and no restore replaces: they tell of now."""

from __future__ import annotations

from collections.abc import Callable

TABLES = ("nodes", "index_lock")

_TEXT = {"sqlite": "TEXT", "postgresql": 'TEXT COLLATE "C"'}
_NUMBER = {"sqlite": "INTEGER", "postgresql": "BIGINT"}


def create_tables(execute: Callable[[str], object], backend: str) -> None:
    """Create what is not there yet; the lock is one row from the beginning.

    Parameters
    ----------
    execute : callable
        Executes a statement, in a transaction of the caller.
    backend : str
        ``sqlite`` or ``postgresql``.
    """
    text, number = _TEXT[backend], _NUMBER[backend]
    execute(
        f'CREATE TABLE IF NOT EXISTS "nodes" ("uuid" {text} NOT NULL PRIMARY KEY, "name" {text} NOT NULL, '
        f'"machine" {text} NOT NULL, "role" {text} NOT NULL, "started_at" {text} NOT NULL, '
        f'"heartbeat_at" {text} NOT NULL, "serves" {text} NOT NULL)'
    )
    execute(
        f'CREATE TABLE IF NOT EXISTS "index_lock" ("id" {number} NOT NULL PRIMARY KEY, "number" {number} NOT NULL, '
        f'"work" {text}, "owner" {text}, "host" {text}, "since" {text}, "lease_until" {text}, '
        f'"is_incomplete" {number} NOT NULL)'
    )
    execute("INSERT INTO index_lock (id, number, is_incomplete) VALUES (1, 1, 0) ON CONFLICT DO NOTHING")
