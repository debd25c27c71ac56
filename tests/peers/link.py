"""A slow network: what goes through it takes the time that its bits take on such a link."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

from tests.peers import Address

CHUNK_BYTES = 16 * 1024
BACKLOG = 16


class Link:
    """A port that passes on what comes to another one, so many bits in a second.

    Only the way there is slow: what comes back are a few bytes.

    Parameters
    ----------
    target : Address
        Where it leads; its own `address` has the same AE title.
    bits_per_s : float
        How much it carries.
    """

    def __init__(self, target: Address, bits_per_s: float) -> None:
        self._target = target
        self._seconds_per_byte = 8 / bits_per_s
        self._free_at = 0.0
        self._taking = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server((target.host, 0), backlog=BACKLOG)
        self._sockets: list[socket.socket] = [self._listener]
        self.address = Address(target.ae_title, self._listener.getsockname()[1], target.host)

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((self._target.host, self._target.port))
                self._sockets += [near, far]
                for each in (near, far):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A small buffer: what waits in it has not been carried yet.
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * CHUNK_BYTES)
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, slowly: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                if slowly:
                    self._wait_for(len(chunk))
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _wait_for(self, size_bytes: int) -> None:
        """Take the link for so many bytes, after those who have it now."""
        with self._taking:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + size_bytes * self._seconds_per_byte
            end = self._free_at
        self._closing.wait(max(end - time.monotonic(), 0))
