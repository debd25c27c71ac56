"""Huey without the clients of databases that it would import by itself, and with the one that a queue needs.

Huey imports each that is installed; redis brings asyncio with it. This module is imported before any other of the
package that imports Huey.
"""

from __future__ import annotations

from medserver.imports import without

with without("cysqlite", "psycopg", "redis"):
    import huey.storage


def introduce_psycopg() -> None:
    """Let Huey know psycopg, as if it had imported it itself."""
    import psycopg

    huey.storage.psycopg = psycopg


def introduce_redis() -> None:
    """Let Huey know redis, under the names that it gives to what it imports of it itself."""
    import redis
    from redis.exceptions import ConnectionError, TimeoutError

    huey.storage.ConnectionPool, huey.storage.Redis = redis.ConnectionPool, redis.Redis
    huey.storage.ConnectionError, huey.storage.TimeoutError = ConnectionError, TimeoutError
    huey.storage.RedisStorage.redis_client = redis.Redis
