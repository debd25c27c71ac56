"""The data sets of Storage Commitment: what is asked, and what comes of it (PS3.4 J.3.2.1.1, J.3.3.1.1).

They may name a hundred thousand instances, so that they are read and written without a data set in between: that
takes a twentieth of the time and of the memory.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from medserver.dicom.elements import ScannedElements, scan_elements, split_items
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from medserver.errors import InvalidArgument

REQUEST_STORAGE_COMMITMENT = 1
"""The only Action Type (PS3.4 table J.3-1)."""

ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""The Event Types (PS3.4 table J.3-2)."""

SAFE = 0
"""Stands for the Failure Reason of an instance for which there is none."""

REFERENCE_SIZE_MAX_BYTES = 256
"""Room for an item with two UIDs, and for the attributes that are allowed beside them and passed over."""

_RETRIEVE_AE_TITLE = 0x00080054
_REFERENCED_SOP_CLASS_UID, _REFERENCED_SOP_INSTANCE_UID = 0x00081150, 0x00081155
_TRANSACTION_UID = 0x00081195
_FAILURE_REASON, _FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE = 0x00081197, 0x00081198, 0x00081199

_TOP_LEVEL = frozenset({_TRANSACTION_UID, _FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE})
_IN_ITEM = frozenset({_REFERENCED_SOP_CLASS_UID, _REFERENCED_SOP_INSTANCE_UID, _FAILURE_REASON})
_BEYOND_ALL = frozenset({0xFFFFFFFF})
_ITEM_HEADER_BYTES, _UNDEFINED_LENGTH = 8, 0xFFFFFFFF
_UID = re.compile(r"[0-9][0-9.]{0,63}")


class Reference(NamedTuple):
    """One SOP Instance, and why it is not safe.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : str
        Which.
    reason : int
        The Failure Reason (PS3.3 C.14.1.1), or `SAFE`.
    """

    sop_class_uid: str
    sop_instance_uid: str
    reason: int = SAFE


class Commitment(NamedTuple):
    """What an action asks, or an event reports.

    Parameters
    ----------
    transaction_uid : str
        What ties them together.
    references : tuple of Reference
        In an event, first those that are safe.
    """

    transaction_uid: str
    references: tuple[Reference, ...]


def decode_commitment(raw: bytes, transfer_syntax_uid: str, references_max: int) -> Commitment:
    """Read the information of an action or event.

    UIDs that break PS3.5 9.1 are taken as long as they have 64 digits and dots at most: what they name is not here,
    which the report says.

    Parameters
    ----------
    raw : bytes
        The data set.
    transfer_syntax_uid : str
        How it is encoded.
    references_max : int
        How many instances it may name; one more is read and shows that there are too many.

    Raises
    ------
    InvalidArgument
        It cannot be read, or an attribute that it must have is missing or is no UID.
    """
    syntax = transfer_syntax(transfer_syntax_uid)
    whole = scan_elements(raw, syntax, _BEYOND_ALL)
    if whole.problem is not None:
        raise InvalidArgument(f"the data set is damaged: {whole.problem}")
    found = scan_elements(raw, syntax, _TOP_LEVEL)
    transaction_uid = _uid(found, _TRANSACTION_UID, "Transaction UID")
    references: list[Reference] = []
    for tag in (_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE):
        _, value = found.values.get(tag, ("SQ", b""))
        items = split_items(value, syntax)
        _check_all_split(value, items, syntax.little_endian)
        for item in items[: references_max + 1 - len(references)]:
            references.append(_reference(item, syntax, tag == _FAILED_SOP_SEQUENCE))
    if not references:
        raise InvalidArgument("there is no reference to an instance")
    return Commitment(transaction_uid, tuple(references))


def _check_all_split(value: bytes, items: Sequence[bytes], little_endian: bool) -> None:
    """Raise InvalidArgument if the items are not the whole sequence: what is left out would not be reported on."""
    order: Literal["little", "big"] = "little" if little_endian else "big"
    position = 0
    for item in items:
        length = int.from_bytes(value[position + 4 : position + 8], order)
        position += _ITEM_HEADER_BYTES + len(item) + (_ITEM_HEADER_BYTES if length == _UNDEFINED_LENGTH else 0)
    if position != len(value):
        raise InvalidArgument("a sequence of references is damaged")


def _reference(item: bytes, syntax: TransferSyntax, failed: bool) -> Reference:
    found = scan_elements(item, syntax, _IN_ITEM)
    if found.problem is not None:
        raise InvalidArgument(f"a reference is damaged: {found.problem}")
    reason = SAFE
    if failed:
        _, value = found.values.get(_FAILURE_REASON, ("US", b""))
        if len(value) != 2:
            raise InvalidArgument("a reference without Failure Reason")
        reason = int.from_bytes(value, "little" if syntax.little_endian else "big")
    return Reference(
        _uid(found, _REFERENCED_SOP_CLASS_UID, "Referenced SOP Class UID"),
        _uid(found, _REFERENCED_SOP_INSTANCE_UID, "Referenced SOP Instance UID"),
        reason,
    )


def _uid(found: ScannedElements, tag: int, name: str) -> str:
    _, value = found.values.get(tag, ("UI", b""))
    text = value.decode("latin-1").strip("\0 ")
    if not _UID.fullmatch(text):
        raise InvalidArgument(f"{name} is missing" if not text else f"{name} is not a UID")
    return text


def encode_commitment(
    commitment: Commitment, transfer_syntax_uid: str, retrieve_ae_title: str | None = None
) -> bytes:
    """Write the information of an action or event; attributes and items of defined length, in ascending order.

    Parameters
    ----------
    retrieve_ae_title : str, optional
        Where those that are safe can be retrieved.
    """
    syntax = transfer_syntax(transfer_syntax_uid)
    encode = _Encoder("<" if syntax.little_endian else ">", syntax.implicit_vr)
    safe = [one for one in commitment.references if one.reason == SAFE]
    failed = [one for one in commitment.references if one.reason != SAFE]
    parts = []
    if retrieve_ae_title and safe:
        parts.append(encode.text(_RETRIEVE_AE_TITLE, "AE", retrieve_ae_title))
    parts.append(encode.text(_TRANSACTION_UID, "UI", commitment.transaction_uid))
    if failed:
        parts.append(encode.sequence(_FAILED_SOP_SEQUENCE, failed))
    if safe:
        parts.append(encode.sequence(_REFERENCED_SOP_SEQUENCE, safe))
    return b"".join(parts)


class _Encoder:
    """Writes elements in one encoding."""

    def __init__(self, order: str, implicit_vr: bool) -> None:
        self._implicit_vr = implicit_vr
        self._short = struct.Struct(order + "HH2sH").pack
        self._long = struct.Struct(order + "HH2sHI").pack
        self._implicit = struct.Struct(order + "HHI").pack
        self._number = struct.Struct(order + "H").pack

    def text(self, tag: int, vr: str, text: str) -> bytes:
        """Return an element of text."""
        raw = text.encode("ascii")
        if len(raw) % 2:
            raw += b"\0" if vr == "UI" else b" "
        return self._element(tag, vr, raw)

    def sequence(self, tag: int, references: Sequence[Reference]) -> bytes:
        """Return a sequence of references."""
        value = b"".join(self._items(references))
        if self._implicit_vr:
            return self._implicit(tag >> 16, tag & 0xFFFF, len(value)) + value
        return self._long(tag >> 16, tag & 0xFFFF, b"SQ", 0, len(value)) + value

    def _items(self, references: Sequence[Reference]) -> Iterable[bytes]:
        for one in references:
            item = self.text(_REFERENCED_SOP_CLASS_UID, "UI", one.sop_class_uid)
            item += self.text(_REFERENCED_SOP_INSTANCE_UID, "UI", one.sop_instance_uid)
            if one.reason != SAFE:
                item += self._element(_FAILURE_REASON, "US", self._number(one.reason))
            yield self._implicit(0xFFFE, 0xE000, len(item)) + item

    def _element(self, tag: int, vr: str, raw: bytes) -> bytes:
        if self._implicit_vr:
            return self._implicit(tag >> 16, tag & 0xFFFF, len(raw)) + raw
        return self._short(tag >> 16, tag & 0xFFFF, vr.encode(), len(raw)) + raw
