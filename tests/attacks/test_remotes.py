"""Remote AEs that the node calls, and that do not behave: here as the destinations of a C-MOVE."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from tests.attacks import exchange, hostile, raw
from tests.attacks.acceptor import RELEASE_RESPONSE, Acceptor, Conversation, accept, answer_stores, wait_for_abort
from tests.attacks.siege import Siege
from tests.services import corpus

NODE_OPTIONS = {"limits.dimse_timeout_s": 3}

CONTEXT, TRANSFER_SYNTAX, MAXIMUM_LENGTH = 0x21, 0x40, 0x51
FLOOD_S = 1.0

Move = Callable[[], int]


@pytest.fixture(scope="module")
def remote(siege: Siege) -> Iterator[Acceptor]:
    """Give a destination of which the tests say what it does."""
    acceptor = Acceptor("DESTINATION", lambda sock, request: None)
    siege.node.add_remote(acceptor.address, allow=())
    yield acceptor
    acceptor.close()


@pytest.fixture(scope="module")
def move(siege: Siege, remote: Acceptor) -> Move:
    """Give a function that has an instance sent to the destination, and returns the last status."""
    whole = corpus.make_object()
    assert exchange.store(siege.node.address, whole.encoded, whole.sop_instance_uid) == 0
    study = whole.dataset.StudyInstanceUID.encode()
    identifier = hostile.query("STUDY", hostile.element(hostile.STUDY_INSTANCE_UID, "UI", study))

    def move() -> int:
        with exchange.moving(siege.node.address) as request:
            return request("DESTINATION", identifier)

    remote.converse = answering(lambda request: b"")
    assert move() == 0xA702
    remote.converse = ending(RELEASE_RESPONSE)
    assert move() == 0  # the end of the pause is the first message to workers, which starts a thread that stays
    return move


# -- instead of an answer to the A-ASSOCIATE request ----------------------------------------------------------------


def changed(request: bytes, item_type: int, offset: int, value: bytes) -> bytes:
    """Return an A-ASSOCIATE-AC in which the first item of a type has other bytes behind its header."""
    answer = bytearray(accept(request))
    start = bytes(answer).index(bytes([item_type, 0]), 74) + 4 + offset
    answer[start : start + len(value)] = value
    return bytes(answer)


def without_transfer_syntax(request: bytes) -> bytes:
    context = struct.pack(">BBHBBBB", CONTEXT, 0, 4, 1, 0, 0, 0)
    return raw.pdu(raw.ASSOCIATE_AC, request[:68] + context)


ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "accepted, empty": lambda request: raw.pdu(raw.ASSOCIATE_AC, b""),
    "accepted, no items": lambda request: raw.pdu(raw.ASSOCIATE_AC, request[:68]),
    "accepted, context 0": lambda request: changed(request, CONTEXT, 0, b"\0"),
    "accepted, context 2": lambda request: changed(request, CONTEXT, 0, b"\2"),
    "accepted, context 99": lambda request: changed(request, CONTEXT, 0, b"\x63"),
    "accepted, result 255": lambda request: changed(request, CONTEXT, 2, b"\xff"),
    "accepted, no transfer syntax": without_transfer_syntax,
    "accepted, other transfer syntax": lambda request: changed(request, TRANSFER_SYNTAX, 0, b"9.9"),
    "accepted, no text": lambda request: changed(request, TRANSFER_SYNTAX, 0, b"\xff\xfe\0"),
    "accepted, PDUs of 1 byte": lambda request: changed(request, MAXIMUM_LENGTH, 0, struct.pack(">I", 1)),
    "accepted, PDUs of 7 bytes": lambda request: changed(request, MAXIMUM_LENGTH, 0, struct.pack(">I", 7)),
    "accepted, cut off": lambda request: raw.pdu(raw.ASSOCIATE_AC, accept(request)[6:-3]),
    "rejected, empty": lambda request: raw.pdu(raw.ASSOCIATE_RJ, b""),
    "rejected, zeros": lambda request: raw.pdu(raw.ASSOCIATE_RJ, bytes(4)),
    "rejected, no such result": lambda request: raw.pdu(raw.ASSOCIATE_RJ, b"\0\x09\x01\x01"),
    "rejected, no such reason": lambda request: raw.pdu(raw.ASSOCIATE_RJ, b"\0\x01\x03\x63"),
    "aborted": lambda request: raw.pdu(raw.ABORT, bytes(4)),
    "aborted, reserved reason": lambda request: raw.pdu(raw.ABORT, b"\0\0\x02\x03"),
    "aborted, no such source": lambda request: raw.pdu(raw.ABORT, b"\0\0\xff\xff"),
    "aborted, empty": lambda request: raw.pdu(raw.ABORT, b""),
    "a request": lambda request: raw.pdu(raw.ASSOCIATE_RQ, request),
    "data": lambda request: raw.echo_request(),
    "a release": lambda request: raw.RELEASE_REQUEST,
    "a release response": lambda request: RELEASE_RESPONSE,
    "no PDU": lambda request: raw.pdu(0x99, b"abc"),
    "a PDU of 4 GB": lambda request: raw.pdu(raw.ASSOCIATE_AC, b"", 2**32 - 1),
    "nothing": lambda request: b"",
}


def answering(make: Callable[[bytes], bytes]) -> Conversation:
    """Return a conversation that begins and ends with an answer to the request."""

    def converse(sock: socket.socket, request: bytes) -> None:
        answer = make(request)
        sock.sendall(answer)
        if answer:
            raw.receive_pdu(sock)  # an abort, or an instance if it may seem that it is wanted

    return converse


def test_answers_to_a_request(siege: Siege, remote: Acceptor, move: Move) -> None:
    """The C-MOVE fails, for the destination could not be used, and the connection is closed."""

    def attack() -> None:
        for what, make in ANSWERS.items():
            remote.converse = answering(make)
            assert move() == 0xA702, what

    siege.withstands(attack)


# -- in the midst of an operation ----------------------------------------------------------------------------------


def response(**elements: object) -> bytes:
    """Encode a C-STORE response."""
    return raw.message(1, {"CommandField": 0x8001, "MessageIDBeingRespondedTo": 1, "Status": 0} | elements)


INSTEAD_OF_RESPONSES: dict[str, bytes] = {
    "other Message IDs": b"".join(response(MessageIDBeingRespondedTo=60_000 + n) for n in range(1000)),
    "another operation": response(CommandField=0x8020),
    "a request": raw.echo_request(),
    "an endless command set": raw.fragment(1, bytes(1000), command=True) * 100,
    "a command set of nonsense": raw.fragment(1, b"\xff" * 100, command=True, last=True),
    "another context": raw.fragment(99, b"", command=True, last=True),
    "data before a command": raw.fragment(1, bytes(100), last=True),
    "no presentation data values": raw.pdu(raw.P_DATA, b""),
    "a value that is too long": raw.pdu(raw.P_DATA, struct.pack(">IBB", 2**32 - 1, 1, 3)),
    "an A-ASSOCIATE-AC": raw.pdu(raw.ASSOCIATE_AC, bytes(68)),
    "a release": raw.RELEASE_REQUEST,
    "an abort for a reserved reason": raw.pdu(raw.ABORT, b"\0\0\x02\x03"),
    "no PDU": raw.pdu(0x99, b"abc"),
    "a PDU of 4 GB": raw.pdu(raw.P_DATA, b"", 2**32 - 1),
}


def accepting(instead: bytes) -> Conversation:
    """Return a conversation that goes on with this behind the acceptance."""

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request) + instead)
        wait_for_abort(sock)

    return converse


def test_instead_of_a_response(siege: Siege, remote: Acceptor, move: Move) -> None:
    def attack() -> None:
        for what, instead in INSTEAD_OF_RESPONSES.items():
            remote.converse = accepting(instead)
            assert move() == 0xA702, what

    siege.withstands(attack)


# -- after the node has asked for the release -----------------------------------------------------------------------


def ending(*pieces: bytes) -> Conversation:
    """Return a conversation in which all goes well until the node asks for the release."""

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        if answer_stores(sock, 0):
            sock.sendall(b"".join(pieces))
            wait_for_abort(sock)

    return converse


INSTEAD_OF_A_RELEASE: dict[str, tuple[bytes, ...]] = {
    "messages": (raw.echo_request() * 100, RELEASE_RESPONSE),
    "a command set of nonsense": (INSTEAD_OF_RESPONSES["a command set of nonsense"], RELEASE_RESPONSE),
    "data": (raw.fragment(1, bytes(10_000)) * 100, RELEASE_RESPONSE),
    "a lying length": (INSTEAD_OF_RESPONSES["a value that is too long"],),
    "a collision": (raw.RELEASE_REQUEST, RELEASE_RESPONSE),
    "two collisions": (raw.RELEASE_REQUEST * 2,),
    "an A-ASSOCIATE-AC": (raw.pdu(raw.ASSOCIATE_AC, bytes(68)),),
    "an abort for a reserved reason": (raw.pdu(raw.ABORT, b"\0\0\x02\x03"),),
    "no PDU": (raw.pdu(0x99, b"abc"),),
    "nothing": (),
}


def test_instead_of_a_release(siege: Siege, remote: Acceptor, move: Move) -> None:
    """What was sent has been sent: the C-MOVE is a success."""

    def attack() -> None:
        for what, pieces in INSTEAD_OF_A_RELEASE.items():
            remote.converse = ending(*pieces)
            assert move() == 0, what

    siege.withstands(attack)


def test_flood_instead_of_a_release(siege: Siege, remote: Acceptor, move: Move) -> None:
    """Data that nobody waits for is dropped as it comes, not kept until the release."""
    flood = raw.fragment(1, bytes(16_000)) * 16

    def converse(sock: socket.socket, request: bytes) -> None:
        sock.sendall(accept(request))
        if answer_stores(sock, 0):
            ends_at = time.monotonic() + FLOOD_S
            while time.monotonic() < ends_at:
                sock.sendall(flood)
            sock.sendall(RELEASE_RESPONSE)

    def attack() -> None:
        remote.converse = converse
        with exchange.modest(siege.node):
            assert move() == 0

    siege.withstands(attack)
