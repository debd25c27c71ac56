"""Connections that begin a TLS handshake and do not end it: pending as all others, and nobody waits for them."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.attacks import raw
from tests.conftest import MakeDirectory
from tests.peers.process import wait_until
from tests.tls.secure import SecureNode
from tests.tls.test_refusals import connect

COUNT = 150
WAITING_MAX = 500
ACSE_TIMEOUT_S = 3
ECHO_WITHIN_S = 5.0
"""Generous: the machine may be busy. The number is that of `scripts/bench_tls handshakes`."""


@pytest.fixture(scope="module")
def limited(make_directory: MakeDirectory) -> Iterator[SecureNode]:
    """Give a node that waits for a request for 3 s."""
    options = {"limits.waiting_max": WAITING_MAX, "limits.acse_timeout_s": ACSE_TIMEOUT_S, "node.processes": 1}
    running = SecureNode(make_directory("limited"), **options)
    try:
        running.node.start()
        yield running
    finally:
        print(running.node.output[-4000:])
        running.node.kill()


def client_hello() -> bytes:
    """Return the first bytes of a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def silent(sock: socket.socket) -> None:
    """Say nothing."""


def half(sock: socket.socket) -> None:
    """Say hello, and no more."""
    sock.sendall(client_hello())


def torn(sock: socket.socket) -> None:
    """Begin to say hello."""
    sock.sendall(client_hello()[:50])


@pytest.mark.parametrize("begin", [silent, half, torn], ids=lambda begin: begin.__name__)
def test_others_do_not_wait_and_they_end_at_the_deadline(limited: SecureNode, begin: Callable) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(raw.connect(limited.tls)) for _ in range(COUNT)]
        for sock in connections:
            begin(sock)
        began_at = time.monotonic()
        with connect(limited.tls, limited.client) as sock:
            sock.sendall(raw.associate_request(limited.tls, "ECHOSCU"))
            assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_AC
        assert time.monotonic() - began_at < ECHO_WITHIN_S
        for sock in connections:
            raw.receive_until_closed(sock)
        assert time.monotonic() - began_at < ACSE_TIMEOUT_S + ECHO_WITHIN_S


def test_what_is_no_handshake_ends_at_once(limited: SecureNode) -> None:
    for garbage in (b"\x16\x03\x01\xff\xff" + bytes(300), b"\x16\x03\x03\x00\x04\x01\xff\xff\xff", b"\x16" * 64):
        sock = raw.connect(limited.tls)
        sock.sendall(garbage)
        raw.receive_until_closed(sock)
    wait_until(lambda: limited.node.output.count("no TLS ") >= 1, what="the log line")


def test_old_versions_and_weak_suites_end_at_once(limited: SecureNode) -> None:
    weak = "AES256-GCM-SHA384:ECDHE-RSA-AES256-SHA384:DHE-RSA-AES256-GCM-SHA384"
    for highest, suites in ((ssl.TLSVersion.TLSv1_1, "ALL"), (ssl.TLSVersion.TLSv1_2, weak)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(limited.client.certificate, limited.client.key)
        context.set_ciphers(f"{suites}:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):  # that it is old is why it is tried
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, highest
        with pytest.raises(OSError), raw.connect(limited.tls) as sock:
            context.wrap_socket(sock)


def test_a_node_that_stops_does_not_wait_for_handshakes(make_directory: MakeDirectory) -> None:
    running = SecureNode(make_directory("stopping"))
    running.node.start()
    with raw.connect(running.tls) as sock, raw.connect(running.tls) as other:
        half(sock)
        assert sock.recv(1)
        assert running.node.stop() == 0
        with pytest.raises(ConnectionError):
            while other.recv(1):
                pass
            raise ConnectionError
