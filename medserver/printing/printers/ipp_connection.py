"""Ways to a printer or print server: a port, with TLS or without, or the socket of the CUPS of this machine.

A queue that only this machine's CUPS knows (``cups:NAME``: one of a printer at its USB port, or of a CUPS that listens
on no port) is asked by IPP as any other, through the socket by which ``lp`` and ``lpstat`` reach it. These programs
themselves are not used: they do not tell a job that was cancelled from one that was printed.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote, urlsplit

from medserver.config.printer import CUPS_SCHEME, cups_queue
from medserver.errors import PrinterRefused

PORT = 631
CONNECT_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
"""How long nothing may arrive, or be taken."""


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix domain socket.

    Parameters
    ----------
    path : str
        Of the socket.
    """

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CONNECT_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT_S)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


def printer_uri(url: str) -> str:
    """Return the printer-uri of a printer (RFC 8011 3.1.5)."""
    if url.startswith(CUPS_SCHEME):
        return f"ipp://localhost/printers/{quote(cups_queue(url)[0], safe='')}"
    return url


def connected(url: str) -> http.client.HTTPConnection:
    """Connect to a printer.

    Raises
    ------
    PrinterRefused
        It cannot be reached: it has got nothing.
    """
    connection = _connection(url)
    try:
        connection.connect()
    except OSError as error:
        raise PrinterRefused(f"{url} cannot be reached: {in_words(error)}") from error
    assert connection.sock is not None
    connection.sock.settimeout(IDLE_TIMEOUT_S)
    return connection


def _connection(url: str) -> http.client.HTTPConnection:
    if url.startswith(CUPS_SCHEME):
        return _SocketConnection(cups_queue(url)[1])
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORT
    if parts.scheme == "ipps":
        return http.client.HTTPSConnection(
            host, port, timeout=CONNECT_TIMEOUT_S, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)


@contextmanager
def limited(connection: http.client.HTTPConnection, timeout_s: float) -> Iterator[None]:
    """Shut a connection down when its time is over, whatever it does."""
    sock = connection.sock

    def shut_down() -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout_s, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def in_words(error: Exception) -> str:
    """Tell what an error of a connection is."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
