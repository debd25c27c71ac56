"""User Identity Negotiation (PS3.7 D.3.3.7): the sub-item of a request, taken apart."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

_LENGTH = struct.Struct(">H")


class UserIdentityType(IntEnum):
    """User-Identity-Type (PS3.7 table D.3-14)."""

    USERNAME = 1
    USERNAME_AND_PASSCODE = 2
    KERBEROS = 3
    SAML = 4
    JSON_WEB_TOKEN = 5


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """What a requestor says of its user. The fields do not show in its representation: they are secrets.

    Parameters
    ----------
    type : int
        User-Identity-Type; any number may be there.
    wants_response : bool
        Positive-response-requested.
    primary : bytes
        The user name in UTF-8, or the token.
    secondary : bytes
        The passcode; empty with any other type.
    """

    type: int
    wants_response: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


def decode_user_identity(value: bytes) -> UserIdentity:
    """Take the value of a User Identity sub-item of an A-ASSOCIATE-RQ apart (PS3.7 D.3.3.7.1).

    Raises
    ------
    ValueError, struct.error
        A field is longer than the item, or something is behind the last one.
    """
    identity_type, wants_response = value[0:1], value[1:2]
    if not wants_response:
        raise ValueError("a user identity without its fixed fields")
    primary, position = _sized(value, 2)
    secondary, position = _sized(value, position)
    if position != len(value):
        raise ValueError("a user identity is longer than its fields")
    return UserIdentity(identity_type[0], wants_response[0] == 1, primary, secondary)


def encode_user_identity(identity: UserIdentity) -> bytes:
    """Return the value of the sub-item (PS3.7 table D.3-14)."""
    fields = (_LENGTH.pack(len(each)) + each for each in (identity.primary, identity.secondary))
    return bytes((identity.type, identity.wants_response)) + b"".join(fields)


def _sized(value: bytes, position: int) -> tuple[bytes, int]:
    (length,) = _LENGTH.unpack_from(value, position)
    start = position + _LENGTH.size
    if start + length > len(value):
        raise ValueError("a field of a user identity is longer than the item")
    return value[start : start + length], start + length
