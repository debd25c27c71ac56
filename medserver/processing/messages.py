"""A message goes out: it is posted to a URL, or sent by mail, within one deadline for all of it.

A server that answers a byte now and then is one that does not answer: the time limit of a socket begins anew with each.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from smtplib import SMTP, SMTPException
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request, build_opener

TIMEOUT_S = 10.0


class _Deadline:
    """Shuts sockets down when their time is over, whatever still arrives on them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket] = []
        self._is_over = False

    def watch(self, connected: socket) -> None:
        """Shut a socket down at the deadline, at once if that is over."""
        with self._lock:
            self._sockets.append(connected)
            if self._is_over:
                self._shut_down()

    def end(self) -> None:
        """Shut all down."""
        with self._lock:
            self._is_over = True
            self._shut_down()

    def _shut_down(self) -> None:
        for each in self._sockets:
            with suppress(OSError):  # it is closed
                each.shutdown(SHUT_RDWR)


@contextmanager
def _within(timeout_s: float) -> Iterator[_Deadline]:
    deadline = _Deadline()
    timer = threading.Timer(timeout_s, deadline.end)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()


def post(url: str, message: Mapping[str, Any], timeout_s: float = TIMEOUT_S) -> None:
    """Post a message as JSON.

    Raises
    ------
    OSError, ValueError
        It could not be handed over: what is no 2xx is a refusal.
    """
    request = Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST")
    with _within(timeout_s) as deadline:
        try:
            with _opener(deadline).open(request, timeout=timeout_s):
                pass  # the status is known; nobody needs the rest
        except HTTPException as error:
            raise OSError(f"no answer of HTTP: {type(error).__name__}: {error}") from error


def _opener(deadline: _Deadline) -> OpenerDirector:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    class PlainHandler(HTTPHandler):
        def http_open(self, request: Request) -> Any:
            return self.do_open(Plain, request)

    class SecureHandler(HTTPSHandler):
        def https_open(self, request: Request) -> Any:
            return self.do_open(Secure, request)

    return build_opener(PlainHandler, SecureHandler)


def send_mail(server: tuple[str, int | None], mail: EmailMessage, timeout_s: float = TIMEOUT_S) -> None:
    """Send a mail.

    Raises
    ------
    OSError
        It could not be handed over.
    """
    host, port = server
    with _within(timeout_s) as deadline:

        class Watched(SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket:
                connected = super()._get_socket(host, port, timeout)  # type: ignore[misc]
                deadline.watch(connected)
                return connected

        try:
            with Watched(host, port or 25, timeout=timeout_s) as connection:
                connection.send_message(mail)
        except SMTPException as error:
            raise OSError(f"the mail server did not take it: {error}") from error
