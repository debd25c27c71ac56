"""Attribute lists as DICOM JSON (PS3.18 F.2): read from bytes and written to bytes, with no pydicom data set between.

A performed procedure step may name thirty thousand instances, and a `Dataset` of each reference costs several times
what it costs here. What is read is bounded as in `data_sets`; what is neither UID nor text is converted as there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

from pydicom.dataset import Dataset

from medserver.dicom.character_sets import decode_value, python_codecs
from medserver.dicom.data_sets import (
    Builder,
    RawValue,
    build,
    converted,
    encoding_as_sent,
    unambiguous_element,
    walked,
    write_element,
)
from medserver.dicom.encodings import SHORT_LENGTH_MAX_BYTES, Encoding, encoding_of
from medserver.dicom.representations import TEXT_VRS, UNDIVIDED_VRS
from medserver.dicom.walker import PIXEL_DATA
from medserver.errors import DataSetTooLarge

JSON = Mapping[str, Any]
"""A data set or an item: tag of eight hexadecimal digits -> element."""

SPECIFIC_CHARACTER_SET = "00080005"
_SIMPLE_VRS = (TEXT_VRS - {"PN"}) | {"UI"}
"""Values of these VRs are their texts."""


def read_json(raw: bytes, transfer_syntax_uid: str, *, elements_max: int, depth_max: int) -> dict[str, Any]:
    """Read a data set, every value of it, as DICOM JSON.

    Parameters
    ----------
    raw, transfer_syntax_uid, elements_max, depth_max
        As for `data_sets.read_data_set`.

    Raises
    ------
    CannotUnderstand, DataSetTooLarge
        As there.
    """
    return build(_Builder, raw, encoding_as_sent(raw, transfer_syntax_uid), python_codecs(()), elements_max, depth_max)


def write_json(content: JSON, transfer_syntax_uid: str) -> bytes:
    """Encode a data set that is DICOM JSON of ours, as `data_sets.write_data_set` does.

    Parameters
    ----------
    content : mapping
        Its texts are written in its own Specific Character Set.
    transfer_syntax_uid : str
        How to write; a deflated one is not deflated here.
    """
    return _written(content, encoding_of(transfer_syntax_uid), python_codecs(()))


def data_set_from_json(content: JSON) -> Dataset:
    """Return the data set that is DICOM JSON of ours, not of a peer."""
    return Dataset.from_json(content)


class PixelPlace(NamedTuple):
    """Where the value of Pixel Data lies in a stream, the order of its bytes, and its VR."""

    offset: int
    size_bytes: int
    is_big_endian: bool
    vr: str


def read_json_beside_pixels(
    stream: BinaryIO,
    size_bytes: int,
    transfer_syntax_uid: str,
    *,
    elements_max: int,
    depth_max: int,
    values_max_bytes: int,
) -> tuple[dict[str, Any], list[PixelPlace]]:
    """Read a data set as `read_json` does, but for Pixel Data at any level: only where that is is told.

    Parameters
    ----------
    stream : BinaryIO
        A seekable stream that begins with the data set.
    size_bytes : int
        The length of the data set.
    transfer_syntax_uid, elements_max, depth_max
        As for `read_json`.
    values_max_bytes : int
        How long all other values may be together: these are read into memory, however long the stream is.

    Raises
    ------
    CannotUnderstand, DataSetTooLarge
        As there.
    """
    stream.seek(0)
    encoding = encoding_as_sent(stream.read(8), transfer_syntax_uid)
    builder = _BuilderBesidePixels(values_max_bytes, stream, python_codecs(()), elements_max, depth_max)
    return walked(builder, size_bytes, encoding), builder.places


class _Builder(Builder[dict[str, Any]]):
    """Makes DICOM JSON."""

    def make(self, elements: Mapping[int, RawValue | list[dict[str, Any]]], codecs: Sequence[str]) -> dict[str, Any]:
        """Return the data set."""
        return {f"{tag:08X}": _element(tag, element, codecs) for tag, element in elements.items()}


class _BuilderBesidePixels(_Builder):
    """Makes DICOM JSON, and notes where Pixel Data is."""

    def __init__(self, values_max_bytes: int, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.places: list[PixelPlace] = []
        self._left_bytes = values_max_bytes

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Keep an element, or note where it is."""
        if tag != PIXEL_DATA:
            self._left_bytes -= length
            if self._left_bytes < 0:
                raise DataSetTooLarge("the values beside Pixel Data are too long")
            super().element(tag, vr, length, encoding)
            return
        self._count()
        self.places.append(PixelPlace(self.stream.tell(), length, not encoding.little_endian, vr))


def _element(tag: int, element: RawValue | list[dict[str, Any]], codecs: Sequence[str]) -> dict[str, Any]:
    if isinstance(element, list):
        return {"vr": "SQ", "Value": element}
    vr = element.vr
    if vr not in _SIMPLE_VRS:
        return converted(tag, element, codecs).to_json_dict(None, 0)
    text = decode_value(element.value, vr, codecs)
    if not text:
        return {"vr": vr}
    return {"vr": vr, "Value": [text] if vr in UNDIVIDED_VRS else text.split("\\")}


def _written(content: JSON, encoding: Encoding, codecs: Sequence[str]) -> bytes:
    stated = content.get(SPECIFIC_CHARACTER_SET, {}).get("Value")
    if stated:
        codecs = python_codecs(stated)
    return b"".join(_written_element(tag, content, encoding, codecs) for tag in sorted(content))


def _written_element(tag: str, content: JSON, encoding: Encoding, codecs: Sequence[str]) -> bytes:
    element = content[tag]
    vr, values = element["vr"], element.get("Value") or ()
    if vr == "SQ":
        return encoding.sequence(int(tag, 16), (_written(item, encoding, codecs) for item in values))
    if vr == "UI":
        text = "\\".join(values)
        if text.isascii() and len(text) <= SHORT_LENGTH_MAX_BYTES:
            return encoding.text(int(tag, 16), vr, text)
    # Which VR it is may depend on others that stand beside it (PS3.5 A.1).
    beside = {tag: element} if " or " not in vr else {other: one for other, one in content.items() if one["vr"] != "SQ"}
    dataset = data_set_from_json(beside)
    return write_element(unambiguous_element(dataset[tag], dataset), encoding, codecs)
