"""What carries the bytes of a connection: the same for TCP in the clear and for TLS.

The peer is the `ssl` module of Python, or a socket: nothing of ours.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from medserver.config import Security, TLSOptions
from medserver.tls.contexts import server_context
from medserver.wire.connection import Connection, ConnectionEnded, DeadlineMissed
from medserver.wire.tls_transport import RECORD_BYTES, TLSTransport, call
from medserver.wire.transport import PlainTransport, Transport, WantsToRead, WantsToWrite, event_of
from tests.certificates import TestCA
from tests.conftest import MakeDirectory
from tests.peers.process import wait_until

LONG_S = 20.0
ROOM_BYTES = 300_000

Pair = tuple[Transport, socket.socket]


@pytest.fixture(scope="module")
def ca(make_directory: MakeDirectory) -> TestCA:
    return TestCA(make_directory("ca"))


def sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    theirs.settimeout(LONG_S)
    return ours, theirs


def in_the_clear(ca: TestCA) -> Pair:
    ours, theirs = sockets()
    return PlainTransport(ours), theirs


def called(ca: TestCA, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Pair:
    """Return TLS whose peer has called us."""
    ours, theirs = sockets()
    own, client = ca.issue("OWN"), ca.issue("CLIENT")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode, context.maximum_version = False, ssl.CERT_NONE, version
    context.load_cert_chain(client.certificate, client.key)
    secured: list[socket.socket] = []
    thread = threading.Thread(target=lambda: secured.append(context.wrap_socket(theirs)))
    thread.start()
    transport = TLSTransport(ours, server_context(TLSOptions(own.certificate, own.key)))
    while transport.presented is None:
        try:
            transport.shake_hands()
        except BlockingIOError as blocked:
            poller = select.poll()
            poller.register(ours, event_of(blocked, select.POLLIN))
            assert poller.poll(LONG_S * 1000)
    thread.join(LONG_S)
    assert transport.presented.certificate.fingerprint == client.fingerprint
    assert transport.version == ("TLSv1.3" if version is ssl.TLSVersion.TLSv1_3 else "TLSv1.2")
    return transport, secured[0]


def called_with_tls_1_2(ca: TestCA) -> Pair:
    return called(ca, ssl.TLSVersion.TLSv1_2)


def calling(ca: TestCA) -> Pair:
    """Return TLS whose peer we have called; it sends session tickets, which are no data."""
    ours, theirs = sockets()
    own, server = ca.issue("OWN"), ca.issue("SERVER")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca.certificate)
    context.load_cert_chain(server.certificate, server.key)
    secured: list[socket.socket] = []
    thread = threading.Thread(target=lambda: secured.append(context.wrap_socket(theirs, server_side=True)))
    thread.start()
    security = Security("required", frozenset({server.fingerprint}), certificate=own.certificate, key=own.key)
    transport = call(ours, security, "127.0.0.1", time.monotonic() + LONG_S)
    thread.join(LONG_S)
    return transport, secured[0]


@pytest.fixture(params=[in_the_clear, called, called_with_tls_1_2, calling], ids=lambda make: make.__name__)
def pair(request: pytest.FixtureRequest, ca: TestCA) -> Iterator[Pair]:
    transport, peer = request.param(ca)
    with transport.socket, peer:
        yield transport, peer


def arrived(transport: Transport) -> None:
    """Wait until the socket can be read."""
    poller = select.poll()
    poller.register(transport.socket, select.POLLIN)
    assert transport.has_pending or poller.poll(LONG_S * 1000)


def received(transport: Transport, count: int, room_bytes: int = ROOM_BYTES) -> bytes:
    """Receive so many bytes, or up to the end."""
    got, room = bytearray(), memoryview(bytearray(room_bytes))
    while len(got) < count:
        try:
            number = transport.receive_into(room[: min(room_bytes, count - len(got))])
        except BlockingIOError:
            arrived(transport)
            continue
        if not number:
            break
        got += room[:number]
    return bytes(got)


def send_from_thread(peer: socket.socket, content: bytes) -> threading.Thread:
    thread = threading.Thread(target=peer.sendall, args=(content,))
    thread.start()
    return thread


def test_nothing_is_here(pair: Pair) -> None:
    transport, _ = pair
    for attempt in (lambda: transport.receive_into(memoryview(bytearray(9))), transport.peek):
        with pytest.raises(BlockingIOError):
            attempt()
    assert not transport.has_pending


@pytest.mark.parametrize("room_bytes", [1, 1000, RECORD_BYTES, ROOM_BYTES])
def test_bytes_come_whole_into_any_room(pair: Pair, room_bytes: int) -> None:
    transport, peer = pair
    content = bytes(range(256)) * (200 if room_bytes < 1000 else 2000)
    thread = send_from_thread(peer, content)
    assert received(transport, len(content), room_bytes) == content
    thread.join(LONG_S)


def test_the_rest_of_a_record_is_pending(pair: Pair) -> None:
    """Or is in the socket: in either way it is not waited for in vain."""
    transport, peer = pair
    peer.sendall(b"12345678")
    assert received(transport, 3) == b"123"
    arrived(transport)
    assert transport.peek() == b"4"
    assert received(transport, 5) == b"45678"


@pytest.mark.parametrize("sizes", [[1], [12, 131_060, 12, 131_060], [0, 5, 0], [16_384] * 20, [7] * 3000, [300_000]])
def test_pieces_go_out_in_their_order(pair: Pair, sizes: list[int]) -> None:
    transport, peer = pair
    pieces = [memoryview(bytes([number % 251]) * size) for number, size in enumerate(sizes)]
    connection = Connection(transport, 64, LONG_S)
    content = b"".join(pieces)
    got = bytearray()

    def read() -> None:
        while len(got) < len(content):
            got.extend(peer.recv(65_536))

    reader = threading.Thread(target=read)
    reader.start()
    connection.write(pieces)
    reader.join(LONG_S)
    assert bytes(got) == content


@pytest.mark.parametrize("size", [10, 5000, 16_384, 40_000, 300_000])
def test_a_peer_that_reads_slowly_gets_every_byte_once(pair: Pair, size: int) -> None:
    """What was taken in parts, and is offered again, goes out in its order."""
    transport, peer = pair
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    count = max(600_000 // size, 2)
    pieces = [memoryview((number % 65_536).to_bytes(2) * (size // 2)) for number in range(count)]
    content = b"".join(pieces)
    got = bytearray()

    def read() -> None:
        while len(got) < len(content):
            got.extend(peer.recv(3000))

    reader = threading.Thread(target=read)
    reader.start()
    Connection(transport, 64, LONG_S).write(pieces)
    reader.join(LONG_S)
    assert bytes(got) == content


def test_a_peer_that_does_not_read(pair: Pair) -> None:
    transport, peer = pair
    connection = Connection(transport, 64, 0.2)
    with pytest.raises(DeadlineMissed):
        while True:
            connection.write([memoryview(bytes(100_000))])


def test_the_end(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"last")
    peer.shutdown(socket.SHUT_WR)  # a close would be a reset while it has not read the session tickets of TLS 1.3
    assert received(transport, 100) == b"last"
    assert transport.peek() == b""
    connection = Connection(transport, 64, LONG_S)
    assert connection.has_ended and connection.drop() and connection.readable()


def test_interrupted_from_another_thread(pair: Pair) -> None:
    """The reader finds the end; what is to be said then can still be sent: the A-ABORT."""
    transport, peer = pair
    connection = Connection(transport, 64, LONG_S)
    found: list[str] = []

    def read() -> None:
        try:
            connection.read_pdu(100, time.monotonic() + LONG_S, LONG_S)
        except ConnectionEnded:
            found.append("end")

    reader = threading.Thread(target=read)
    reader.start()
    connection.interrupt()
    reader.join(LONG_S)
    connection.write([memoryview(b"bye")])
    assert (found, peer.recv(10)) == (["end"], b"bye")


def test_readable_is_about_bytes_and_the_end(pair: Pair) -> None:
    """What is only TLS's own is neither: an association on which it comes is not ended."""
    transport, peer = pair
    connection = Connection(transport, 64, LONG_S)
    assert not connection.readable() and not connection.has_ended
    peer.sendall(b"x")
    wait_until(connection.readable, what="a byte")
    assert connection.read_pdu.__name__ == "read_pdu" and not connection.has_ended
    assert not connection.drop()
    peer.close()
    wait_until(connection.readable, what="the end")


def test_closing_twice_and_behind_the_peer(pair: Pair) -> None:
    transport, peer = pair
    connection = Connection(transport, 64, LONG_S)
    peer.close()
    connection.close()
    connection.close()
    assert connection.socket is None and connection.drop()


def test_a_close_is_told_to_the_peer(pair: Pair) -> None:
    transport, peer = pair
    transport.close()
    assert peer.recv(1) == b""


@pytest.mark.parametrize(
    ("blocked", "event"),
    [(BlockingIOError(), select.POLLIN), (WantsToWrite(), select.POLLOUT), (WantsToRead(), select.POLLIN)],
)
def test_what_is_waited_for(blocked: BlockingIOError, event: int) -> None:
    assert event_of(blocked, select.POLLIN) == event


@pytest.mark.parametrize("make", [called, called_with_tls_1_2, calling], ids=lambda make: make.__name__)
def test_damaged_bytes_end_the_connection(ca: TestCA, make: Callable[[TestCA], Pair]) -> None:
    transport, peer = make(ca)
    with transport.socket, peer, socket.socket(fileno=peer.detach()) as plain:
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        arrived(transport)
        with pytest.raises(OSError):
            while True:
                arrived(transport)
                assert transport.receive_into(memoryview(bytearray(9)))
