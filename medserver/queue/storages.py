"""Huey's storages, each with two changes: a message that waits already is not stored again, and to read blocks.

The first bounds the queue by the number of lanes, however long no worker runs. The second makes Huey quick: its own
consumer polls a SQL storage every 0.1 s to 10 s, taking the write lock each time. PostgreSQL (LISTEN) and Redis
(BZPOPMIN) can wait themselves. SQLite cannot; but it tells for microseconds, and without a lock, whether anybody has
committed since the last look, and is looked at that often.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import peewee

from medserver.queue.clients import introduce_psycopg, introduce_redis

# Huey's own modules come after `clients`.
from huey.contrib.sql_huey import BytesBlobField, SqlStorage
from huey.storage import PostgresStorage, PriorityRedisStorage

READ_TIMEOUT_S = 0.5
POLL_S = 0.02
STOP_POLL_S = 0.1
"""How often is looked whether to stop, while a database waits for a message."""

_TABLE = "huey_task"
_IS_WAITING = f"SELECT EXISTS (SELECT 1 FROM {_TABLE} WHERE queue = ?)"
"""A string, for it is asked each time that something is looked for while objects are received: what peewee builds and
spells takes eighty times as long."""


class SqliteStorage(SqlStorage):
    """Messages in a table of the index, on SQLite.

    Parameters
    ----------
    name : str
        The queue.
    database : peewee.Database
        The index's; each thread has a connection of its own.
    stopping : threading.Event
        Set when no message is waited for any more.
    """

    blocking = True

    def __init__(self, name: str, database: peewee.Database, stopping: threading.Event) -> None:
        super().__init__(name, database=database, create_tables=False)
        with self.database.connection_context():
            self.database.create_tables([self.Task])
        self._version: int | None = None
        self._stopping = stopping

    def create_models(self) -> tuple[Any, ...]:
        """Return the one model that is used: Huey stores neither results nor schedules nor locks here."""

        class Task(peewee.Model):
            queue = peewee.CharField()
            data = BytesBlobField()
            priority = peewee.FloatField(default=0.0)

            class Meta:
                database = self.database
                table_name = _TABLE

        return None, None, Task, None

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Store a message, unless the same one waits."""
        self.check_conn()
        with self.atomic():
            if not self._waits(data):
                self.Task.create(queue=self.name, data=data)

    def _waits(self, data: bytes) -> bool:
        return self.tasks(self.Task.id).where(self.Task.data == data).exists()

    def dequeue(self) -> bytes | None:
        """Take a message, waiting for one for a while; None if none came. For one thread only."""
        self.check_conn()
        deadline = time.monotonic() + READ_TIMEOUT_S
        while not self._is_changed():
            if time.monotonic() > deadline or self._stopping.wait(POLL_S):
                return None
        if not self._is_waiting():
            return None
        self._version = None  # there may be more
        return super().dequeue()

    def _is_waiting(self) -> bool:
        [[is_waiting]] = self.database.connection().execute(_IS_WAITING, (self.name,)).fetchall()
        return bool(is_waiting)

    def _is_changed(self) -> bool:
        """Whether anybody else has changed the database since the last look."""
        [[version]] = self.database.connection().execute("PRAGMA data_version").fetchall()
        changed = version != self._version
        self._version = version
        return changed


class PostgresqlStorage(PostgresStorage):
    """Messages in a table beside the index, on PostgreSQL.

    Parameters
    ----------
    name : str
        The queue.
    url : str
        Of the database.
    stopping : threading.Event
        Set when no message is waited for any more.
    """

    def __init__(self, name: str, url: str, stopping: threading.Event) -> None:
        self._stopping = stopping
        introduce_psycopg()
        super().__init__(name, dsn=url, read_timeout=READ_TIMEOUT_S, create_tables=False)
        with self.db(commit=True) as cursor:
            cursor.execute("SELECT to_regclass(%s)", (_TABLE,))
            if cursor.fetchone()[0] is None:
                # Two processes that make one table at once get in each other's way, IF NOT EXISTS or not.
                cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (_TABLE,))
                for statement in self.ddl:
                    cursor.execute(statement)
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", (_TABLE,))

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Store a message, unless the same one waits, and wake who listens."""
        with self.db(commit=True) as cursor:
            cursor.execute(
                f"INSERT INTO {self.table_task} (queue, data) SELECT %s, %s "
                f"WHERE NOT EXISTS (SELECT 1 FROM {self.table_task} WHERE queue = %s AND data = %s)",
                (self.name, data, self.name, data),
            )
            cursor.execute("SELECT pg_notify(%s, %s)", (self.channel, ""))

    def dequeue(self) -> bytes | None:
        """Take a message, waiting for one for a while; None if none came."""
        deadline = time.monotonic() + READ_TIMEOUT_S
        data = self._dequeue()
        while data is None and time.monotonic() < deadline and not self._stopping.is_set():
            if list(self._listen_conn().notifies(timeout=STOP_POLL_S, stop_after=1)):
                data = self._dequeue()
        return data


class RedisStorage(PriorityRedisStorage):
    """Messages in a sorted set of Redis, the oldest first.

    Parameters
    ----------
    name : str
        The queue.
    url : str
        ``redis://host:port/number``.
    stopping : threading.Event
        Set when no message is waited for any more.
    """

    def __init__(self, name: str, url: str, stopping: threading.Event) -> None:
        self._stopping = stopping
        introduce_redis()
        super().__init__(name, url=url, read_timeout=READ_TIMEOUT_S)

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Store a message, unless the same one waits."""
        self.conn.zadd(self.queue_key, {data: time.time()}, nx=True)

    def dequeue(self) -> bytes | None:
        """Take the oldest message, waiting for one for a while; None if none came."""
        deadline = time.monotonic() + READ_TIMEOUT_S
        taken = None
        while not taken and time.monotonic() < deadline and not self._stopping.is_set():
            taken = self.conn.bzpopmin(self.queue_key, timeout=STOP_POLL_S)
        return taken[1] if taken else None
