"""The A-ASSOCIATE-RQ PDU as it is received (PS3.8 9.3.2): checked as a whole, and only what has a use is decoded.

Anybody can send one, before anything is known of him. pynetdicom's decoder makes two objects for each transfer
syntax, checks its form five times and compares it with all others of its context: a proposal of 250 kB keeps a
processor busy for half a second, and an ill-meant one for minutes. Here it is taken apart in one loop into one record.
What only informs (Implementation Class UID and Version Name) or has no answer here (asynchronous operations, SOP Class
Common Extended Negotiation) is passed over, so that its form cannot end an association; a user identity is kept as it
is, for those who ask for one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

USER_ITEMS_MAX = 400
"""A role and an extended negotiation for each of 128 contexts, and everything that there is once."""

UID_LENGTH_MAX = 64

AE_TITLE_BYTES = 16

_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_MAXIMUM_LENGTH, _ROLE_SELECTION, _EXTENDED_NEGOTIATION, _USER_IDENTITY = 0x51, 0x54, 0x56, 0x58

_FIXED = struct.Struct(">6xH2x16s16s32x")
"""Protocol-version, Called-AE-title and Calling-AE-title (PS3.8 table 9-11)."""

_ITEM_HEADER = struct.Struct(">BxH")
_SYNTAXES_OFFSET = 4


class ProposedContext(NamedTuple):
    """A presentation context item of a request (PS3.8 9.3.2.2).

    Attributes
    ----------
    context_id : int
        Odd.
    abstract_syntax : str
        The SOP class. Its form is not checked: what is not a UID is not supported either, and is refused as such.
    transfer_syntaxes : tuple of str
        At least one, in the order of the requestor, each once.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class AssociationRequest:
    """What a requestor asks for: the parameters of an A-ASSOCIATE indication (PS3.8 7.1.1).

    Attributes
    ----------
    protocol_version : int
        Every bit that was sent.
    called_ae_title, calling_ae_title : str
        Without padding; empty where the requestor names none. Anything else can stand in them.
    application_context_name : str
        Empty if it is missing.
    contexts : tuple of ProposedContext
        In the order of the request.
    roles : mapping of str to (bool, bool)
        The roles of SCU and SCP that the requestor asks for, by SOP class (PS3.7 D.3.3.4).
    extended : mapping of str to bytes
        The Service-class-application-information by SOP class (PS3.7 D.3.3.5).
    maximum_length : int
        The longest PDU that the requestor receives; 0 for any, as from peers that leave the item out, although
        PS3.8 D.1.1 requires it.
    user_identity : bytes or None
        The value of the User Identity sub-item (PS3.7 D.3.3.7.1), a secret; None if there is none.
    title_fields : bytes
        Called and calling AE title as they were received: the answer repeats them (PS3.8 9.3.3).
    """

    protocol_version: int = 1
    called_ae_title: str = ""
    calling_ae_title: str = ""
    application_context_name: str = ""
    contexts: tuple[ProposedContext, ...] = ()
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: Mapping[str, bytes] = field(default_factory=dict)
    maximum_length: int = 0
    user_identity: bytes | None = field(default=None, repr=False)
    title_fields: bytes = b" " * (2 * AE_TITLE_BYTES)

    @property
    def understood(self) -> bool:
        """Tell whether it is of the version of the protocol that is spoken here.

        There is one, and only its bit may be tested (PS3.8 9.3.2): a later peer sets others too.
        """
        return bool(self.protocol_version & 1)


def decode_associate_request(pdu: bytes) -> AssociationRequest:
    """Decode an A-ASSOCIATE-RQ PDU, header included.

    Raises
    ------
    ValueError, struct.error
        It is malformed.
    """
    version, called, calling = _FIXED.unpack_from(pdu)
    request = AssociationRequest(version, _ae_title(called), _ae_title(calling), title_fields=called + calling)
    if not request.understood:
        return request  # what stands behind the titles is for another version to say
    application_context_name = ""
    contexts: dict[int, ProposedContext] = {}
    user_information: list[bytes] = []
    for item_type, value in items(pdu, _FIXED.size):
        if item_type == _PRESENTATION_CONTEXT:
            context = _context(value)
            if context.context_id in contexts:
                raise ValueError("two presentation contexts have the same ID")
            contexts[context.context_id] = context
        elif item_type == _APPLICATION_CONTEXT:
            application_context_name = application_context_name or _text(value)
        elif item_type == _USER_INFORMATION:
            user_information.append(value)
        # unrecognised items are skipped (PS3.8 9.3.1)
    if len(user_information) != 1:
        raise ValueError("there must be one user information item")
    maximum_length, roles, extended, user_identity = _user_information(user_information[0])
    return AssociationRequest(
        version,
        request.called_ae_title,
        request.calling_ae_title,
        application_context_name,
        tuple(contexts.values()),
        roles,
        extended,
        maximum_length,
        user_identity,
        request.title_fields,
    )


def items(encoded: bytes, position: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each item from a position on (PS3.8 9.3.1).

    Raises
    ------
    ValueError, struct.error
        An item is longer than what it stands in.
    """
    end = len(encoded)
    unpack = _ITEM_HEADER.unpack_from
    while position < end:
        item_type, length = unpack(encoded, position)
        start = position + 4
        position = start + length
        if position > end:
            raise ValueError("an item is longer than what it stands in")
        yield item_type, encoded[start:position]


def _context(value: bytes) -> ProposedContext:
    """Decode a presentation context item (PS3.8 9.3.2.2).

    Raises
    ------
    ValueError
        It does not have one abstract syntax and at least one transfer syntax, or its ID is even.
    """
    abstract_syntaxes: list[bytes] = []
    transfer_syntaxes: dict[bytes, None] = {}  # in their order, each once
    for item_type, syntax in items(value, _SYNTAXES_OFFSET):
        if item_type == _TRANSFER_SYNTAX:
            transfer_syntaxes[syntax] = None
        elif item_type == _ABSTRACT_SYNTAX:
            abstract_syntaxes.append(syntax)
    if not value or value[0] % 2 == 0 or len(abstract_syntaxes) != 1 or not transfer_syntaxes:
        raise ValueError("the presentation context is not complete")
    return ProposedContext(value[0], _uid(abstract_syntaxes[0]), tuple(map(_uid, transfer_syntaxes)))


def _user_information(
    encoded: bytes,
) -> tuple[int, dict[str, tuple[bool, bool]], dict[str, bytes], bytes | None]:
    """Return maximum length, roles, extended negotiation, user identity (PS3.8 D.1, PS3.7 D.3.3.4, D.3.3.5, D.3.3.7).

    Raises
    ------
    ValueError, struct.error
        One of them is malformed, or there are more of them than any requestor needs.
    """
    maximum_length = 0
    roles: dict[str, tuple[bool, bool]] = {}
    extended: dict[str, bytes] = {}
    user_identity = None
    count = 0
    for item_type, value in items(encoded):
        if item_type == _MAXIMUM_LENGTH:
            (maximum_length,) = struct.unpack(">I", value)
        elif item_type == _ROLE_SELECTION:
            uid, roles_asked = _by_uid(value)
            if len(roles_asked) != 2:
                raise ValueError("a role selection must have two roles")
            roles[uid] = roles_asked[0] == 1, roles_asked[1] == 1
        elif item_type == _EXTENDED_NEGOTIATION:
            uid, information = _by_uid(value)
            extended[uid] = information
        else:
            if item_type == _USER_IDENTITY and user_identity is None:
                user_identity = value
            continue
        count += 1
    if count > USER_ITEMS_MAX:
        raise ValueError(f"more than {USER_ITEMS_MAX} items of user information")
    return maximum_length, roles, extended, user_identity


def _by_uid(value: bytes) -> tuple[str, bytes]:
    """Return the UID that a sub-item begins with, its length in front, and the rest."""
    (length,) = struct.unpack_from(">H", value)
    if 2 + length > len(value):
        raise ValueError("a UID is longer than what it stands in")
    return _uid(value[2 : 2 + length]), value[2 + length :]


def _ae_title(encoded: bytes) -> str:
    """Return an AE title (PS3.8 9.3.2): leading and trailing spaces are not significant.

    Some peers pad with NUL or leave behind it what was in their memory: a NUL ends the title.
    """
    return _text(encoded).strip(" ")


def _text(encoded: bytes) -> str:
    """Return the text in front of a NUL. Nothing else is refused here: a name that nobody has is not recognised."""
    return encoded.partition(b"\0")[0].decode("latin-1")


def _uid(encoded: bytes) -> str:
    text = encoded.removesuffix(b"\0").decode("ascii")
    if not 0 < len(text) <= UID_LENGTH_MAX:
        raise ValueError("a UID is empty or too long")
    return text
