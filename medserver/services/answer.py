"""Answers to a C-FIND as they leave: values to an encoded identifier (PS3.4 C.4.1.1.3.2).

An answer has a dozen short elements whose tags are the same for the whole query, so the headers are made once and
the values are joined; a data set in between would take most of the time of a large query.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.dicom.character_sets import SPECIFIC_CHARACTER_SET, character_set_for, is_usable, python_codecs
from medserver.dicom.data_sets import write_element
from medserver.dicom.encodings import SHORT_LENGTH_MAX_BYTES, encoding_of, padded
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.representations import BINARY_NUMBERS, FLOAT_VRS, LONG_LENGTH, TEXT_VRS
from medserver.queries.key import UNREADABLE, Key

DEFAULT_CHARACTER_SET = "ISO_IR 100"
"""Stated for values that every character set can represent: (0008,0005) is always present."""

QUERY_RETRIEVE_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
INSTANCE_AVAILABILITY = "InstanceAvailability"


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
        self._header = self._encoding.header
        is_single = len(requested_character_sets) == 1 and is_usable(requested_character_sets)
        self._requested = tuple(requested_character_sets) if is_single else ()
        own = {
            tag: self._encoding.element(tag, vr, padded(text.encode("ascii", "replace"), vr))
            for tag, vr, text in (
                (QUERY_RETRIEVE_LEVEL, "CS", level),
                (RETRIEVE_AE_TITLE, "AE", retrieve_ae_title),
            )
            if level
        }
        self._parts: list[tuple[int, Key | None, bytes]] = sorted(
            [(tag, None, encoded) for tag, encoded in {SPECIFIC_CHARACTER_SET: b"", **own}.items()]
            + [self._part(key) for key in keys if key.tag not in own],
            key=lambda part: part[0],
        )

    def _part(self, key: Key) -> tuple[int, Key | None, bytes]:
        """Return what is known of a key before the first answer."""
        if key.keyword == INSTANCE_AVAILABILITY:
            return key.tag, None, self._encoding.element(key.tag, "CS", b"ONLINE")
        return key.tag, key if key.keyword else None, self._encoding.text(key.tag, key.vr, key.constant)

    def encode(self, values: dict) -> tuple[bytes, bool]:
        """Encode an identifier.

        Parameters
        ----------
        values : dict of str
            By keyword: None, str, int, a list of these, a `Dataset` list for a sequence, a `DataElement`, or
            `UNREADABLE`.

        Returns
        -------
        identifier : bytes
            The encoded identifier.
        complete : bool
            Whether every value could be told. A key whose value does not have the form of its VR is left empty.
        """
        character_set = self._character_set(values)
        [codec] = python_codecs((character_set,))
        encoded: list[bytes] = []
        complete = True
        for part in self._parts:
            tag, key, ready = part
            if tag == SPECIFIC_CHARACTER_SET:
                ready = self._encoding.text(tag, "CS", character_set)
            elif key is not None:
                value = values.get(key.keyword)
                if value is not None and value != "":
                    try:
                        ready = self._encoded(key, value, codec)
                    except PYDICOM_ERRORS:
                        complete = False
            encoded.append(ready)
        return b"".join(encoded), complete

    def _encoded(self, key: Key, value: object, codec: str) -> bytes:
        """Encode a value; what it raises is among `PYDICOM_ERRORS`."""
        if value is UNREADABLE:
            raise ValueError("a stored value that cannot be read")
        if isinstance(value, DataElement):
            return write_element(value, self._encoding, [codec])
        vr = key.vr
        if vr == "SQ":
            return write_element(DataElement(key.tag, "SQ", value), self._encoding, [codec])
        if vr in BINARY_NUMBERS:
            raw = self._numbers(vr, value)
        else:
            raw = self._text(vr, value, codec)
        return self._header(key.tag, vr, len(raw)) + raw

    def _numbers(self, vr: str, value: object) -> bytes:
        numbers = map(float if vr in FLOAT_VRS else int, value if isinstance(value, (list, tuple)) else [value])
        values = list(numbers)
        return struct.pack(f"{self._encoding.byte_order}{len(values)}{BINARY_NUMBERS[vr]}", *values)

    def _text(self, vr: str, value: object, codec: str) -> bytes:
        texts = list(map(str, value)) if isinstance(value, (list, tuple)) else [str(value)]
        codec = codec if vr in TEXT_VRS else "ascii"
        raw = padded("\\".join(texts).encode(codec), vr)
        if len(raw) <= SHORT_LENGTH_MAX_BYTES or self._encoding.implicit_vr or vr in LONG_LENGTH:
            return raw
        return padded(_cut(texts, codec), vr)

    def _character_set(self, values: dict) -> str:
        texts = list(_texts(values.values()))
        if all(map(str.isascii, texts)):
            return self._requested[0] if self._requested else DEFAULT_CHARACTER_SET
        return character_set_for(texts, self._requested) or DEFAULT_CHARACTER_SET


def _cut(texts: Sequence[str], codec: str) -> bytes:
    """Return what 16 bits can tell the length of: whole values, or of a single one whole characters."""
    encoded = [text.encode(codec) for text in texts]
    ends = accumulate(len(raw) + 1 for raw in encoded)
    count = sum(end <= SHORT_LENGTH_MAX_BYTES for end in ends)
    if count:
        return b"\\".join(encoded[:count])
    return encoded[0][:SHORT_LENGTH_MAX_BYTES].decode(codec, "ignore").encode(codec)


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
