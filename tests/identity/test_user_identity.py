"""The User Identity sub-item, against pynetdicom's encoder, and cut and stretched in every way."""

from __future__ import annotations

import struct

import pytest
from pynetdicom.pdu_items import UserIdentitySubItemRQ
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from medserver.identity.user_identity import UserIdentity, decode_user_identity, encode_user_identity

HEADER_BYTES = 4


def item_of(identity: UserIdentity) -> bytes:
    """Return the value of the sub-item as pynetdicom encodes it."""
    primitive = UserIdentityNegotiation()
    primitive.user_identity_type = identity.type
    primitive.positive_response_requested = identity.wants_response
    primitive.primary_field = identity.primary
    if identity.secondary:
        primitive.secondary_field = identity.secondary
    item = UserIdentitySubItemRQ()
    item.from_primitive(primitive)
    return item.encode()[HEADER_BYTES:]


@pytest.mark.parametrize(
    "identity",
    [
        UserIdentity(1, True, b"anna"),
        UserIdentity(1, False, "Łukasz".encode()),
        UserIdentity(2, True, b"anna", b"correct horse"),
        UserIdentity(5, False, b"eyJ.eyJ.c2ln"),
    ],
)
def test_as_pynetdicom_writes_it(identity: UserIdentity) -> None:
    assert encode_user_identity(identity) == item_of(identity)
    assert decode_user_identity(item_of(identity)) == identity


def test_every_length_that_is_wrong() -> None:
    value = encode_user_identity(UserIdentity(2, True, b"anna", b"passcode"))
    for end in range(len(value)):
        with pytest.raises((ValueError, struct.error)):
            decode_user_identity(value[:end])
    with pytest.raises(ValueError, match="longer than its fields"):
        decode_user_identity(value + b"\0")


def test_a_secret_does_not_show() -> None:
    assert "correct horse" not in repr(UserIdentity(2, True, b"anna", b"correct horse"))
