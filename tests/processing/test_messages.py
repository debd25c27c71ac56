"""A message is handed over within its time, or not at all, whatever a server does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage

import pytest

from medserver.processing.messages import post, send_mail

TIMEOUT_S, PATIENCE_S = 1.0, 10.0


@contextmanager
def answering(answer: bytes, pause_s: float) -> Iterator[int]:
    """Listen, answer the bytes one by one with a pause behind each, the last again and again; give the port."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            position = 0
            while not stop.wait(pause_s):
                try:
                    connection.send(answer[position : position + 1])
                except OSError:
                    return
                position = min(position + 1, len(answer) - 1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        listener.close()


def by_post(port: int) -> None:
    post(f"http://127.0.0.1:{port}/", {"a": 1}, TIMEOUT_S)


def by_mail(port: int) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"] = "a@example.org", "b@example.org"
    send_mail(("127.0.0.1", port), mail, TIMEOUT_S)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nX: y", b"220-x\r\n", b"2"], ids=["http", "smtp", "neither"])
@pytest.mark.parametrize("hand_over", [by_post, by_mail])
def test_a_server_that_answers_a_byte_now_and_then_does_not_answer(
    hand_over: Callable[[int], None], answer: bytes
) -> None:
    with answering(answer, TIMEOUT_S / 5) as port:
        begun = time.monotonic()
        with pytest.raises(OSError):
            hand_over(port)
        assert time.monotonic() - begun < 3 * TIMEOUT_S


def test_what_is_no_http_is_said() -> None:
    with answering(b"nonsense\r\n\r\n", 0.001) as port, pytest.raises(OSError, match="no answer of HTTP"):
        by_post(port)
