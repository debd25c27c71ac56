"""The DICOM file format: the file meta information that stands before a data set (PS3.10 7.1).

Here is what the store writes before each data set, and the reader of its own and of foreign files. The data
set behind it is not looked at.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from typing import Any, BinaryIO

from medserver.dicom.encodings import EXPLICIT_LITTLE, padded
from medserver.dicom.nesting import layout_of
from medserver.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    PRIVATE_INFORMATION_CREATOR_UID,
)
from medserver.errors import NotPart10

PREAMBLE = bytes(128) + b"DICM"
HEAD_BYTES = 1024
"""So long is what stands before the data set in a file that is made to become an object of the store: the meta
information that an object has, whoever it is from, fits in, unless it was compressed here."""

META_SIZE_MAX_BYTES = 64 * 1024
"""How far a file is read for its meta information. The preamble is included."""

_GROUP = 0x0002
_VERSION = b"\x00\x01"
_SOP_CLASS_UID, _SOP_INSTANCE_UID, _TRANSFER_SYNTAX_UID = 0x0002, 0x0003, 0x0010
_SOURCE_AE_TITLE = 0x0016
_PRIVATE_INFORMATION_CREATOR_UID, _PRIVATE_INFORMATION = 0x0100, 0x0102

_LENGTH = Struct("<L")


@dataclass(frozen=True, slots=True)
class Original:
    """What an object was before it was compressed here.

    Parameters
    ----------
    transfer_syntax_uid : str
        In which it was received.
    digest : str
        SHA-256 of its data set, hexadecimal.
    size_bytes : int
        The length of its data set.
    pixel_digest : str
        SHA-256 of its native frames one after the other, in little endian order and with colours by pixel: that of
        what the compressed form decodes to.
    """

    transfer_syntax_uid: str
    digest: str
    size_bytes: int
    pixel_digest: str


_encode_json = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class FileMeta:
    """The file meta information of one stored instance.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        Of the data set behind it; empty if a foreign file does not say.
    source_ae_title : str
        The AE that sent the instance; empty if a foreign file does not say.
    received_at : datetime or None
        When the node received it, UTC; None in a file that another program wrote.
    duplicates : str or None
        What was to happen with another instance of the same UID when this one was received: ``keep``,
        ``replace`` or ``reject``; None in a file that another program wrote. A rebuilt index is the same
        index because of it.
    data_set_offset : int
        Where the data set begins, counted from where reading began; 0 if this was not read from a file.
    original : Original or None
        What it was before it was compressed here, also if its pixels have been brought back since; None if it was
        received as it is.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae_title: str = ""
    received_at: datetime | None = None
    duplicates: str | None = None
    data_set_offset: int = 0
    original: Original | None = None

    def encode(self, size_bytes: int = 0) -> bytes:
        """Return preamble, prefix and meta information: what a file holds before the data set (PS3.10 7.1).

        Parameters
        ----------
        size_bytes : int
            How long it has to be: the value of Private Information ends with spaces, and `received_at` is needed; 0:
            no longer than it is.

        Raises
        ------
        ValueError
            If a UID is not ASCII, if `received_at` has no time zone, or if it is longer, or cannot be of that length.
        """
        whole = self._encoded(0)
        missing_bytes = size_bytes - len(whole)
        if not size_bytes or not missing_bytes:
            return whole
        if missing_bytes < 0 or missing_bytes % 2 or self.received_at is None:
            raise ValueError(f"a file meta information of {len(whole)} bytes cannot have {size_bytes}")
        return self._encoded(missing_bytes)

    def _encoded(self, spaces: int) -> bytes:
        elements = b"".join((
            _VERSION_ELEMENT,
            _remembered_element(_SOP_CLASS_UID, "UI", self.sop_class_uid),
            _element(_SOP_INSTANCE_UID, "UI", self.sop_instance_uid.encode("ascii")),
            _remembered_element(_TRANSFER_SYNTAX_UID, "UI", self.transfer_syntax_uid),
            _IMPLEMENTATION_ELEMENTS,
            _remembered_element(_SOURCE_AE_TITLE, "AE", self.source_ae_title),
            self._private_elements(spaces),
        ))
        return PREAMBLE + _element(0x0000, "UL", _LENGTH.pack(len(elements))) + elements

    def _private_elements(self, spaces: int) -> bytes:
        if self.received_at is None:
            return b""
        if self.received_at.tzinfo is None:
            raise ValueError("the moment of receipt has no time zone")
        received = self.received_at.astimezone(UTC).isoformat()
        encoded = f'{{"received":"{received}",{_remembered_information(self.duplicates, self.original)}'.encode("ascii")
        return _CREATOR_ELEMENT + _element(_PRIVATE_INFORMATION, "OB", encoded + b" " * spaces)


def read_file_meta(stream: BinaryIO) -> FileMeta:
    """Read the file meta information at the current position of a stream.

    At most `META_SIZE_MAX_BYTES` are read, and the stream is left somewhere behind the meta information: seek
    to `data_set_offset` before reading on. The group length is not relied upon, because many programs write a
    wrong one.

    Raises
    ------
    NotPart10
        If there is no prefix, no meta information, or none that ends within the limit.
    """
    head = stream.read(META_SIZE_MAX_BYTES)
    if head[128:132] != b"DICM":
        raise NotPart10("no DICM prefix after 128 bytes of preamble")
    values, data_set_offset = _group_2_values(head)
    if not values:
        raise NotPart10("no file meta information after the DICM prefix")
    received_at, duplicates, original = _private_information(values)
    return FileMeta(
        sop_class_uid=_text(values, _SOP_CLASS_UID),
        sop_instance_uid=_text(values, _SOP_INSTANCE_UID),
        transfer_syntax_uid=_text(values, _TRANSFER_SYNTAX_UID),
        source_ae_title=_text(values, _SOURCE_AE_TITLE),
        received_at=received_at,
        duplicates=duplicates,
        data_set_offset=data_set_offset,
        original=original,
    )


def _element(element: int, vr: str, value: bytes) -> bytes:
    return EXPLICIT_LITTLE.element(_GROUP << 16 | element, vr, padded(value, vr))


@lru_cache(maxsize=1024)
def _remembered_element(element: int, vr: str, text: str) -> bytes:
    """Encode what many instances have in common."""
    return _element(element, vr, text.encode("ascii", "strict" if vr == "UI" else "replace"))


@lru_cache(maxsize=16)
def _remembered_information(duplicates: str | None, original: Original | None) -> str:
    """Return what stands behind the moment of receipt in the JSON object, and its end."""
    information: dict[str, Any] = {"duplicates": duplicates}
    if original is not None:
        information["original"] = asdict(original)
    return _encode_json(information)[1:]


def _group_2_values(head: bytes) -> tuple[dict[int, bytes], int]:
    """Return the values of group 0002 by element number, and where the first element of another group is."""
    values: dict[int, bytes] = {}
    offset, layout = len(PREAMBLE), layout_of(little_endian=True)
    while head[offset : offset + 2] == b"\x02\x00":
        found = layout.value_of(head, offset, False)  # some old programs wrote the meta information in implicit VR
        if found is None:
            raise NotPart10("the file ends within the file meta information")
        _, start, length = found
        _, element, _ = layout.implicit_header(head, offset)
        offset = start + length
        if offset > len(head):
            raise NotPart10(f"the file meta information does not end within {len(head)} bytes")
        values[element] = head[start:offset]
    return values, offset


def _text(values: dict[int, bytes], element: int) -> str:
    return values.get(element, b"").decode("ascii", "replace").strip(" \x00")


def _private_information(values: dict[int, bytes]) -> tuple[datetime | None, str | None, Original | None]:
    """Return what `FileMeta.encode` has put into Private Information, or None each if it is not ours."""
    if _text(values, _PRIVATE_INFORMATION_CREATOR_UID) != PRIVATE_INFORMATION_CREATOR_UID:
        return None, None, None
    try:
        information = json.loads(_text(values, _PRIVATE_INFORMATION))
        received_at = datetime.fromisoformat(information["received"])
        original = information.get("original")
        return received_at.astimezone(UTC), information.get("duplicates"), original and Original(**original)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None, None, None


# What is the same in every file.
_VERSION_ELEMENT = _element(0x0001, "OB", _VERSION)
_IMPLEMENTATION_ELEMENTS = _element(
    0x0012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")
) + _element(0x0013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"))
_CREATOR_ELEMENT = _element(
    _PRIVATE_INFORMATION_CREATOR_UID, "UI", PRIVATE_INFORMATION_CREATOR_UID.encode("ascii")
)
