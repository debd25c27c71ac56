"""Sending and receiving the messages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from medserver.errors import ConfigError
from medserver.index import Index, Lane

if TYPE_CHECKING:
    from medserver.queue.messages import Messages

PAUSE_S = 0.05
"""Between two rounds of messages; the lanes that are named meanwhile go together."""

FAILURE_PAUSE_S = 1.0
CLOSE_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


def open_queue(url: str, index: Index) -> Queue:
    """Return the queue that a configuration means; nothing is opened before the first message.

    Parameters
    ----------
    url : str
        ``redis://...``, or ``index`` for the database of the index.
    index : Index
        The index.
    """
    stopping = threading.Event()
    return Queue(partial(_open_storage, url, index.backend, stopping), stopping)


def _open_storage(url: str, backend: Any, stopping: threading.Event, name: str) -> Any:
    if url != "index":
        try:
            import redis  # noqa: F401 - Huey fails later, and with less to go by
        except ImportError as error:
            raise ConfigError(f"jobs url {url.partition(':')[0]}://...: install redis ({error})") from error
        from medserver.queue.storages import RedisStorage

        return RedisStorage(name, url, stopping)
    from medserver.queue.storages import PostgresqlStorage, SqliteStorage

    if backend.name == "postgresql":
        return PostgresqlStorage(name, backend.url, stopping)
    return SqliteStorage(name, backend.database, stopping)


class Queue:
    """Tells workers, on whichever machine, that lanes have new jobs.

    Threads may share it; a process that is forked off must not. A failure is logged and costs time only.

    Parameters
    ----------
    open_storage : callable
        Takes the name of the queue and returns the storage.
    stopping : threading.Event
        Set when no message is waited for any more.
    """

    def __init__(self, open_storage: Callable[[str], Any], stopping: threading.Event) -> None:
        self._open_storage = open_storage
        self._stopping = stopping
        self._messages: Messages | None = None
        self._opening = threading.Lock()
        self._lanes: set[Lane] = set()
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[Collection[Lane]], None]] = []
        self._failing = False

    def wake(self, lanes: Collection[Lane]) -> None:
        """Have workers told that lanes have new jobs; returns at once.

        Messages are sent by a thread, one for each lane and some milliseconds, so that what is received at full speed
        costs next to nothing.
        """
        for listener in self._listeners:
            listener(lanes)
        with self._lock:
            if self._lanes.issuperset(lanes) or self._closed.is_set():
                return
            self._lanes.update(lanes)
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="wake", daemon=True)
                self._thread.start()
        self._wanted.set()

    def tell(self, listener: Callable[[Collection[Lane]], None]) -> None:
        """Have a worker in this process told of what this process adds, without a message."""
        self._listeners.append(listener)

    def receive(self) -> Lane | None:
        """Wait for a message for up to a second; return the lane, None if none came. For one thread."""
        try:
            lane = self._opened().take()
            if lane is not None:
                return lane
            self._works()
        except (ValueError, TypeError) as error:
            logger.warning("an invalid message to workers was discarded: %s", error)
        except Exception as error:  # noqa: BLE001 - whatever a storage raises
            self._fails(error)
        return None

    def stop_receiving(self) -> None:
        """Have `receive` wait no more: it returns within `storages.STOP_POLL_S`."""
        self._stopping.set()

    def close(self) -> None:
        """Send what waits to be sent, and take nothing more."""
        self._closed.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT_S)

    def release(self) -> None:
        """Close the connection of the calling thread."""
        if self._messages is not None:
            self._messages.storage.close()

    def _opened(self) -> Messages:
        with self._opening:
            if self._messages is None:
                from medserver.queue.messages import Messages

                self._messages = Messages(self._open_storage)
            return self._messages

    def _send_all(self) -> None:
        """Send messages until the queue is closed."""
        while not self._closed.is_set():
            self._wanted.wait()
            self._wanted.clear()
            self._send()
            self._closed.wait(PAUSE_S)
        self._send()
        self.release()

    def _send(self) -> None:
        with self._lock:
            lanes, self._lanes = self._lanes, set()
        if not lanes:
            return
        try:
            messages = self._opened()
            for lane in lanes:
                messages.send(lane)
            self._works()
        except Exception as error:  # noqa: BLE001 - whatever a storage raises
            self._fails(error)

    def _works(self) -> None:
        if self._failing:
            logger.info("messages reach the workers again")
            self._failing = False

    def _fails(self, error: Exception) -> None:
        if not self._failing:
            logger.error("messages do not reach the workers, jobs start late: %s", error)
            self._failing = True
        self._closed.wait(FAILURE_PAUSE_S)
