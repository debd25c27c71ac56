"""Answers to a C-FIND as they leave: values to an encoded identifier (PS3.4 C.4.1.1.3.2).

An answer has a dozen short elements whose tags are the same for the whole query, so the headers are made once and
the values are joined; a data set in between would take most of the time of a large query.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.codecs.data_sets import write_element
from medserver.codecs.syntaxes import encoding_of
from medserver.dicom.character_sets import TEXT_VRS, character_set_for, is_usable
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS

DEFAULT_CHARACTER_SET = "ISO_IR 100"
"""Stated for values that every character set can represent: (0008,0005) is always present."""

_LONG_FORM = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}

SPECIFIC_CHARACTER_SET = 0x00080005
QUERY_RETRIEVE_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
INSTANCE_AVAILABILITY = "InstanceAvailability"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the query.

    Attributes
    ----------
    tag : int
        Group and element.
    vr : str
        The Value Representation of the query.
    keyword : str
        Empty for a key that is not supported: it is returned without a value.
    """

    tag: int
    vr: str
    keyword: str


class AnswerEncoder:
    """Encodes the answers to one query.

    Parameters
    ----------
    keys : sequence of Key
        What was asked for.
    level : str
        The Query/Retrieve Level; empty where it is not relevant, and then from where to retrieve is not said either.
    transfer_syntax_uid : str
        An uncompressed transfer syntax.
    retrieve_ae_title : str
        From where the instances can be retrieved: our AE title.
    requested_character_sets : sequence of str
        The Specific Character Set of the query, which is used if it can represent the values.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        level: str,
        transfer_syntax_uid: str,
        retrieve_ae_title: str,
        requested_character_sets: Sequence[str] = (),
    ) -> None:
        self._encoding = encoding_of(transfer_syntax_uid)
        self._implicit_vr = self._encoding.implicit_vr
        self._order = "<" if self._encoding.little_endian else ">"
        is_single = len(requested_character_sets) == 1 and is_usable(requested_character_sets)
        self._requested = tuple(requested_character_sets) if is_single else ()
        own = {
            tag: self._element(tag, vr, _padded(text.encode("ascii", "replace")))
            for tag, vr, text in (
                (QUERY_RETRIEVE_LEVEL, "CS", level),
                (RETRIEVE_AE_TITLE, "AE", retrieve_ae_title),
            )
            if level
        }
        self._parts: list[tuple[int, Key | None, bytes]] = sorted(
            [(tag, None, encoded) for tag, encoded in own.items()]
            + [self._part(key) for key in keys if key.tag not in own],
            key=lambda part: part[0],
        )
        self._before = [part for part in self._parts if part[0] < SPECIFIC_CHARACTER_SET]
        self._after = [part for part in self._parts if part[0] > SPECIFIC_CHARACTER_SET]

    def _part(self, key: Key) -> tuple[int, Key | None, bytes]:
        """Return what is known of a key before the first answer."""
        if key.keyword == INSTANCE_AVAILABILITY:
            return key.tag, None, self._element(key.tag, "CS", b"ONLINE")
        empty = self._element(key.tag, key.vr, b"")
        return key.tag, key if key.keyword else None, empty

    def encode(self, values: dict) -> bytes:
        """Return an encoded identifier.

        Parameters
        ----------
        values : dict of str
            By keyword: None, str, int, a list of these, a `Dataset` list for a sequence, or a `DataElement`.
        """
        character_set = self._character_set(values)
        codec = python_encoding.get(character_set, "utf-8")
        encoded = [self._encode_part(part, values, codec, character_set) for part in self._before]
        encoded.append(self._element(SPECIFIC_CHARACTER_SET, "CS", _padded(character_set.encode())))
        encoded += [self._encode_part(part, values, codec, character_set) for part in self._after]
        return b"".join(encoded)

    def _encode_part(self, part, values: dict, codec: str, character_set: str) -> bytes:
        tag, key, ready = part
        if key is None:
            return ready
        value = values.get(key.keyword)
        if value is None or value == "":
            return ready
        if isinstance(value, DataElement):
            try:
                return self._written(value, character_set)
            except PYDICOM_ERRORS:
                return ready  # a stored value that breaks the rules of its VR
        if key.vr == "SQ":
            return self._written(DataElement(tag, "SQ", value), character_set)
        return self._element(tag, key.vr, self._value(key.vr, value, codec))

    def _character_set(self, values: dict) -> str:
        texts = list(_texts(values.values()))
        if all(map(str.isascii, texts)):
            return self._requested[0] if self._requested else DEFAULT_CHARACTER_SET
        return character_set_for(texts, self._requested) or DEFAULT_CHARACTER_SET

    def _value(self, vr: str, value: object, codec: str) -> bytes:
        values = value if isinstance(value, (list, tuple)) else [value]
        if vr in _NUMBERS:
            return b"".join(struct.pack(self._order + _NUMBERS[vr], _number(vr, one)) for one in values)
        text = "\\".join(map(str, values))
        raw = text.encode(codec if vr in TEXT_VRS else "ascii", "replace")
        return _padded(raw, b"\0" if vr == "UI" else b" ")

    def _element(self, tag: int, vr: str, raw: bytes) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if self._implicit_vr:
            return struct.pack("<HHI", group, element, len(raw)) + raw
        if vr in _LONG_FORM:
            return struct.pack(self._order + "HH2sHI", group, element, vr.encode(), 0, len(raw)) + raw
        raw = raw[:0xFFFE]
        return struct.pack(self._order + "HH2sH", group, element, vr.encode(), len(raw)) + raw

    def _written(self, element: DataElement, character_set: str) -> bytes:
        """Encode an element of a stored header, sequences included."""
        return write_element(element, self._encoding, [python_encoding.get(character_set, "utf-8")])


def _texts(values):
    """Yield every text among values, lists and sequences."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)
        elif isinstance(value, DataElement):
            yield from _texts([value.value] if value.VR != "SQ" else value.value)
        elif isinstance(value, Dataset):
            yield from _texts(element for element in value)
        elif value is not None and not isinstance(value, (bytes, int, float, dict)):
            yield str(value)


def _number(vr: str, value: object) -> int | float:
    return float(value) if vr in ("FL", "FD") else int(value)


def _padded(raw: bytes, padding: bytes = b" ") -> bytes:
    return raw + padding if len(raw) % 2 else raw


