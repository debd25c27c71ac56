"""The A-ASSOCIATE-AC PDU (PS3.8 9.3.3): ours from what was negotiated, and that of a peer reduced to what has a use.

pynetdicom encodes one of 120 contexts in the time of two C-STOREs, and its decoder fails at items that it does not know
and at values that nobody looks at: those are taken out before.
"""

from __future__ import annotations

import struct

from medserver.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UID_LENGTH_MAX,
)
from medserver.wire.associate_request import AssociationRequest, items
from medserver.wire.negotiation import APPLICATION_CONTEXT_NAME, Acceptance

VERSION_NAME_LENGTH_MAX = 16
"""PS3.7 D.3.3.2.3; longer ones exist."""

_ITEMS_OFFSET = 74

_ASSOCIATE_AC = 0x02
_PROTOCOL_VERSION = 1

_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _TRANSFER_SYNTAX = 0x10, 0x21, 0x40
_USER_INFORMATION = 0x50
_MAXIMUM_LENGTH, _CLASS_UID, _ROLE_SELECTION, _VERSION_NAME, _EXTENDED_NEGOTIATION = 0x51, 0x52, 0x54, 0x55, 0x56
_USER_IDENTITY = 0x59
_RESULT_OFFSET, _SYNTAXES_OFFSET = 2, 4


def encode_associate_accept(request: AssociationRequest, acceptance: Acceptance, maximum_length: int) -> bytes:
    """Encode the answer to a request that is accepted.

    Parameters
    ----------
    maximum_length : int
        The longest PDU that we receive (PS3.8 D.1).
    """
    contexts = b"".join(
        _item(
            _PRESENTATION_CONTEXT,
            bytes((context.context_id, 0, context.result, 0))
            + _item(_TRANSFER_SYNTAX, context.transfer_syntax.encode()),
        )
        for context in acceptance.contexts
    )
    roles = b"".join(
        _item(_ROLE_SELECTION, _sized(uid) + bytes(map(int, roles))) for uid, roles in acceptance.roles.items()
    )
    extended = b"".join(
        _item(_EXTENDED_NEGOTIATION, _sized(uid) + information) for uid, information in acceptance.extended.items()
    )
    user_information = (
        _item(_MAXIMUM_LENGTH, struct.pack(">I", maximum_length))
        + _item(_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode())
        + roles
        + _item(_VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode())
        + extended
        # A server response of no length: neither a name nor a JSON Web Token has one (PS3.7 D.3.3.7.2).
        + (_item(_USER_IDENTITY, bytes(2)) if acceptance.confirms_user else b"")
    )
    return _pdu(
        # The titles as they were received (PS3.8 table 9-17), and 32 reserved bytes.
        struct.pack(">Hxx", _PROTOCOL_VERSION) + request.title_fields + bytes(32),
        _item(_APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME.encode())
        + contexts
        + _item(_USER_INFORMATION, user_information),
    )


def recognised(pdu: bytes) -> bytes:
    """Return an A-ASSOCIATE-AC PDU without unrecognised items (PS3.8 9.3.1) and without what is not to be tested.

    Raises
    ------
    ValueError, struct.error, IndexError
        An item is longer than what it stands in, or lacks its fixed fields.
    """
    kept = b""
    for item_type, value in items(pdu, _ITEMS_OFFSET):
        if item_type == _PRESENTATION_CONTEXT:
            kept += _item(item_type, _context(value))
        elif item_type == _USER_INFORMATION:
            kept += _item(item_type, _user_information(value))
    return _pdu(pdu[6:_ITEMS_OFFSET], kept)


def _context(value: bytes) -> bytes:
    """Return a presentation context with its transfer syntax, which of a refused one is not tested (PS3.8 9.3.3.2)."""
    if value[_RESULT_OFFSET] != 0:
        syntaxes = [IMPLICIT_VR_LITTLE_ENDIAN.encode()]
    else:
        syntaxes = [syntax for kind, syntax in items(value, _SYNTAXES_OFFSET) if kind == _TRANSFER_SYNTAX]
    return value[:_SYNTAXES_OFFSET] + b"".join(_item(_TRANSFER_SYNTAX, syntax) for syntax in syntaxes)


def _user_information(encoded: bytes) -> bytes:
    kept = b""
    for item_type, value in items(encoded):
        if item_type == _VERSION_NAME:
            value = _version_name(value)
        elif item_type == _CLASS_UID:
            # It informs, as the name does; pynetdicom takes any text that is not longer than a UID.
            value = value if value.isascii() and len(value) <= UID_LENGTH_MAX else b""
        elif item_type not in (_MAXIMUM_LENGTH, _ROLE_SELECTION, _EXTENDED_NEGOTIATION):
            continue
        kept += _item(item_type, value) if value else b""
    return kept


def _version_name(value: bytes) -> bytes:
    """Return an Implementation Version Name as far as it is one: printable and of at most 16 characters."""
    name = value.partition(b"\0")[0].decode("latin-1")
    printable = "".join(letter for letter in name if letter.isascii() and letter.isprintable() and letter != "\\")
    return printable[:VERSION_NAME_LENGTH_MAX].strip().encode()


def _pdu(fixed: bytes, variable_items: bytes) -> bytes:
    return struct.pack(">BxI", _ASSOCIATE_AC, len(fixed) + len(variable_items)) + fixed + variable_items


def _sized(uid: str) -> bytes:
    """Return a UID with its length in front (PS3.7 tables D.3-10, D.3-12)."""
    return struct.pack(">H", len(uid)) + uid.encode()


def _item(item_type: int, value: bytes) -> bytes:
    return struct.pack(">BxH", item_type, len(value)) + value
