"""A network between the index and its server that loses what a test wants it to lose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

_CHUNK_BYTES = 65536
_COMMIT = b"COMMIT\0"  # the end of the request, and of its answer


class Proxy:
    """Listens on loopback and forwards to the Unix socket of a cluster.

    Parameters
    ----------
    url : str
        A database of `tests.index.cluster.Cluster`.

    Attributes
    ----------
    url : str
        The same database through the proxy.
    accepted, lost : int
        How many connections were opened, and how many messages were lost.
    on_loss : callable
        Called when a message is lost, before its connection is cut.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._server = f"{query['host'][0]}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{query['user'][0]}@127.0.0.1:{port}{parts.path}"
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._losing = ""
        self._sockets: list[socket.socket] = []
        self.accepted = self.lost = 0
        self.on_loss: Callable[[], object] = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Forward nothing any more, and close nothing; kernels go on to acknowledge."""
        self._open.clear()

    def forward(self) -> None:
        """Forward again."""
        self._open.set()

    def lose_answer(self) -> None:
        """Cut the connection of the next COMMIT when the server has answered it."""
        self._losing = "answer"

    def lose_request(self) -> None:
        """Cut the connection of the next COMMIT before the server has it."""
        self._losing = "request"

    def close(self) -> None:
        """Close everything."""
        self._open.set()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self.accepted += 1
            server = socket.socket(socket.AF_UNIX)
            with suppress(OSError):
                server.connect(self._server)
            self._sockets += (client, server)
            for pair in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_request: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                self._open.wait()
                if self._is_lost(data, is_request):
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_lost(self, data: bytes, is_request: bool) -> bool:
        with self._lock:
            if self._losing != ("request" if is_request else "answer") or _COMMIT not in data:
                return False
            self._losing = ""
            self.lost += 1
        self.on_loss()
        return True
