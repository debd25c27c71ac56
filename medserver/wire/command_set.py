"""Command sets in both directions: a mapping of keywords, and the bytes of PS3.7 6.3.1.

A command set has some twenty possible elements, always in Implicit VR Little Endian. A table and two loops read
and write them without a data set in between, which takes about a twentieth of the time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from medserver.errors import CannotUnderstand

NO_DATA_SET = 0x0101
"""The value of Command Data Set Type that says that no data set follows (PS3.7 9.1.1.1)."""

_HEADER = struct.Struct("<HHI")
_GROUP_LENGTH = struct.Struct("<HHII")
_US = struct.Struct("<H")
_US_ELEMENT = struct.Struct("<HHIH")

# keyword -> (element number, VR), PS3.7 E.1
_ELEMENTS: dict[str, tuple[int, str]] = {
    "AffectedSOPClassUID": (0x0002, "UI"),
    "RequestedSOPClassUID": (0x0003, "UI"),
    "CommandField": (0x0100, "US"),
    "MessageID": (0x0110, "US"),
    "MessageIDBeingRespondedTo": (0x0120, "US"),
    "MoveDestination": (0x0600, "AE"),
    "Priority": (0x0700, "US"),
    "CommandDataSetType": (0x0800, "US"),
    "Status": (0x0900, "US"),
    "OffendingElement": (0x0901, "AT"),
    "ErrorComment": (0x0902, "LO"),
    "ErrorID": (0x0903, "US"),
    "AffectedSOPInstanceUID": (0x1000, "UI"),
    "RequestedSOPInstanceUID": (0x1001, "UI"),
    "EventTypeID": (0x1002, "US"),
    "AttributeIdentifierList": (0x1005, "AT"),
    "ActionTypeID": (0x1008, "US"),
    "NumberOfRemainingSuboperations": (0x1020, "US"),
    "NumberOfCompletedSuboperations": (0x1021, "US"),
    "NumberOfFailedSuboperations": (0x1022, "US"),
    "NumberOfWarningSuboperations": (0x1023, "US"),
    "MoveOriginatorApplicationEntityTitle": (0x1030, "AE"),
    "MoveOriginatorMessageID": (0x1031, "US"),
}
_BY_NUMBER = {number: (keyword, vr) for keyword, (number, vr) in _ELEMENTS.items()}
_PADDING = {"UI": b"\0", "AE": b" ", "LO": b" "}

CommandSet = Mapping[str, "int | str | bytes"]


class CommandField(IntEnum):
    """The DIMSE operations (PS3.7 E.1); a response has the bit 0x8000 set as well."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


NORMALISED = frozenset(field for field in CommandField if field.name.startswith("N_"))
"""The operations on normalised SOP instances, DIMSE-N (PS3.7 10.1)."""

RESPONSE = 0x8000


def encode_command_set(command_set: CommandSet) -> bytes:
    """Encode a command set, group length included.

    Parameters
    ----------
    command_set : mapping of str to int, str or bytes
        Keywords and values; None values are left out. Elements are written in ascending order.

    Raises
    ------
    KeyError
        A keyword is not an element of a command set.
    """
    elements = sorted([(*_ELEMENTS[keyword], value) for keyword, value in command_set.items() if value is not None])
    body = b"".join([_encode_element(*element) for element in elements])
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def _encode_element(number: int, vr: str, value: int | str | bytes) -> bytes:
    if vr == "US":
        return _US_ELEMENT.pack(0, number, 2, value)
    if vr == "AT":
        raw = value if isinstance(value, bytes) else struct.pack("<HH", value >> 16, value & 0xFFFF)
    else:
        raw = value.encode("ascii", "replace")
        if len(raw) % 2:
            raw += _PADDING[vr]
    return _HEADER.pack(0, number, len(raw)) + raw


def decode_command_set(raw: bytes) -> dict[str, int | str | bytes]:
    """Decode a command set; elements that the standard does not name are passed over.

    Raises
    ------
    CannotUnderstand
        The bytes are not a command set, or a value does not have the form of its VR.
    """
    command_set: dict[str, int | str | bytes] = {}
    position, end = 0, len(raw)
    while position < end:
        if position + 8 > end:
            raise CannotUnderstand("the command set ends within an element")
        group, number, length = _HEADER.unpack_from(raw, position)
        position += 8
        if group != 0 or length > end - position:
            raise CannotUnderstand("the command set is not in group 0000 or an element is too long")
        if number in _BY_NUMBER:
            keyword, vr = _BY_NUMBER[number]
            command_set[keyword] = _decode_value(keyword, vr, raw[position : position + length])
        position += length
    return command_set


def _decode_value(keyword: str, vr: str, raw: bytes) -> int | str | bytes:
    if vr == "US":
        if len(raw) != 2:
            raise CannotUnderstand(f"{keyword} has {len(raw)} bytes instead of 2")
        return _US.unpack(raw)[0]
    if vr == "AT":
        return raw
    if len(raw) > 256:
        raise CannotUnderstand(f"{keyword} has {len(raw)} bytes")
    # latin-1 never fails; what is not a UID or an AE title is found by those who use the value.
    return raw.decode("latin-1").strip("\0 ")
