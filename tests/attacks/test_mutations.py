"""Whole associations in which some bytes are others than they should be: a few hundred of them, always the same."""

from __future__ import annotations

import random
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from medserver.dicom import uids
from medserver.wire.command_set import CommandField
from tests.attacks import exchange, hostile, raw
from tests.attacks.siege import Siege
from tests.services import corpus

ATTACKERS = 6
MUTATIONS = 300
BYTES = (0, 1, 2, 3, 127, 128, 255)

CONTEXTS = [
    raw.VERIFICATION,
    raw.CT_STORAGE,
    *((uid, (raw.EXPLICIT,)) for uid in (uids.STUDY_ROOT_FIND, uids.STUDY_ROOT_MOVE, uids.STUDY_ROOT_GET)),
]


def recording(siege: Siege) -> list[bytes]:
    """Return what a peer sends that uses every service, piece by piece."""
    one = corpus.make_object()
    identifier = hostile.query(
        "STUDY",
        hostile.element(hostile.PATIENT_NAME, "PN", b"A*"),
        hostile.element(hostile.STUDY_INSTANCE_UID, "UI", b"1.2.3\0"),
        hostile.nested(2),
    )

    def request(context_id: int, operation: CommandField, **more: object) -> bytes:
        sop_class, _ = CONTEXTS[context_id // 2]
        elements = {"AffectedSOPClassUID": sop_class, "CommandField": operation, "MessageID": 1, "Priority": 0}
        return raw.message(context_id, elements | more, identifier)

    return [
        raw.associate_request(siege.node.address, "STORESCU", CONTEXTS),
        raw.echo_request(),
        raw.store_request(one.encoded, one.sop_instance_uid, context_id=3),
        request(5, CommandField.C_FIND),
        request(7, CommandField.C_MOVE, MoveDestination="NOBODY"),
        request(9, CommandField.C_GET),
        raw.message(5, {"CommandField": CommandField.C_CANCEL, "MessageIDBeingRespondedTo": 1}),
        raw.RELEASE_REQUEST,
    ]


def mutated(pieces: list[bytes], number: int) -> bytes:
    """Change some bytes, leave some out or put some in, or bring the pieces into another order."""
    choose = random.Random(number)
    changed = [bytearray(piece) for piece in pieces]
    piece = choose.choice(changed)
    position = choose.randrange(len(piece))
    match choose.randrange(6):
        case 0:
            choose.shuffle(changed)
        case 1:
            del piece[position : position + choose.randint(1, 20)]
        case 2:
            piece[position:position] = choose.randbytes(choose.randint(1, 20))
        case _:
            for _ in range(choose.randint(1, 6)):
                piece[choose.randrange(len(piece))] = choose.choice((*BYTES, choose.randrange(256)))
    return b"".join(changed)


def test_mutated_associations(siege: Siege) -> None:
    pieces = recording(siege)

    def converse(number: int) -> None:
        with raw.connect(siege.node.address) as sock, suppress(ConnectionError):
            sock.sendall(mutated(pieces, number))
            sock.shutdown(socket.SHUT_WR)
            raw.receive_until_closed(sock)

    def attack() -> None:
        with ThreadPoolExecutor(ATTACKERS) as attackers:
            assert len(list(attackers.map(converse, range(MUTATIONS)))) == MUTATIONS

    exchange.start_workers(siege.node)
    with exchange.modest(siege.node):
        siege.withstands(attack)
