"""Clients that mean ill: they cost themselves, and the others are answered."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress

import httpx
import pytest

from medserver.web import application, server
from tests.peers.process import wait_until
from tests.web.conftest import Web

JSON = {"Accept": "application/dicom+json"}


def connect(web: Web) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=20)


def is_answered(web: Web) -> bool:
    return httpx.get(f"{web.url}/studies", headers=web.headers(**JSON), timeout=20).status_code in (200, 204)


def answer(web: Web, request: bytes) -> bytes:
    """Send bytes, and return what comes until the end; nothing if the connection is broken off meanwhile."""
    with connect(web) as sock, suppress(ConnectionError):
        sock.sendall(request)
        received = b""
        while piece := sock.recv(65536):
            received += piece
        return received
    return b""


def test_who_sends_no_request_is_closed(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, or the beginning of a head, or one byte now and then."""
    monkeypatch.setattr(server, "HEAD_MAX_S", 0.5)
    for begin in (b"", b"GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\n", b"POST "):
        with connect(web) as sock:
            sock.sendall(begin)
            assert sock.recv(1) == b""
    with connect(web) as sock, pytest.raises(OSError):
        began = time.monotonic()
        while time.monotonic() - began < 15:
            sock.sendall(b"G")
            sock.settimeout(0.1)
            try:
                if sock.recv(100) == b"":
                    raise ConnectionResetError
            except TimeoutError:
                continue


def test_many_silent_connections_keep_nobody_out(web: Web) -> None:
    with ExitStack() as opened:
        for _ in range(200):
            opened.enter_context(connect(web)).sendall(b"GET / HTTP/1.1\r\n")
        assert is_answered(web)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /dicom-web/studies HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x01\x00\x00\x00\x00\xcd" + bytes(205),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /dicom-web/studies HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    ],
    ids=["20,000 fields", "a long field", "a long path", "TLS", "DICOM", "no host", "no host name", "length -1", "two"],
)
def test_requests_that_are_none(web: Web, request_bytes: bytes) -> None:
    received = answer(web, request_bytes + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert received.startswith((b"HTTP/1.1 4", b"")) and b"HTTP/1.1 200" not in received
    assert is_answered(web)


@pytest.mark.parametrize(
    "path",
    ["/studies/../../etc/passwd", "/studies/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/studies/1.2.3%00",
     "/studies/1.2.3%0d%0aX: y",
     "/studies/1.2.3;rm", "/studies/" + "1" * 5000, "/studies/%ff%fe", "/studies/1.2.3/series/'%20OR%201=1--",
     "/studies/1.2.3/series/1.2.4/instances/1.2.5/bulkdata/../../x"],
    ids=range(9),
)  # fmt: skip
def test_paths(web: Web, path: str) -> None:
    found = httpx.get(web.url + path, headers=web.headers(Accept="*/*"))
    assert found.status_code in (404, 406) and "x" not in {name.lower() for name in found.headers}
    assert "root:" not in found.text


def test_a_payload_that_comes_too_slowly(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "PIECE_MAX_S", 0.3)
    head = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {web.tokens['operator']}\r\nContent-Type: application/dicom\r\n\r\n"
    ).encode()
    with ExitStack() as opened:
        slow = [opened.enter_context(connect(web)) for _ in range(2 * application.UPLOADS_MAX)]
        for sock in slow:
            sock.sendall(head + b"x")
        assert is_answered(web)
        for sock in slow:
            assert b" 400 " in sock.recv(4096)


def test_an_endless_preamble_and_endless_parts_take_no_memory(web: Web) -> None:
    """What is no part is passed over while it comes."""
    import resource

    def pieces(count: int):
        yield b"--b\r\nContent-Type: text/plain\r\n\r\n"
        for _ in range(count):
            yield bytes(1 << 20)
        yield b"\r\n--b--"

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    sent = httpx.post(
        f"{web.url}/studies", content=pieces(300), headers=web.headers(**{"Content-Type": kind, **JSON}), timeout=120
    )
    assert sent.status_code == 409
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_wrong_tokens_at_speed(web: Web) -> None:
    with httpx.Client() as client:
        for number in range(100):
            wrong = client.get(f"{web.url}/studies", headers={"Authorization": f"Bearer mst_{number}", **JSON})
            assert wrong.status_code == 401
    assert is_answered(web)


def test_who_does_not_read_its_answer_lets_go_of_what_it_holds(web: Web, tmp_path, monkeypatch) -> None:
    """The object is closed, and the connection."""
    import os

    from tests.archive.conftest import receive
    from tests.peers.files import make_series

    samples = make_series(tmp_path, 40)
    for sample in samples:
        receive(web.node, sample)
    monkeypatch.setattr(server, "SENT_MAX_S", 0.3)
    import pydicom

    study = pydicom.dcmread(samples[0].path, stop_before_pixels=True).StudyInstanceUID
    before = len(os.listdir("/proc/self/fd"))
    with connect(web) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(
            f"GET /dicom-web/studies/{study} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n"
            f"Authorization: Bearer {web.tokens['reader']}\r\n\r\n".encode()
        )
        wait_until(lambda: len(os.listdir("/proc/self/fd")) > before + 1, what="the answer")
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1, what="the end of the answer")
    assert is_answered(web)
