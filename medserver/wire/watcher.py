"""One thread that waits for sockets in the place of others: what waits here needs no thread of its own.

It waits for connections whose request has not been received, for idle associations, and for connections that the peer
is to close. What arrives for many of them in one instant is begun one after the other: a thousand threads that woke up
at once would wait for the interpreter for seconds, and everybody else with them.
"""

from __future__ import annotations

import logging
import math
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Callback = Callable[[bool], None]
"""Called in the thread of the watcher, with whether the time has passed. It must not wait: all others do meanwhile."""

WAKE_BYTES = 4096

BATCH = 32
"""How many are called back before it is looked again for new connections: they do not wait behind a thousand others."""

_EVENTS = {select.POLLIN: selectors.EVENT_READ, select.POLLOUT: selectors.EVENT_WRITE}

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Watch:
    """Something that is waited for, once."""

    sock: socket.socket | None
    deadline: float
    callback: Callback
    is_urgent: bool
    event: int = selectors.EVENT_READ


class Watcher:
    """Calls back when a socket can be read or a time has passed."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._closing = False
        self._new: list[_Watch] = []
        self._watches: dict[_Watch, None] = {}
        self._look_at = math.inf  # no deadline is earlier
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to call back."""
        self._thread.start()

    @property
    def closing(self) -> bool:
        """Tell whether `close` has been called."""
        return self._closing

    @property
    def alive(self) -> bool:
        """Tell whether it calls back: not before `start`, not after `close`, and not after a mistake of a callback."""
        return self._thread.is_alive()

    def watch(
        self,
        sock: socket.socket | None,
        deadline: float,
        callback: Callback,
        *,
        is_urgent: bool = False,
        event: int = select.POLLIN,
    ) -> None:
        """Call back once, when a socket can be read or a time has passed; may be called from any thread.

        Parameters
        ----------
        sock : socket.socket or None
            Not closed until then; None to wait for the time only.
        deadline : float
            The monotonic time. Behind `close`, and where the system cannot watch one more, it has passed.
        callback : callable
            Takes whether the time has passed.
        is_urgent : bool
            Whether it goes before all others that can be read at the same moment.
        event : int
            ``POLLIN``, or ``POLLOUT`` to be called when the socket can be written.
        """
        with self._lock:
            is_late = self._closing
            if not is_late:
                self._new.append(_Watch(sock, deadline, callback, is_urgent, _EVENTS[event]))
                if threading.current_thread() is not self._thread:
                    self._wake()
        if is_late:
            callback(True)

    def close(self) -> None:
        """Watch no more: for all that is watched the time has passed."""
        with self._lock:
            self._closing = True
            self._wake()
        self._thread.join()
        for watch in list(self._watches):
            self._end(watch, True)
        for watch in self._new:
            watch.callback(True)
        for closable in (self._wake_reader, self._wake_writer, self._selector):
            closable.close()

    def _wake(self) -> None:
        try:
            self._wake_writer.send(b"\0")
        except BlockingIOError:
            logger.debug("the watcher is being woken already")

    def _run(self) -> None:
        while not self._closing:
            self._take_new()
            timeout_s = None if self._look_at == math.inf else max(self._look_at - time.monotonic(), 0.0)
            ready = [key.data for key, _ in self._selector.select(timeout_s)]
            if None in ready:
                ready.remove(None)
                self._wake_reader.recv(WAKE_BYTES)
            ready.sort(key=lambda watch: not watch.is_urgent)
            for watch in ready[:BATCH]:
                self._end(watch, False)
            if time.monotonic() >= self._look_at:
                self._end_late()

    def _take_new(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        for watch in new:
            self._watches[watch] = None
            self._look_at = min(self._look_at, watch.deadline)
            if watch.sock is None:
                continue
            try:
                self._selector.register(watch.sock, watch.event, watch)
            except OSError as error:
                logger.warning("cannot watch a connection: %s", error)
                watch.sock = None
                self._end(watch, True)

    def _end_late(self) -> None:
        now = time.monotonic()
        for watch in [watch for watch in self._watches if watch.deadline <= now]:
            self._end(watch, True)
        self._look_at = min((watch.deadline for watch in self._watches), default=math.inf)

    def _end(self, watch: _Watch, is_late: bool) -> None:
        del self._watches[watch]
        if watch.sock is not None:
            self._selector.unregister(watch.sock)
        watch.callback(is_late)
