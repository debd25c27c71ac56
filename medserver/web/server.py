"""The HTTP server of a process: uvicorn, with deadlines for those who send slowly."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from medserver.node import Node
from medserver.tls.standard import acceptor_context
from medserver.web.application import application

HEAD_MAX_S = 10.0
"""How long the header fields of a request may take, from the opening of the connection or its first byte on."""

IDLE_MAX_S = 30
"""How long a connection may be open between two requests."""

SENT_MAX_S = 60.0
"""How long a user agent may leave what was sent to it where it is; what waits are some 64 kB."""

HEAD_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 500
"""More of them are answered with 503."""

ENDS_WITHIN_S = 2.0

logger = logging.getLogger(__name__)


class Protocol(H11Protocol):
    """HTTP/1.1 on one connection: one that does not get to its request, or does not read its answer, is closed."""

    _deadline: asyncio.TimerHandle | None = None
    _sending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin, and wait for the head of a request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._forget()
        self._forget_sending()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the user agent does not take what is sent."""
        super().pause_writing()
        self._forget_sending()
        self._sending = self.loop.call_later(SENT_MAX_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it goes on."""
        self._forget_sending()
        super().resume_writing()

    def _forget_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _watch(self) -> None:
        """Have a deadline while a request is waited for that may have begun."""
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_MAX_S, self._close)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE and self.cycle is None:
            self.transport.close()


class WebServer:
    """Serves HTTP in a thread of its own.

    Parameters
    ----------
    node : Node
        What the operations work with.
    listener : socket.socket
        Listening; several processes may accept from one.
    certificate, key : Path or None
        For HTTPS, see `medserver.tls.standard`.

    Raises
    ------
    ConfigError
        Certificate or key cannot be used.
    """

    def __init__(
        self, node: Node, listener: socket.socket, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        context = None if certificate is None or key is None else acceptor_context(certificate, key)
        self._server = uvicorn.Server(uvicorn.Config(
            application(node),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # what is no request is worth no line each
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=IDLE_MAX_S,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            ssl_context_factory=None if context is None else lambda *_: context,
        ))  # fmt: skip
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="HTTP", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it accepts."""
        return self._thread.is_alive()

    @property
    def is_started(self) -> bool:
        """Whether it has begun to accept."""
        return self._server.started

    def stop(self, drain_s: float) -> None:
        """End: what is under way has some time left."""
        self._server.should_exit = True
        self._thread.join(drain_s)
        self._server.force_exit = True
        self._thread.join(ENDS_WITHIN_S)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except Exception:  # the supervisor replaces the process
            logger.exception("the HTTP server has ended")
