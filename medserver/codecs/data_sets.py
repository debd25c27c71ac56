"""Small data sets of a peer as objects of pydicom, and elements of them as bytes: bounded, whatever is in them.

pydicom reads, decodes and writes nested data sets with functions that call themselves, and at each level it says all
that it knows of an error once more: a few hundred bytes take gigabytes and minutes. Here a data set is taken apart
by `elements.Walker`, and pydicom converts single values only.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import BinaryIO

from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO, DicomFileLike
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element, write_dataset
from pydicom.tag import Tag

from medserver.codecs.elements import Walker
from medserver.codecs.representations import LONG_LENGTH, VALID, representation_of
from medserver.codecs.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding, encoding_of
from medserver.dicom.character_sets import python_codecs, read_specific_character_set
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import CannotTranscode, CannotUnderstand

SPECIFIC_CHARACTER_SET = 0x00080005

_ITEM_GROUP, _ITEM_ELEMENT = 0xFFFE, 0xE000

UIDS_MAX = 50_000
"""How many UIDs a list may have: one of whole UIDs of that number is 2 MB."""

_SHORT_VRS = VALID - LONG_LENGTH
_SHORT_VALUE_MAX_BYTES = 0xFFFF
_MULTIPLE_TEXT_VRS = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC"})
"""Texts of which there may be several, without UI: it costs little, and there may be many of them."""


def is_too_long(vr: str, size_bytes: int) -> bool:
    """Tell whether a value is longer than explicit VR allows its VR (PS3.5 7.1.2).

    In implicit VR it may be of any length, and names and lists of megabytes take minutes to decode.
    """
    return size_bytes > _SHORT_VALUE_MAX_BYTES and vr in _SHORT_VRS


def read_data_set(raw: bytes, transfer_syntax_uid: str, *, elements_max: int, depth_max: int) -> Dataset:
    """Read a data set, every value of it.

    Parameters
    ----------
    raw : bytes
        The encoded data set, inflated if its transfer syntax is deflated.
    transfer_syntax_uid : str
        How it should be encoded. Explicit VR where it should be implicit is read as it is.
    elements_max : int
        How many elements, items and text values it may have, those in sequences included. The values of a UI do
        not count, see `UIDS_MAX`.
    depth_max : int
        How deep items may be nested.

    Returns
    -------
    Dataset
        Nothing in it is left to be converted, so that later use cannot fail on a peer's bytes.

    Raises
    ------
    CannotUnderstand
        It is damaged, larger or nested more deeply than is allowed, or a value does not have the form of its VR.
    """
    encoding = encoding_of(transfer_syntax_uid)
    if encoding.implicit_vr and raw[4:6].isalpha() and raw[4:6].isupper():
        encoding = EXPLICIT_LITTLE  # as a length the two capitals would be 16 kB at least
    return _read(raw, encoding, python_codecs(()), elements_max, depth_max)


def read_sequence(
    element: RawDataElement, encodings: Sequence[str], *, elements_max: int, depth_max: int
) -> DataElement:
    """Read the items of a sequence that pydicom has not converted.

    Parameters
    ----------
    element : RawDataElement
        Its value holds the items, without a delimiter behind them.
    encodings : sequence of str
        The character set of the data set that it stands in, as Python's names.
    elements_max, depth_max : int
        As for `read_data_set`.

    Raises
    ------
    CannotUnderstand
        As for `read_data_set`.
    """
    encoding = Encoding(implicit_vr=element.is_implicit_VR, little_endian=element.is_little_endian)
    if element.VR == "UN":
        encoding = IMPLICIT_LITTLE  # PS3.5 6.2.2
    raw = _header(element.tag, "SQ", len(element.value or b""), encoding) + (element.value or b"")
    dataset = _read(raw, encoding, encodings, elements_max, depth_max)
    return dataset[element.tag]


def write_element(element: DataElement, encoding: Encoding, encodings: Sequence[str]) -> bytes:
    """Encode an element that was read here; sequences and items get defined lengths.

    Parameters
    ----------
    element : DataElement
        Converted, with all that is in it.
    encoding : Encoding
        How to write.
    encodings : sequence of str
        The character set for its texts, as Python's names; an item that states one of its own keeps that.
    """
    if element.VR != "SQ":
        stream = DicomBytesIO()
        stream.is_implicit_VR, stream.is_little_endian = encoding.implicit_vr, encoding.little_endian
        write_data_element(stream, element, list(encodings))
        return stream.getvalue()
    items = b"".join(_item(item, encoding, encodings) for item in element.value or ())
    return _header(element.tag, "SQ", len(items), encoding) + items


def write_whole(dataset: Dataset, output: BinaryIO, encoding: Encoding) -> None:
    """Encode a data set into a file, as pydicom does it: what was not touched is written as it was read."""
    file = DicomFileLike(output)
    file.is_implicit_VR, file.is_little_endian = encoding.implicit_vr, encoding.little_endian
    write_dataset(file, dataset)


def _item(item: Dataset, encoding: Encoding, encodings: Sequence[str]) -> bytes:
    stated = item.get("SpecificCharacterSet")
    if stated:
        encodings = python_codecs([stated] if isinstance(stated, str) else stated)
    value = b"".join(
        write_element(correct_ambiguous_vr_element(element, item, encoding.little_endian), encoding, encodings)
        for element in item
        if element.tag.element != 0  # group lengths are retired (PS3.5 7.2), and would be wrong
    )
    return encoding.tag_and_length.pack(_ITEM_GROUP, _ITEM_ELEMENT, len(value)) + value


def _header(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    """Return tag, VR and length of an element whose VR has the long form (PS3.5 7.1.2, 7.1.3)."""
    group, element = tag >> 16, tag & 0xFFFF
    if encoding.implicit_vr:
        return encoding.tag_and_length.pack(group, element, length)
    header = encoding.tag_vr_and_length.pack(group, element, vr.encode("ascii"), 0)
    return header + encoding.long_length.pack(length)


def _read(
    raw: bytes, encoding: Encoding, encodings: Sequence[str], elements_max: int, depth_max: int
) -> Dataset:
    stream = BytesIO(raw)
    builder = _Builder(stream, encodings, elements_max, depth_max)
    try:
        Walker(stream, len(raw), encoding, builder).walk()
    except CannotTranscode as error:
        raise CannotUnderstand(f"the data set is damaged: {error}") from None
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand(f"a value cannot be read: {type(error).__name__}") from None
    return builder.dataset


class _Builder:
    """Visitor that makes a `Dataset` of what it is told of.

    Parameters
    ----------
    stream : BytesIO
        The stream that is walked through.
    encodings : sequence of str
        The character set of the outermost data set, if it states none.
    elements_max, depth_max : int
        As for `read_data_set`.
    """

    dataset: Dataset

    def __init__(
        self, stream: BytesIO, encodings: Sequence[str], elements_max: int, depth_max: int
    ) -> None:
        self._stream = stream
        self._encodings = list(encodings)
        self._left = elements_max
        self._depth_max = depth_max
        self._open: list[dict[int, RawDataElement | DataElement]] = []
        self._sequences: list[tuple[int, list[Dataset]]] = []

    def begin_data_set(self, offset: int) -> None:
        """Begin the data set, or an item."""
        self._count()
        if len(self._open) > self._depth_max:
            raise CannotTranscode(f"items are nested more than {self._depth_max} deep")
        self._open.append({})

    def end_data_set(self) -> None:
        """Convert what stands in it."""
        encodings = self._encodings_here()
        elements = self._open.pop()
        dataset = Dataset({Tag(tag): _converted(elements[tag], encodings) for tag in sorted(elements)})
        if self._sequences:
            self._sequences[-1][1].append(dataset)
        else:
            self.dataset = dataset

    def begin_sequence(self, tag: int) -> None:
        """Begin a sequence."""
        self._count()
        self._sequences.append((tag, []))

    def end_sequence(self) -> None:
        """Put the sequence where it stands."""
        tag, items = self._sequences.pop()
        self._open[-1][tag] = DataElement(Tag(tag), "SQ", items)

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Keep an element until its data set has ended."""
        if vr != "UI" and is_too_long(vr, length):  # a list of UIDs may be long
            raise CannotTranscode(f"a value of VR {vr} has {length} bytes")
        if vr == "UN" and representation_of(tag) == "SQ":
            raise CannotTranscode("a sequence as UN with a defined length")  # pydicom would read what is in it
        value = self._stream.read(length)
        if vr == "UI" and value.count(b"\\") >= UIDS_MAX:
            raise CannotTranscode("a list of too many UIDs")
        self._count(1 + (value.count(b"\\") if vr in _MULTIPLE_TEXT_VRS else 0))
        self._open[-1][tag] = RawDataElement(
            Tag(tag), vr, length, value, 0, encoding.implicit_vr, encoding.little_endian
        )

    def fragments(self, offset: int, length: int) -> None:
        """Refuse encapsulated Pixel Data."""
        raise CannotTranscode("encapsulated Pixel Data")

    def _count(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise CannotTranscode("there are too many elements")

    def _encodings_here(self) -> list[str]:
        """Return the character set of the innermost data set: its own, or that of the nearest one around it."""
        for elements in reversed(self._open):
            stated = elements.get(SPECIFIC_CHARACTER_SET)
            if stated is not None and stated.value:
                return python_codecs(read_specific_character_set(stated.value))
        return self._encodings


def _converted(element: RawDataElement | DataElement, encodings: list[str]) -> DataElement:
    return element if isinstance(element, DataElement) else convert_raw_data_element(element, encoding=encodings)
