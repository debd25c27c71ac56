"""PDUs that announce more than they have, or more than anybody may send."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.attacks import raw
from tests.attacks.siege import Siege
from tests.attacks.test_silence import wait_until_closed
from tests.peers import Address

KIB, MIB, GIB = 1024, 1024**2, 1024**3

LENGTHS = (64 * KIB, 128 * KIB + 1, 256 * KIB + 1, MIB, 16 * MIB, 256 * MIB, GIB, 2 * GIB, 4 * GIB - 1)
EACH = 5
BODY = bytes(MIB)
"""What some send of the body that they announced."""


def _announce(sock: socket.socket, pdu_type: int, length: int, body: bytes) -> None:
    sock.settimeout(5.0)
    raw.send_while_open(sock, [raw.pdu(pdu_type, b"", length), body])


def test_lengths_before_establishment(siege: Siege) -> None:
    def attack() -> None:
        with ExitStack() as stack:
            connections = []
            for length in LENGTHS:
                for body in [b""] * EACH + [BODY]:
                    sock = stack.enter_context(raw.connect(siege.node.address))
                    # A body of no more than was announced: what comes behind it would be another PDU.
                    _announce(sock, raw.ASSOCIATE_RQ, length, body[:length])
                    connections.append(sock)
            wait_until_closed(connections)

    siege.withstands(attack)


def test_lengths_after_establishment(siege: Siege) -> None:
    def attack() -> None:
        with ExitStack() as stack:
            connections = []
            for length in LENGTHS:
                for body in [b""] * EACH + [BODY]:
                    sock = stack.enter_context(_associate(siege.node.address))
                    _announce(sock, raw.P_DATA, length, body[:length])
                    connections.append(sock)
            wait_until_closed(connections)

    siege.withstands(attack)


def _associate(address: Address) -> socket.socket:
    return raw.associate(address, "STORESCU", (raw.CT_STORAGE,))


def test_what_is_too_long_is_refused_at_its_header(siege: Siege) -> None:
    """Nothing of it is waited for: the A-ABORT comes at once."""
    refused = [(raw.connect, raw.ASSOCIATE_RQ, length) for length in LENGTHS[2:]]
    refused += [(_associate, raw.P_DATA, length) for length in LENGTHS[1:]]
    for connect, pdu_type, length in refused:
        with connect(siege.node.address) as sock:
            sock.sendall(raw.pdu(pdu_type, b"", length))
            assert raw.receive_pdu(sock)[0] == raw.ABORT
