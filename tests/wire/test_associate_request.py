"""Our decoder of association requests finds what pynetdicom's finds, and nothing in what is malformed."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from medserver.wire.associate_request import USER_ITEMS_MAX, AssociationRequest, decode_associate_request

UIDS = st.integers(0, 30).map(lambda number: f"1.2.840.{number}")
CONTEXTS = st.lists(st.tuples(UIDS, st.lists(UIDS, min_size=1, max_size=6, unique=True)), min_size=1, max_size=20)
FIXED_BYTES = 74
"""Header and fixed fields of the PDU."""


def role(sop_class_uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, item.scu_role, item.scp_role = sop_class_uid, True, False
    return item


def user_items() -> list:
    length, class_uid, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    length.maximum_length_received = 16_384
    class_uid.implementation_class_uid = "1.2.3"
    version.implementation_version_name = "TEST"
    extended, identity = SOPClassExtendedNegotiation(), UserIdentityNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = "1.2.840.1", b"\1\0"
    identity.user_identity_type, identity.primary_field = 1, b"somebody"
    return [length, class_uid, version, extended, identity, role("1.2.840.1"), role("1.2.840.2")]


def encoded(contexts: list[tuple[str, list[str]]], *more_items: object) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "CALLING", "CALLED"
    proposals = [build_context(*context) for context in contexts]
    for index, context in enumerate(proposals):
        context.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = proposals
    primitive.user_information = [*user_items(), *more_items]
    return A_ASSOCIATE_RQ(primitive).encode()


def decoded(raw: bytes) -> AssociationRequest:
    return decode_associate_request(raw)


@given(CONTEXTS)
def test_the_same_as_pynetdicom(contexts):
    raw = encoded(contexts)
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(raw)
    expected, found = theirs.to_primitive(), decoded(raw)
    assert [(each.context_id, each.abstract_syntax, list(each.transfer_syntaxes)) for each in found.contexts] == [
        (each.context_id, each.abstract_syntax, each.transfer_syntax)
        for each in expected.presentation_context_definition_list
    ]
    for name in ("calling_ae_title", "called_ae_title", "application_context_name"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.maximum_length == 16_384
    assert found.roles == {"1.2.840.1": (True, False), "1.2.840.2": (True, False)}
    assert found.extended == {"1.2.840.1": b"\1\0"}
    assert found.understood
    assert found.title_fields == raw[10:42]


def common(number: int) -> SOPClassCommonExtendedNegotiation:
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid, item.service_class_uid = f"1.2.840.{number}", "1.2.840.2"
    return item


CONTEXT = [("1.2.840.1", ["1.2.840.2"])]


def test_common_extended_negotiation_is_passed_over():
    assert decoded(encoded(CONTEXT, *map(common, range(200)))) == decoded(encoded(CONTEXT))


def test_more_user_items_than_anybody_needs():
    fit = [role(f"1.2.{number}") for number in range(USER_ITEMS_MAX - 4)]  # beside those of `user_items`
    assert len(decoded(encoded(CONTEXT, *fit)).roles) == USER_ITEMS_MAX - 2
    with pytest.raises(ValueError, match="more than"):
        decoded(encoded(CONTEXT, *fit, role("1.2")))


def with_user_item(item_type: int, value: bytes) -> bytes:
    """Return a request with one more item of user information."""
    raw = encoded(CONTEXT)
    start = raw.index(b"\x50\0", FIXED_BYTES)
    item = struct.pack(">BBH", item_type, 0, len(value)) + value
    length = int.from_bytes(raw[start + 2 : start + 4], "big") + len(item)
    body = raw[6 : start + 2] + length.to_bytes(2, "big") + raw[start + 4 :] + item
    return raw[:2] + struct.pack(">I", len(body)) + body


@pytest.mark.parametrize("item_type", [0x52, 0x53, 0x55, 0x57, 0x58, 0x5F, 0xFF])
@pytest.mark.parametrize("value", [b"", b"ARCHIVE_VERSION_10.1", b"\xff\0\\", b"x" * 5000])
def test_what_informs_or_is_unknown_has_any_form(item_type, value):
    """An Implementation Version Name of more than 16 characters above all."""
    assert decoded(with_user_item(item_type, value)) == decoded(encoded(CONTEXT))


@pytest.mark.parametrize(
    ("item_type", "value"),
    [
        (0x51, b"\0\0\1"),
        (0x54, b"\0\x031.2\1"),
        (0x54, b"\0\x091.2\1\1"),
        (0x54, b""),
        (0x56, b"\0\x041.2"),
        (0x56, b"\0\0"),
    ],
)
def test_malformed_user_information(item_type, value):
    with pytest.raises((ValueError, struct.error)):
        decoded(with_user_item(item_type, value))


@pytest.mark.parametrize("version", [0, 1, 2, 3, 5, 0x8000, 0x8001, 0xFFFE, 0xFFFF])
def test_one_bit_of_the_protocol_version_is_looked_at(version):
    """PS3.8 9.3.2; what follows in a request of another version is not taken apart."""
    raw = bytearray(encoded(CONTEXT))
    raw[6:8] = struct.pack(">H", version)
    assert decoded(bytes(raw)).understood is bool(version % 2)
    if version % 2 == 0:
        assert decoded(bytes(raw) + b"\x20").contexts == ()


@pytest.mark.parametrize(
    ("field", "ae_title"),
    [
        (b"MODALITY".ljust(16), "MODALITY"),
        (b"  MODALITY".ljust(16), "MODALITY"),
        (b"MODALITY".ljust(16, b"\0"), "MODALITY"),
        (b"MODALITY\0".ljust(16), "MODALITY"),
        (b" MODALITY \0left ov", "MODALITY"),
        (b"MY MODALITY 12345", "MY MODALITY 1234"),
        (b" " * 16, ""),
        (b"\0" * 16, ""),
        (b"\0MODALITY".ljust(16), ""),
        (b"\xe4\x1b\\".ljust(16), "\xe4\x1b\\"),
    ],
)
@pytest.mark.parametrize("offset", [10, 26])
def test_ae_titles(field, ae_title, offset):
    """Spaces around it are not significant (PS3.8 9.3.2), and a NUL ends it."""
    raw = bytearray(encoded(CONTEXT))
    raw[offset : offset + 16] = field[:16]
    request = decoded(bytes(raw))
    assert (request.called_ae_title if offset == 10 else request.calling_ae_title) == ae_title


def with_context(body: bytes) -> bytes:
    """Return a request with one more item, a presentation context of these bytes."""
    raw = encoded([("1.2.840.1", ["1.2.840.2"])])
    item = struct.pack(">BBH", 0x20, 0, len(body)) + body
    start = raw.index(b"\x20\x00", FIXED_BYTES)
    return raw[:2] + struct.pack(">I", len(raw) - 6 + len(item)) + raw[6:start] + item + raw[start:]


ABSTRACT = b"\x30\0\0\x031.2"
UNRECOGNISED = b"\x99\0\0\x04what"
TRANSFER = b"\x40\0\0\x031.2"


def test_a_syntax_that_is_proposed_again_and_an_unrecognised_item():
    body = b"\3\0\0\0" + ABSTRACT + UNRECOGNISED + TRANSFER * 3
    contexts = decoded(with_context(body)).contexts
    assert [context.context_id for context in contexts] == [3, 1]
    assert contexts[0].transfer_syntaxes == ("1.2",)


def test_unrecognised_items_are_skipped():
    raw = encoded([("1.2.840.1", ["1.2.840.2"])])
    with_them = raw + UNRECOGNISED  # behind the others
    user_information = with_them.index(b"\x50\0", FIXED_BYTES)
    length = int.from_bytes(raw[user_information + 2 : user_information + 4], "big") + len(UNRECOGNISED)
    within = raw[: user_information + 2] + length.to_bytes(2, "big") + raw[user_information + 4 :] + UNRECOGNISED
    for changed in (with_them, within):
        assert decoded(changed) == decoded(raw)
    with pytest.raises(ValueError, match="longer"):
        decoded(raw + UNRECOGNISED[:-1])


@pytest.mark.parametrize(
    "body",
    [
        b"\2\0\0\0" + ABSTRACT + TRANSFER,
        b"\1\0\0\0" + ABSTRACT + TRANSFER,
        b"\3\0\0\0" + ABSTRACT,
        b"\3\0\0\0" + TRANSFER,
        b"\3\0\0\0" + ABSTRACT + ABSTRACT + TRANSFER,
        b"\3\0\0\0" + ABSTRACT + TRANSFER[:-1],
        b"\3\0\0\0" + ABSTRACT + TRANSFER + b"\x40\0",
        b"\3\0\0\0" + ABSTRACT + b"\x40\0\0\0",
        b"\3\0\0\0" + b"\x30\0\0\0" + TRANSFER,
        b"\3\0\0\0" + ABSTRACT + b"\x40\0\0\x41" + b"1" * 65,
        b"\3\0\0\0" + ABSTRACT + b"\x40\0\0\x02\xc3\xa4",
        b"\3",
        b"",
    ],
    ids=[
        "even ID",
        "ID twice",
        "no transfer syntax",
        "no abstract syntax",
        "two abstract syntaxes",
        "item too long",
        "item without length",
        "empty transfer syntax",
        "empty abstract syntax",
        "65 characters",
        "not ASCII",
        "only an ID",
        "empty",
    ],
)
def test_malformed_contexts(body):
    with pytest.raises((ValueError, IndexError, struct.error)):
        decoded(with_context(body))


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_damaged_requests_raise_or_decode():
    """Whatever is in the bytes, nothing is left for those who use what it returns."""
    raw = encoded([("1.2.840.1", ["1.2.840.2", "1.2.840.3"]), ("1.2.840.4", ["1.2.840.2"])])
    chance = random.Random(1)
    outcomes = set()
    for _ in range(3000):
        damaged = bytearray(raw)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(6, len(raw))] = chance.randrange(256)
        try:
            contexts = decoded(bytes(damaged)).contexts
        except Exception as error:  # whatever: UpperLayer refuses the PDU
            outcomes.add(type(error))
            continue
        outcomes.add(None)
        for context in contexts:
            assert context.context_id % 2 and context.abstract_syntax and all(context.transfer_syntaxes)
    assert {None, ValueError} <= outcomes
