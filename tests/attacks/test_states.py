"""Every PDU, and every other thing that a peer can do, in every state into which it can bring the node (PS3.8 9.2)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from itertools import product

from tests.attacks import raw
from tests.attacks.acceptor import RELEASE_RESPONSE, accept
from tests.attacks.siege import Siege
from tests.attacks.state_table import A_ABORT, ASSOCIATE_AC, P_DATA_TF, RELEASE_RP, TRANSITIONS
from tests.peers import Address

Bring = Callable[[Address], socket.socket]

ABORT_BY_USER, ABORT_BY_PROVIDER = 0, 2


def pdus(address: Address) -> dict[str, bytes]:
    """Return a PDU for each event that one causes."""
    request = raw.associate_request(address, "STORESCU")
    return {
        "Evt3": accept(request[6:]),
        "Evt4": raw.pdu(raw.ASSOCIATE_RJ, b"\0\1\1\1"),
        "Evt6": request,
        "Evt10": raw.echo_request(),
        "Evt12": raw.RELEASE_REQUEST,
        "Evt13": RELEASE_RESPONSE,
        "Evt16": raw.pdu(raw.ABORT, b"\0\0\2\3"),
        "Evt19": raw.pdu(0x99, b"abc"),
    }


# -- into a state -------------------------------------------------------------------------------------------------


def connected(address: Address) -> socket.socket:
    """Bring the node into Sta2: it waits for a request."""
    return raw.connect(address)


def established(address: Address) -> socket.socket:
    """Bring the node into Sta6: the association is established."""
    return raw.associate(address, "STORESCU")


def rejected(address: Address) -> socket.socket:
    """Bring the node into Sta13, by a request that it rejects."""
    sock = raw.connect(address)
    sock.sendall(raw.associate_request(address, "NOBODY"))
    assert raw.receive_pdu(sock)[0] == raw.ASSOCIATE_RJ
    return sock


def released(address: Address) -> socket.socket:
    """Bring the node into Sta13, by a release."""
    sock = established(address)
    sock.sendall(raw.RELEASE_REQUEST)
    assert raw.receive_pdu(sock)[0] == raw.RELEASE_RP
    return sock


def aborted(address: Address) -> socket.socket:
    """Bring the node into Sta13, by a PDU that it aborts for."""
    sock = established(address)
    sock.sendall(raw.pdu(0x99, b""))
    assert raw.receive_pdu(sock)[0] == raw.ABORT
    return sock


INTO: list[tuple[str, Bring]] = [
    ("Sta2", connected),
    ("Sta6", established),
    ("Sta13", rejected),
    ("Sta13", released),
    ("Sta13", aborted),
]

# What the peer sees of an action: the PDU that it gets first, and the source of an A-ABORT (PS3.8 tables 9-6 to 9-9).
SEEN: dict[str, tuple[int, int | None] | None] = {
    "AE-6": (ASSOCIATE_AC, None),  # AE-7 follows at once
    "AR-2": (RELEASE_RP, None),  # AR-4 follows at once
    "DT-2": (P_DATA_TF, None),  # the response
    "AA-1": (A_ABORT, ABORT_BY_USER),
    "AA-2": None,
    "AA-3": None,
    "AA-6": None,
    "AA-7": None,  # an A-ABORT on an association that exists no more: it is not sent, see `UpperLayer.finish`
    "AA-8": (A_ABORT, ABORT_BY_PROVIDER),
}


def test_every_pdu(siege: Siege) -> None:
    address = siege.node.address

    def attack() -> None:
        for (state, bring), (event, pdu) in product(INTO, pdus(address).items()):
            with bring(address) as sock:
                assert _seen_after(sock, pdu, state) == SEEN[TRANSITIONS[event, state]], (state, event)

    siege.withstands(attack)


def _seen_after(sock: socket.socket, pdu: bytes, state: str) -> tuple[int, int | None] | None:
    """Send a PDU; return the type of the next one, and the source of an A-ABORT, None for the end of the connection."""
    try:
        sock.sendall(pdu)
        if state == "Sta13":
            sock.shutdown(socket.SHUT_WR)  # the node waits for that, for a second
        pdu_type, body = raw.receive_pdu(sock)
    except ConnectionError:
        return None
    return pdu_type, body[2] if pdu_type == raw.ABORT else None


def test_every_pdu_behind_every_other_at_once(siege: Siege) -> None:
    """Two PDUs in one packet: the second comes in a state into which a peer that waits cannot bring the node."""
    address = siege.node.address

    def attack() -> None:
        for (_, bring), first, second in product(INTO, pdus(address).values(), pdus(address).values()):
            with bring(address) as sock:
                sock.sendall(first + second)
                sock.shutdown(socket.SHUT_WR)
                raw.receive_until_closed(sock)

    siege.withstands(attack)


def test_every_pdu_in_part(siege: Siege) -> None:
    """The connection ends, or is reset, within a header or within a body (Evt17)."""
    address = siege.node.address

    def attack() -> None:
        for (_, bring), pdu in product(INTO, pdus(address).values()):
            for length in {1, 5, 6, 7, len(pdu) - 1} & set(range(len(pdu))):
                for end in (socket.socket.close, raw.reset):
                    sock = bring(address)
                    sock.sendall(pdu[:length])
                    end(sock)

    siege.withstands(attack)


def test_bodies_of_nonsense(siege: Siege) -> None:
    """PDUs of each type whose bodies are none (Evt19)."""
    address = siege.node.address
    bodies = [b"", b"\0", b"\xff" * 4, b"\xff" * 100, bytes(1000), struct.pack(">I", 2**32 - 1) * 20]

    def attack() -> None:
        for (state, bring), pdu_type, body in product(INTO, (*range(0x00, 0x09), 0x80, 0xFF), bodies):
            with bring(address) as sock:
                seen = _seen_after(sock, raw.pdu(pdu_type, body), state)
                # A request of no version of the protocol is rejected, whatever follows (PS3.8 9.3.2).
                is_request = (state, pdu_type, len(body)) == ("Sta2", raw.ASSOCIATE_RQ, 1000)
                allowed = {raw.ASSOCIATE_RJ} if is_request else {raw.ABORT, raw.RELEASE_RP}
                assert seen is None or seen[0] in allowed, (state, pdu_type, body[:8])

    siege.withstands(attack)


def test_silence(siege: Siege) -> None:
    """The node gives up, and closes the connection (Evt18, and the network timeout in Sta6)."""

    def attack() -> None:
        silent = [(state, bring(siege.node.address)) for state, bring in INTO]
        for state, sock in silent:
            received = raw.receive_until_closed(sock)
            assert received[:1] == (bytes([raw.ABORT]) if state == "Sta6" else b""), state

    siege.withstands(attack)
