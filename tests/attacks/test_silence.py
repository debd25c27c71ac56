"""Peers that say nothing, or next to nothing, and take their time."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress

import pytest

from tests.attacks import raw
from tests.attacks.siege import Siege
from tests.peers import Address

SILENT = 500
EACH = 12
"""How many connections of each kind; together they are fewer than one AE title may have associations."""

BETWEEN_BYTES_S = 1.0
DEADLINE_S = 15.0


def wait_until_closed(connections: Iterable[socket.socket]) -> None:
    """Read from connections until the node has closed every one."""
    _drip(dict.fromkeys(connections, b""))


def _drip(remaining: dict[socket.socket, bytes]) -> None:
    """Send each connection its bytes, one a second, until the node has closed every connection."""
    poller = select.poll()
    by_descriptor = {sock.fileno(): sock for sock in remaining}
    for descriptor in by_descriptor:
        poller.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + DEADLINE_S
    next_at = time.monotonic()
    while by_descriptor:
        assert time.monotonic() < deadline, f"{len(by_descriptor)} connections are still open"
        if time.monotonic() >= next_at:
            next_at += BETWEEN_BYTES_S
            for sock in by_descriptor.values():
                piece, remaining[sock] = remaining[sock][:1], remaining[sock][1:]
                with suppress(ConnectionError):
                    sock.sendall(piece)
        for descriptor, _ in poller.poll(max(next_at - time.monotonic(), 0) * 1000):
            if _has_ended(by_descriptor[descriptor]):
                poller.unregister(descriptor)
                del by_descriptor[descriptor]


def _has_ended(sock: socket.socket) -> bool:
    try:
        return sock.recv(4096) == b""
    except ConnectionError:
        return True


def test_500_silent_connections(siege: Siege) -> None:
    """They cost each other their places, and nobody else; that they do is logged once a minute."""
    before = siege.node.output.count("silent connections")

    def attack() -> None:
        with ExitStack() as stack:
            wait_until_closed([stack.enter_context(raw.connect(siege.node.address)) for _ in range(SILENT)])

    siege.withstands(attack)
    # Each of the processes has its own log lines; a slow machine may enter the next minute.
    assert 1 <= siege.node.output.count("silent connections") - before <= 4


def _before_establishment(address: Address) -> socket.socket:
    return raw.connect(address)


def _after_establishment(address: Address) -> socket.socket:
    return raw.associate(address, "STORESCU", (raw.CT_STORAGE,))


@pytest.mark.parametrize("connect", [_before_establishment, _after_establishment])
def test_a_byte_half_a_header_and_a_byte_a_second(
    siege: Siege, connect: Callable[[Address], socket.socket]
) -> None:
    """The deadlines hold: a byte now and then does not stretch them."""
    request = raw.associate_request(siege.node.address, "STORESCU")
    fragment = raw.fragment(1, bytes(1000), command=True)
    pdu = request if connect is _before_establishment else fragment

    def attack() -> None:
        with ExitStack() as stack:
            remaining: dict[socket.socket, bytes] = {}
            for at_once, later in [
                (pdu[:1], b""),  # a byte
                (pdu[:3], b""),  # half a header
                (pdu[:6], b""),  # a header
                (b"", pdu),  # a byte a second, from the first on
                (pdu[:6], pdu[6:]),  # a byte a second of the body
            ]:
                for _ in range(EACH):
                    sock = stack.enter_context(connect(siege.node.address))
                    sock.sendall(at_once)
                    remaining[sock] = later
            _drip(remaining)

    siege.withstands(attack)
