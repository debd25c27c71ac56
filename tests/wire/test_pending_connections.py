"""Connections that wait for their request: what they cost, and when they have waited long enough."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from medserver.wire.acceptor import bind, listen
from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.connection import ConnectionEnded
from medserver.wire.entrance import Entrance
from medserver.wire.pending_connections import PendingConnection, PendingConnections
from medserver.wire.watcher import Watcher
from tests.peers.process import wait_until

REQUEST = b"\x01\0\0\0\0\x0a" + b"0123456789"


class Reception:
    """Takes over whoever has sent his request."""

    def __init__(self) -> None:
        self.admission = Admission(AdmissionLimits(waiting_max=3))
        self.arrived: list[bytes] = []
        self.changed = threading.Semaphore(0)

    def begin(self, connection: PendingConnection) -> None:
        self.arrived.append(bytes(connection.received))
        self.admission.remove(connection)
        connection.sock.close()
        self.changed.release()


@contextmanager
def opened(reception: Reception, timeout_s: float) -> Iterator[tuple[str, int]]:
    listener = bind("127.0.0.1", 0)
    listen(listener)
    watcher = Watcher()
    PendingConnections([Entrance(listener)], watcher, reception.admission, timeout_s, reception.begin).accept()
    watcher.start()
    try:
        yield listener.getsockname()
    finally:
        watcher.close()
        listener.close()
        assert reception.admission.counts == (0, 0)


@pytest.fixture
def reception() -> Reception:
    return Reception()


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=5.0)


def test_a_request_that_comes_byte_by_byte_arrives_whole(reception):
    with opened(reception, 5.0) as address, connect(address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(len(REQUEST)):
            assert reception.arrived == []
            sock.sendall(REQUEST[start : start + 1])
        assert reception.changed.acquire(timeout=5)
    assert reception.arrived == [REQUEST]


def test_what_follows_the_request_is_left_in_the_socket(reception):
    with opened(reception, 5.0) as address, connect(address) as sock:
        sock.sendall(REQUEST + b"more")
        assert reception.changed.acquire(timeout=5)
    assert reception.arrived == [REQUEST]


@pytest.mark.parametrize("header", [b"\x01\0\xff\xff\xff\xff", b"\x04\0\0\0\0\x0a", b"GET / "])
def test_what_will_never_be_a_request_is_not_waited_for(reception, header):
    with opened(reception, 5.0) as address, connect(address) as sock:
        sock.sendall(header)
        assert reception.changed.acquire(timeout=5)
    assert reception.arrived == [header]


def test_nobody_waits_longer_than_the_timeout_and_nobody_has_a_thread(reception):
    threads = threading.active_count()
    with opened(reception, 0.5) as address, connect(address) as silent, connect(address) as slow:
        slow.sendall(REQUEST[:3])
        wait_until(lambda: reception.admission.counts == (2, 0), what="both pending")
        assert threading.active_count() == threads + 1
        assert silent.recv(1) == slow.recv(1) == b""
        assert reception.admission.counts == (0, 0)


def test_the_oldest_makes_room(reception):
    with opened(reception, 5.0) as address:
        sockets = [connect(address) for _ in range(5)]
        assert [sock.recv(1) for sock in sockets[:2]] == [b"", b""]
        sockets[4].sendall(REQUEST)
        assert reception.changed.acquire(timeout=5)
        for sock in sockets:
            sock.close()
    assert reception.arrived == [REQUEST]


def test_closing_sends_everybody_away(reception):
    with opened(reception, 5.0) as address:
        sock = connect(address)
        wait_until(lambda: reception.admission.counts == (1, 0), what="one pending")
    assert sock.recv(1) == b""
    sock.close()


def test_who_leaves_is_forgotten(reception):
    with opened(reception, 5.0) as address:
        sock = connect(address)
        sock.sendall(REQUEST[:7])
        wait_until(lambda: reception.admission.counts == (1, 0), what="one pending")
        sock.close()
        wait_until(lambda: reception.admission.counts == (0, 0), what="none pending")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_is_noticed():
    """The process that serves nobody any more must know it."""
    listener = bind("127.0.0.1", 0)
    listen(listener)
    admission = Admission(AdmissionLimits())
    watcher = Watcher()
    begin = lambda: None  # noqa: E731 - takes no connection
    PendingConnections([Entrance(listener)], watcher, admission, 5.0, begin).accept()
    assert not watcher.alive
    watcher.start()
    assert watcher.alive
    with connect(listener.getsockname()) as sock:
        sock.sendall(REQUEST)
        wait_until(lambda: not watcher.alive, what="the end of the watcher")
    watcher.close()
    listener.close()


def test_nothing_is_computed_for_who_has_made_room():
    """A handshake costs milliseconds: thousands that were ended meanwhile must not wait for theirs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = connect(listener.getsockname())
        ours, address = listener.accept()

        def context() -> None:
            raise AssertionError("a handshake was begun")

        with ours, theirs:
            connection = PendingConnection(ours, address, 0.0, Entrance(listener, context))
            theirs.sendall(b"\x16\x03\x01\x00\x05hello")
            connection.interrupt()
            with pytest.raises(ConnectionEnded):
                connection.receive()
