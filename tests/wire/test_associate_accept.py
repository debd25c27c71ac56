"""The answer of a peer is understood whatever stands in it beside what was asked for."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC

from medserver.dicom import uids
from medserver.errors import AssociationRejected, NoContextAccepted
from medserver.scu import verification
from medserver.wire.associate_accept import encode_associate_accept, recognised
from medserver.wire.associate_request import AssociationRequest, items
from medserver.wire.limits import WireLimits
from medserver.wire.negotiation import Acceptance, ContextAnswer
from medserver.wire.requestor import Address, Proposal, associate

LIMITS = WireLimits(acse_timeout_s=5.0, network_timeout_s=5.0, dimse_timeout_s=5.0)
SYNTAX = uids.IMPLICIT_VR_LITTLE_ENDIAN.encode()
RELEASE_RESPONSE = struct.pack(">BBIxxxx", 6, 0, 4)


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def context(number: int, result: int = 0, sub_items: bytes = item(0x40, SYNTAX)) -> bytes:
    return item(0x21, bytes([number, 0, result, 0]) + sub_items)


def accept(contexts: bytes = context(1), user_items: bytes = b"", more_items: bytes = b"", version: int = 1) -> bytes:
    user = item(0x51, struct.pack(">I", 16_384)) + item(0x52, b"1.2.3.4") + user_items
    body = struct.pack(">HH", version, 0) + b"\xff" * 64 + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts
    body += more_items + item(0x50, user)
    return struct.pack(">BBI", 2, 0, len(body)) + body


PLAIN = accept()
ANSWERS = {
    "nothing special": PLAIN,
    "an unrecognised sub-item": accept(user_items=item(0x5F, b"new")),
    "an unrecognised item": accept(more_items=item(0x99, b"new")),
    "an unrecognised sub-item of a context": accept(context(1, sub_items=item(0x41, b"x") + item(0x40, SYNTAX))),
    "a version name of 20 characters": accept(user_items=item(0x55, b"ARCHIVE_VERSION_10.1")),
    "a version name that is padded": accept(user_items=item(0x55, b"ARCHIVE_1".ljust(20))),
    "a version name with NULs": accept(user_items=item(0x55, b"ARCHIVE_1".ljust(16, b"\0"))),
    "a version name that is no text": accept(user_items=item(0x55, b"\xff\x1b[2J\\")),
    "an empty version name": accept(user_items=item(0x55, b"")),
    "an Implementation Class UID that is none": accept(user_items=item(0x52, b"\xff" * 100)),
    "another protocol version beside ours": accept(version=0xFFFF),
    "a user identity of the server": accept(user_items=item(0x59, b"\0\0")),
}


@contextmanager
def answering(answer: bytes) -> Iterator[Address]:
    """Answer one association request with these bytes, and then its release."""

    def serve() -> None:
        with listener.accept()[0] as sock, sock.makefile("rb") as received:
            kind = None
            while kind != 5 and (header := received.read(6)):
                kind, length = struct.unpack(">BxI", header)
                received.read(length)
                sock.sendall({1: answer, 5: RELEASE_RESPONSE}.get(kind, b""))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address("PEER", "127.0.0.1", listener.getsockname()[1])
        finally:
            thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_with_more_than_was_asked_for(answer):
    """PS3.8 9.3.1: unrecognised items are skipped; what only informs may have any form."""
    with answering(answer) as address:
        association = associate(address, [verification.PROPOSAL], "REQUESTOR", LIMITS)
        [accepted] = association.contexts.values()
        assert accepted.transfer_syntax_uid == uids.IMPLICIT_VR_LITTLE_ENDIAN
        assert association.pdu_length_to_peer == 16_384
        association.release()
    assert association.is_released


@pytest.mark.parametrize(
    "sub_items", [b"", item(0x40, b""), item(0x40, b"\xff" * 70), item(0x40, SYNTAX) * 2, b"\x40"],
    ids=["none", "empty", "no UID", "two", "cut off"],
)  # fmt: skip
def test_the_transfer_syntax_of_a_refused_context_is_not_tested(sub_items):
    """PS3.8 9.3.3.2."""
    with answering(accept(context(1, 3, sub_items) + context(3))) as address:
        proposals = [Proposal("1.2.3", (uids.IMPLICIT_VR_LITTLE_ENDIAN,)), verification.PROPOSAL]
        association = associate(address, proposals, "REQUESTOR", LIMITS)
        assert list(association.contexts) == [3]
        association.release()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ((1, 1, 3), (1, 1, 3)),
        ((2, 3, 2), (2, 3, 2)),
        ((1, 1, 9), (1, 1, 1)),
        ((2, 3, 0), (2, 1, 1)),
        ((3, 9, 9), (1, 1, 1)),
        ((0, 0, 0), (1, 1, 1)),
    ],
)
def test_a_rejection_with_reserved_values_is_a_rejection(sent, told):
    """PS3.8 9.3.4; it was taken for an abort."""
    with (
        answering(struct.pack(">BBIx", 3, 0, 4) + bytes(sent)) as address,
        pytest.raises(AssociationRejected) as rejection,
    ):
        associate(address, [verification.PROPOSAL], "REQUESTOR", LIMITS)
    assert (rejection.value.result, rejection.value.source, rejection.value.reason) == told


def test_only_refused_contexts():
    with answering(accept(context(1, 3, b""))) as address, pytest.raises(NoContextAccepted):
        associate(address, [verification.PROPOSAL], "REQUESTOR", LIMITS)


def test_pynetdicom_reads_our_answer():
    request = AssociationRequest(title_fields=b"ACCEPTOR".ljust(16) + b"REQUESTOR\0x".ljust(16))
    contexts = (
        ContextAnswer(1, "1.2.3", 0, uids.EXPLICIT_VR_LITTLE_ENDIAN, False, True),
        ContextAnswer(255, "1.2.4", 4, uids.IMPLICIT_VR_LITTLE_ENDIAN),
    )
    acceptance = Acceptance(None, contexts, {"1.2.3": (False, True)}, {"1.2.3": b"\1\0", "1.2": b""})
    encoded = encode_associate_accept(request, acceptance, 131_072)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(encoded)
    assert len(pdu) == len(encoded)
    assert encoded[10:42] == request.title_fields
    assert pdu.protocol_version == 1
    assert pdu.application_context_name == "1.2.840.10008.3.1.1.1"
    primitive = pdu.to_primitive()
    assert [
        (each.context_id, each.result, each.transfer_syntax)
        for each in primitive.presentation_context_definition_results_list
    ] == [(1, 0, [uids.EXPLICIT_VR_LITTLE_ENDIAN]), (255, 4, [uids.IMPLICIT_VR_LITTLE_ENDIAN])]
    length, class_uid, role, version, extended, _ = primitive.user_information
    assert length.maximum_length_received == 131_072
    assert class_uid.implementation_class_uid == uids.IMPLEMENTATION_CLASS_UID
    assert version.implementation_version_name == uids.IMPLEMENTATION_VERSION_NAME
    assert (role.sop_class_uid, role.scu_role, role.scp_role) == ("1.2.3", False, True)
    assert (extended.sop_class_uid, extended.service_class_application_information) == ("1.2.3", b"\1\0")


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        (b"ARCHIVE_VERSION_10.1", b"ARCHIVE_VERSION_"),
        (b"ARCHIVE_1".ljust(20), b"ARCHIVE_1"),
        (b"ARCHIVE\x1b[1m\\2", b"ARCHIVE[1m2"),
        (b"ARCHIVE\0left over", b"ARCHIVE"),
    ],
)
def test_version_names(sent, understood):
    pdu = recognised(accept(user_items=item(0x55, sent)))
    [user_information] = [value for kind, value in items(pdu, 74) if kind == 0x50]
    assert [value for kind, value in items(user_information) if kind == 0x55] == [understood]


def test_what_is_recognised_stays():
    role, extended = item(0x54, b"\0\x031.2\0\1"), item(0x56, b"\0\x031.2\1\0")
    pdu = A_ASSOCIATE_AC()
    pdu.decode(recognised(accept(context(1) + context(3, 4, b""), role + extended + item(0x55, b"PEER"))))
    primitive = pdu.to_primitive()
    assert [each.result for each in primitive.presentation_context_definition_results_list] == [0, 4]
    kinds = [type(each).__name__ for each in primitive.user_information]
    assert kinds == [
        "MaximumLengthNotification",
        "ImplementationClassUIDNotification",
        "SCP_SCU_RoleSelectionNegotiation",
        "SOPClassExtendedNegotiation",
        "ImplementationVersionNameNotification",
    ]


def test_an_answer_that_ends_early_is_refused():
    """Where it ends between two items it is shorter, and whole."""
    for cut in range(75, len(PLAIN)):
        try:
            shortened = recognised(PLAIN[:cut])
        except (ValueError, IndexError, struct.error):
            continue
        assert len(shortened) < len(PLAIN)
        assert 0x50 not in [kind for kind, _ in items(PLAIN[:cut], 74)]
