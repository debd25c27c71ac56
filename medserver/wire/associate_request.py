"""The A-ASSOCIATE-RQ PDU as it is received: checked as a whole, and decoded in a small part of the usual time.

Anybody can send one, before anything is known of him. pynetdicom's decoder makes two objects for each transfer
syntax, checks its form five times and compares it with all others of its context: a proposal of 250 kB keeps a
processor busy for half a second, and an ill-meant one for minutes. Here the presentation contexts are taken apart in
one loop, and what has no use is not decoded at all.
"""

from __future__ import annotations

import struct

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_items import (
    PDU_ITEM_TYPES,
    ApplicationContextItem,
    PresentationContextItemRQ,
    UserInformationItem,
)
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

USER_ITEMS_MAX = 400
"""A role and an extended negotiation for each of 128 contexts, and everything that there is once."""

UID_LENGTH_MAX = 64

_APPLICATION_CONTEXT, _PRESENTATION_CONTEXT, _USER_INFORMATION = 0x10, 0x20, 0x50
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40
_COMMON_EXTENDED_NEGOTIATION = 0x57

_HEADER = struct.Struct(">BxH")
_SYNTAXES_OFFSET = 8


class AssociateRequest(A_ASSOCIATE_RQ):
    """An A-ASSOCIATE-RQ PDU (PS3.8 9.3.2)."""

    def decode(self, bytestream: bytes) -> None:
        """Decode the PDU, so that `to_primitive` has nothing left to complain of.

        Raises
        ------
        ValueError, TypeError, AssertionError, struct.error
            It is malformed; pynetdicom's decoders have many words for that.
        """
        super().decode(bytestream)
        self._primitive = super().to_primitive()

    def to_primitive(self) -> A_ASSOCIATE:
        """Return the A-ASSOCIATE primitive that was made when the PDU was decoded."""
        return self._primitive

    def _wrap_generate_items(self, bytestream: bytes) -> list:
        """Decode the variable items (PS3.8 9.3.2.1 - 9.3.2.3)."""
        decoded = []
        context_ids: set[int | None] = set()
        for item_type, value in _items(bytestream):
            if item_type not in _ITEM_TYPES:
                continue  # unrecognised items are skipped (PS3.8 9.3.1)
            item = _ITEM_TYPES[item_type]()
            item.decode(_HEADER.pack(item_type, len(value)) + value)
            decoded.append(item)
            if item_type == _PRESENTATION_CONTEXT:
                if item.context_id in context_ids:
                    raise ValueError("two presentation contexts have the same ID")
                context_ids.add(item.context_id)
        if sum(isinstance(item, UserInformationItem) for item in decoded) != 1:
            raise ValueError("there must be one user information item")
        return decoded


class ProposedContext(PresentationContextItemRQ):
    """A presentation context item of a request (PS3.8 9.3.2.2)."""

    def decode(self, bytestream: bytes) -> None:
        """Decode the item.

        Raises
        ------
        ValueError
            It does not have one abstract syntax and at least one transfer syntax, or its ID is even.
        """
        context_id = bytestream[4]
        abstract_syntaxes: list[bytes] = []
        transfer_syntaxes: dict[bytes, None] = {}  # in their order, each once
        for item_type, value in _items(bytestream, _SYNTAXES_OFFSET):
            if item_type == _TRANSFER_SYNTAX:
                transfer_syntaxes[value] = None
            elif item_type == _ABSTRACT_SYNTAX:
                abstract_syntaxes.append(value)
        if context_id % 2 == 0 or len(abstract_syntaxes) != 1 or not transfer_syntaxes:
            raise ValueError("the presentation context is not complete")
        self.presentation_context_id = context_id
        self._abstract_syntax = _uid(abstract_syntaxes[0])
        self._transfer_syntaxes = [_uid(encoded) for encoded in transfer_syntaxes]

    def to_primitive(self) -> PresentationContext:
        """Return the context, without checking again what was checked."""
        context = PresentationContext()
        context._context_id = self.presentation_context_id
        context._abstract_syntax = self._abstract_syntax
        context._transfer_syntax = self._transfer_syntaxes
        return context

    @property
    def abstract_syntax(self) -> UID:
        """Return the abstract syntax."""
        return self._abstract_syntax

    @property
    def transfer_syntax(self) -> list[UID]:
        """Return the transfer syntaxes, each once."""
        return self._transfer_syntaxes


class UserInformation(UserInformationItem):
    """The user information item of a request (PS3.8 9.3.2.3, PS3.7 D.3.3)."""

    def _wrap_generate_items(self, b: bytes) -> list:
        """Decode the sub-items.

        SOP Class Common Extended Negotiation is passed over: it has no answer (PS3.7 D.3.3.6), and we no use for it.

        Raises
        ------
        ValueError
            There are more of them than any requestor needs.
        """
        wanted = [
            _HEADER.pack(item_type, len(value)) + value
            for item_type, value in _items(b)
            if item_type in PDU_ITEM_TYPES and item_type != _COMMON_EXTENDED_NEGOTIATION
        ]
        if len(wanted) > USER_ITEMS_MAX:
            raise ValueError(f"more than {USER_ITEMS_MAX} items of user information")
        return super()._wrap_generate_items(b"".join(wanted))


_ITEM_TYPES = {
    _APPLICATION_CONTEXT: ApplicationContextItem,
    _PRESENTATION_CONTEXT: ProposedContext,
    _USER_INFORMATION: UserInformation,
}


def _items(encoded: bytes, position: int = 0) -> list[tuple[int, bytes]]:
    """Return type and value of each item from a position on.

    Raises
    ------
    ValueError, struct.error
        An item is longer than what it stands in.
    """
    items = []
    end = len(encoded)
    unpack = _HEADER.unpack_from
    while position < end:
        item_type, length = unpack(encoded, position)
        start = position + 4
        position = start + length
        items.append((item_type, encoded[start:position]))
    if position > end:
        raise ValueError("an item is longer than what it stands in")
    return items


def _uid(encoded: bytes) -> UID:
    """Return the UID that is the value of a sub-item.

    Its form is not checked: what is not a UID is not supported either, and is refused as such.
    """
    text = encoded.removesuffix(b"\0").decode("ascii")
    if not 0 < len(text) <= UID_LENGTH_MAX:
        raise ValueError("a UID is empty or too long")
    return str.__new__(UID, text)
