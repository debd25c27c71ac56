"""Connections to audit repositories: syslog over TLS (RFC 5425) or UDP (RFC 5426)."""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from medserver.audit.syslog import framed
from medserver.config import Config
from medserver.tls.standard import requestor_context

CLOSE_WITHIN_S = 10.0
"""How long the other side has to answer our close_notify: it reads everything that came before."""

LOOK_EVERY_S = 0.001

DATAGRAM_MAX_BYTES = 65_507
DATAGRAMS_TOGETHER, DATAGRAMS_PAUSE_S = 32, 0.02
"""So many are sent at once, and then none for a while: a receiver drops what its buffer has no room for."""


class Link(Protocol):
    """An open connection.

    Attributes
    ----------
    local_name : str
        The name of this machine, as messages have it.
    """

    local_name: str

    def send(self, message: bytes) -> None:
        """Send a SYSLOG-MSG. Raises OSError."""

    def finish(self) -> None:
        """Return when the other side has read everything, as far as that can be known. Raises OSError."""


def connect(url: str, config: Config):
    """Connect to a repository; a context manager that gives the `Link`.

    Parameters
    ----------
    url : str
        ``tls://HOST:PORT`` or ``udp://HOST:PORT``.
    config : Config
        What says who is trusted, and who we are.

    Raises
    ------
    OSError
        It cannot be reached, or is not whom it should be.
    ConfigError
        A file with certificates or the key cannot be used.
    """
    parts = urlsplit(url)
    open_link = _tls if parts.scheme == "tls" else _udp
    return open_link(parts.hostname or "", parts.port or 0, config)


class _TlsLink:
    """A TLS connection; messages are collected and written together."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self.local_name = socket.gethostname()

    def send(self, message: bytes) -> None:
        self._pieces.append(framed(message))

    def finish(self) -> None:
        """Send what was collected, and return when the other side has read all of it.

        Its close_notify alone does not say so: one that does not trust us sends it as well, as soon as our certificate
        is there, in TLS 1.3 behind our handshake. But its system then answers what it has not read with a reset.
        """
        self._connection.sendall(b"".join(self._pieces))
        self._connection.settimeout(CLOSE_WITHIN_S)
        plain = self._connection.unwrap()
        plain.settimeout(CLOSE_WITHIN_S)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(4096):
            pass
        deadline = time.monotonic() + CLOSE_WITHIN_S
        while left := _unacknowledged_bytes(plain):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} bytes are not acknowledged")
            time.sleep(LOOK_EVERY_S)
        if error := plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))


def _unacknowledged_bytes(connection: socket.socket) -> int:
    """Return how much of what was sent the other system has not acknowledged; a connection that was reset has none."""
    [count] = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    return count


class _UdpLink:
    """Datagrams: whether they arrive nobody knows (PS3.15 A.7)."""

    def __init__(self, sending: socket.socket) -> None:
        self._sending = sending
        self._count = 0
        self.local_name = socket.gethostname()

    def send(self, message: bytes) -> None:
        self._sending.send(message[:DATAGRAM_MAX_BYTES])
        self._count += 1
        if self._count % DATAGRAMS_TOGETHER == 0:
            time.sleep(DATAGRAMS_PAUSE_S)

    def finish(self) -> None:
        """Nothing can be known."""


@contextmanager
def _tls(host: str, port: int, config: Config) -> Iterator[Link]:
    context = requestor_context(config.audit.ca, config.audit.certificate, config.audit.key)
    with socket.create_connection((host, port), timeout=config.limits.connection_timeout_s) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with context.wrap_socket(plain, server_hostname=host) as connection:
            connection.settimeout(config.limits.network_timeout_s)
            yield _TlsLink(connection)


@contextmanager
def _udp(host: str, port: int, config: Config) -> Iterator[Link]:
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    with socket.socket(family, kind, protocol) as sending:
        sending.connect(address)
        yield _UdpLink(sending)
