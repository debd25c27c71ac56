"""The data sets of Storage Commitment: what is asked, and what comes of it (PS3.4 J.3.2.1.1, J.3.3.1.1).

They may name a hundred thousand instances, so that they are read and written without a data set in between: that
takes a twentieth of the time and of the memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from medserver.dicom import status
from medserver.dicom.elements import BEHIND_ALL, ScannedElements, scan_elements, split_items
from medserver.dicom.encodings import Encoding, encoding_of
from medserver.dicom.transfer_syntaxes import TransferSyntax, transfer_syntax
from medserver.dicom.uids import uid_problem
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

    What is taken for a UID here is what is taken for one in a C-STORE: what was stored can be asked about.

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
    whole = scan_elements(raw, syntax, frozenset({BEHIND_ALL}))
    if whole.problem is not None:
        raise InvalidArgument(f"the data set is damaged: {whole.problem}")
    found = scan_elements(raw, syntax, _TOP_LEVEL)
    transaction_uid = _uid(found, _TRANSACTION_UID, "Transaction UID")
    references: list[Reference] = []
    for tag in (_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE):
        _, value = found.values.get(tag, ("SQ", b""))
        split = split_items(value, syntax)
        if split.problem is not None:  # what is left out would not be reported on
            raise InvalidArgument(f"a sequence of references is damaged: {split.problem}")
        for item in split.items[: references_max + 1 - len(references)]:
            references.append(_reference(item, syntax, tag == _FAILED_SOP_SEQUENCE))
    if not references:
        raise InvalidArgument("there is no reference to an instance")
    return Commitment(transaction_uid, tuple(references))


def _reference(item: bytes, syntax: TransferSyntax, failed: bool) -> Reference:
    found = scan_elements(item, syntax, _IN_ITEM)
    if found.problem is not None:
        raise InvalidArgument(f"a reference is damaged: {found.problem}")
    reason = SAFE
    if failed:
        _, value = found.values.get(_FAILURE_REASON, ("US", b""))
        if len(value) != 2:
            raise InvalidArgument("a reference without Failure Reason")
        stated = int.from_bytes(value, "little" if syntax.little_endian else "big")
        # Whatever its reason, what is among the failed is not safe: originals are deleted by what is.
        reason = status.PROCESSING_FAILURE if stated == SAFE else stated
    return Reference(
        _uid(found, _REFERENCED_SOP_CLASS_UID, "Referenced SOP Class UID"),
        _uid(found, _REFERENCED_SOP_INSTANCE_UID, "Referenced SOP Instance UID"),
        reason,
    )


def _uid(found: ScannedElements, tag: int, name: str) -> str:
    _, value = found.values.get(tag, ("UI", b""))
    text = value.decode("latin-1").strip("\0 ")
    if problem := uid_problem(name, text):
        raise InvalidArgument(problem)
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
    encoding = encoding_of(transfer_syntax_uid)
    safe = [one for one in commitment.references if one.reason == SAFE]
    failed = [one for one in commitment.references if one.reason != SAFE]
    parts = []
    if retrieve_ae_title and safe:
        parts.append(encoding.text(_RETRIEVE_AE_TITLE, "AE", retrieve_ae_title))
    parts.append(encoding.text(_TRANSACTION_UID, "UI", commitment.transaction_uid))
    if failed:
        parts.append(encoding.sequence(_FAILED_SOP_SEQUENCE, _items(failed, encoding)))
    if safe:
        parts.append(encoding.sequence(_REFERENCED_SOP_SEQUENCE, _items(safe, encoding)))
    return b"".join(parts)


def _items(references: Iterable[Reference], encoding: Encoding) -> Iterator[bytes]:
    for one in references:
        item = encoding.text(_REFERENCED_SOP_CLASS_UID, "UI", one.sop_class_uid)
        item += encoding.text(_REFERENCED_SOP_INSTANCE_UID, "UI", one.sop_instance_uid)
        if one.reason != SAFE:
            item += encoding.element(_FAILURE_REASON, "US", struct.pack(encoding.byte_order + "H", one.reason))
        yield item
