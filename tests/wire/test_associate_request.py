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

from medserver.wire.associate_request import USER_ITEMS_MAX, AssociateRequest

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


def decoded(raw: bytes) -> A_ASSOCIATE:
    pdu = AssociateRequest()
    pdu.decode(raw)
    return pdu.to_primitive()


@given(CONTEXTS)
def test_the_same_as_pynetdicom(contexts):
    raw = encoded(contexts)
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(raw)
    expected, found = theirs.to_primitive(), decoded(raw)
    assert found.presentation_context_definition_list == expected.presentation_context_definition_list
    assert found.user_information == expected.user_information
    for name in ("calling_ae_title", "called_ae_title", "application_context_name"):
        assert getattr(found, name) == getattr(expected, name)


def test_common_extended_negotiation_is_passed_over():
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid, item.service_class_uid = "1.2.840.1", "1.2.840.2"
    with_it, without = encoded([("1.2.840.1", ["1.2.840.2"])], item), encoded([("1.2.840.1", ["1.2.840.2"])])
    assert len(with_it) > len(without)
    assert decoded(with_it).user_information == decoded(without).user_information


def test_more_user_items_than_anybody_needs():
    contexts = [("1.2.840.1", ["1.2.840.2"])]
    fit = [role(f"1.2.{number}") for number in range(USER_ITEMS_MAX - len(user_items()))]
    assert len(decoded(encoded(contexts, *fit)).user_information) == USER_ITEMS_MAX
    with pytest.raises(ValueError, match="more than"):
        decoded(encoded(contexts, *fit, role("1.2")))


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
    contexts = decoded(with_context(body)).presentation_context_definition_list
    assert [context.context_id for context in contexts] == [3, 1]
    assert contexts[0].transfer_syntax == ["1.2"]


def test_unrecognised_items_are_skipped():
    raw = encoded([("1.2.840.1", ["1.2.840.2"])])
    with_them = raw + UNRECOGNISED  # behind the others
    user_information = with_them.index(b"\x50\0", FIXED_BYTES)
    length = int.from_bytes(raw[user_information + 2 : user_information + 4], "big") + len(UNRECOGNISED)
    within = raw[: user_information + 2] + length.to_bytes(2, "big") + raw[user_information + 4 :] + UNRECOGNISED
    for changed in (with_them, within):
        assert decoded(changed).user_information == decoded(raw).user_information
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
    """Whatever is in the bytes, nothing is left for `to_primitive` or for those who use what it returns."""
    raw = encoded([("1.2.840.1", ["1.2.840.2", "1.2.840.3"]), ("1.2.840.4", ["1.2.840.2"])])
    chance = random.Random(1)
    outcomes = set()
    for _ in range(3000):
        damaged = bytearray(raw)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(6, len(raw))] = chance.randrange(256)
        try:
            contexts = decoded(bytes(damaged)).presentation_context_definition_list
        except Exception as error:  # whatever: UpperLayer refuses the PDU
            outcomes.add(type(error))
            continue
        outcomes.add(None)
        for context in contexts:
            assert context.context_id % 2 and context.abstract_syntax and all(context.transfer_syntax)
    assert {None, ValueError} <= outcomes
