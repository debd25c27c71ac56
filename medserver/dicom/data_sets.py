"""Small data sets: identifiers, answers, attribute lists, items. Read from bytes, written to bytes.

Who reads says how much it takes: the bytes are those of a peer. pydicom reads, decodes and writes nested data sets with
functions that call themselves, and at each level it says all that it knows of an error once more: a few hundred bytes
take gigabytes and minutes. Here a data set is taken apart by `walker.Walker`, text is decoded by `character_sets`, and
pydicom converts other single values only.

What may name very many instances is read and written without these objects, which are slow: attribute lists of MPPS
as DICOM JSON by `json_model`, what Storage Commitment asks and reports by `storage_commitment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import BinaryIO, Generic, NamedTuple, TypeVar

from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr_element, write_data_element
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.valuerep import PersonName

from medserver.dicom.character_sets import (
    SPECIFIC_CHARACTER_SET,
    decode_value,
    python_codecs,
    read_specific_character_set,
)
from medserver.dicom.encodings import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding, encoding_of, padded
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.representations import (
    LONG_LENGTH,
    MULTIPLE_TEXT_VRS,
    TEXT_VRS,
    UNDIVIDED_VRS,
    VALID,
    representation_of,
)
from medserver.dicom.walker import Walker
from medserver.errors import CannotTranscode, CannotUnderstand, DataSetTooLarge

Built = TypeVar("Built")

UIDS_MAX = 50_000
"""How many UIDs a list may have: one of whole UIDs of that number is 2 MB."""

_SHORT_VRS = VALID - LONG_LENGTH
_SHORT_VALUE_MAX_BYTES = 0xFFFF
_COUNTED_VRS = MULTIPLE_TEXT_VRS - {"UI"}
"""Texts whose values are counted: a UID costs little, and there may be many of them."""

_NO_DATA_SET_GROUPS = (0x0000, 0x0002)
_TRAILING_PADDING = 0xFFFCFFFC


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
        Nothing in it is left to be converted, so that later use cannot fail on a peer's bytes. Elements of the groups
        0000 and 0002, group lengths and Data Set Trailing Padding are not in it.

    Raises
    ------
    CannotUnderstand
        It is damaged, or a value does not have the form of its VR.
    DataSetTooLarge
        It is larger or nested more deeply than is allowed.
    """
    return build(_Builder, raw, encoding_as_sent(raw, transfer_syntax_uid), python_codecs(()), elements_max, depth_max)


def read_sequence(
    element: RawDataElement, codecs: str | Sequence[str], *, elements_max: int, depth_max: int
) -> DataElement:
    """Read the items of a sequence that pydicom has not converted.

    Parameters
    ----------
    element : RawDataElement
        Its value holds the items, without a delimiter behind them.
    codecs : sequence of str
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
    raw = encoding.element(element.tag, "SQ", element.value or b"")
    codecs = [codecs] if isinstance(codecs, str) else codecs
    return build(_Builder, raw, encoding, codecs, elements_max, depth_max)[element.tag]


def stored_element(
    dataset: Dataset, keyword: str | int, *, elements_max: int, depth_max: int
) -> DataElement | None:
    """Return an element of a data set that decodes values when they are asked for, with a VR that can be written.

    Parameters
    ----------
    dataset : Dataset
        For instance a stored header, as `archive.read_header` gives it.
    keyword : str or int
        The attribute, or its tag.
    elements_max, depth_max : int
        Of a sequence, as for `read_data_set`.

    Returns
    -------
    DataElement or None
        None when it is absent.

    Raises
    ------
    CannotUnderstand
        It cannot be read.
    """
    if keyword not in dataset:
        return None
    stored = dataset.get_item(keyword)
    if not isinstance(stored, RawDataElement):
        return stored
    vr = representation_of(stored.tag) if stored.VR in (None, "UN") else stored.VR
    if is_too_long(vr, len(stored.value or b"")):
        raise CannotUnderstand(f"a value of VR {vr} has {len(stored.value or b'')} bytes")
    codecs = dataset.original_character_set
    if vr == "SQ":
        return read_sequence(stored, codecs, elements_max=elements_max, depth_max=depth_max)
    try:
        return unambiguous_element(convert_element(stored, codecs), dataset)
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand(f"{keyword} cannot be read: {type(error).__name__}") from None


def convert_element(element: RawDataElement, codecs: str | Sequence[str]) -> DataElement:
    """Convert an element that pydicom has read and not converted; text is decoded as `character_sets` does it.

    Parameters
    ----------
    element : RawDataElement
        No sequence.
    codecs : str or sequence of str
        The character set of the data set that it stands in, as Python's names.
    """
    vr = representation_of(element.tag) if element.VR in (None, "UN") else element.VR
    if vr not in TEXT_VRS or not element.value:
        return convert_raw_data_element(element, encoding=list(codecs))
    text = decode_value(element.value, vr, (codecs,) if isinstance(codecs, str) else codecs)
    texts = [text] if vr in UNDIVIDED_VRS else text.split("\\")
    values = list(map(PersonName, texts)) if vr == "PN" else texts
    value = values[0] if len(values) == 1 else MultiValue(PersonName if vr == "PN" else str, values)
    return DataElement(element.tag, vr, value, already_converted=True)


def unambiguous_element(element: DataElement, dataset: Dataset) -> DataElement:
    """Return an element with one VR where the data dictionary has several (PS3.5 A.1): unsigned or signed numbers by
    Pixel Representation, numbers or bytes by LUT Descriptor.

    Parameters
    ----------
    element : DataElement
        Of several VRs only if it was read from implicit VR, which is little endian.
    dataset : Dataset
        In which it stands. What does not tell the VR leaves it at OW, or at US where OW cannot be.
    """
    if " or " not in element.VR:
        return element
    try:
        return correct_ambiguous_vr_element(element, dataset, True)
    except AttributeError:
        return DataElement(element.tag, "OW" if "OW" in element.VR else "US", element.value)


def write_data_set(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """Encode a data set, its texts in its own Specific Character Set; sequences and items get defined lengths.

    Parameters
    ----------
    dataset : Dataset
        Nothing in it is left to be converted.
    transfer_syntax_uid : str
        How to write; a deflated one is not deflated here.
    """
    return _written(dataset, encoding_of(transfer_syntax_uid), python_codecs(()))


def write_element(element: DataElement, encoding: Encoding, codecs: Sequence[str]) -> bytes:
    """Encode an element that was read here; sequences and items get defined lengths.

    Parameters
    ----------
    element : DataElement
        Converted, with all that is in it.
    encoding : Encoding
        How to write.
    codecs : sequence of str
        The character set for its texts, as Python's names; an item that states one of its own keeps that.
    """
    if element.VR == "SQ":
        return encoding.sequence(element.tag, (_written(item, encoding, codecs) for item in element.value or ()))
    if element.VR == "UN" and element.value:  # pydicom does not pad it
        element = DataElement(element.tag, "UN", padded(element.value, "UN"))
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = encoding.implicit_vr, encoding.little_endian
    write_data_element(stream, element, list(codecs))
    return stream.getvalue()


def _written(dataset: Dataset, encoding: Encoding, codecs: Sequence[str]) -> bytes:
    stated = dataset.get("SpecificCharacterSet")
    if stated:
        codecs = python_codecs([stated] if isinstance(stated, str) else stated)
    return b"".join(
        write_element(unambiguous_element(element, dataset), encoding, codecs)
        for element in dataset
        if element.tag.element != 0  # group lengths are retired (PS3.5 7.2), and would be wrong
    )


def encoding_as_sent(raw: bytes, transfer_syntax_uid: str) -> Encoding:
    """Return how a data set is encoded: as its transfer syntax says, or in explicit VR where it should be implicit."""
    encoding = encoding_of(transfer_syntax_uid)
    if encoding.implicit_vr and raw[4:6].isalpha() and raw[4:6].isupper():
        return EXPLICIT_LITTLE  # as a length the two capitals would be 16 kB at least
    return encoding


def build(
    builder_class: type[Builder[Built]],
    raw: bytes,
    encoding: Encoding,
    codecs: Sequence[str],
    elements_max: int,
    depth_max: int,
) -> Built:
    """Return what a builder makes of an encoded data set.

    Raises
    ------
    CannotUnderstand
        It is damaged, or a value does not have the form of its VR.
    DataSetTooLarge
        It is larger or nested more deeply than is allowed.
    """
    return walked(builder_class(BytesIO(raw), codecs, elements_max, depth_max), len(raw), encoding)


def walked(builder: Builder[Built], size_bytes: int, encoding: Encoding) -> Built:
    """Return what a builder makes of the data set in its stream.

    Raises
    ------
    CannotUnderstand, DataSetTooLarge
        As for `build`.
    """
    try:
        Walker(builder.stream, size_bytes, encoding, builder).walk()
    except CannotTranscode as error:
        raise CannotUnderstand(f"the data set is damaged: {error}") from None
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand(f"a value cannot be read: {type(error).__name__}") from None
    return builder.built


class RawValue(NamedTuple):
    """A value as it is encoded, with what tells how."""

    vr: str
    value: bytes
    encoding: Encoding


class Builder(Generic[Built]):
    """Visitor that makes something of a data set and of its items, from the innermost on.

    Parameters
    ----------
    stream : BinaryIO
        The stream that is walked through.
    codecs : sequence of str
        The character set of the outermost data set, if it states none, as Python's names.
    elements_max, depth_max : int
        As for `read_data_set`.
    """

    built: Built

    def __init__(
        self, stream: BinaryIO, codecs: Sequence[str], elements_max: int, depth_max: int
    ) -> None:
        self.stream = stream
        self._codecs = list(codecs)
        self._left = elements_max
        self._depth_max = depth_max
        self._open: list[dict[int, RawValue | list[Built]]] = []
        self._sequences: list[tuple[int, list[Built]]] = []

    def make(self, elements: Mapping[int, RawValue | list[Built]], codecs: Sequence[str]) -> Built:
        """Make something of the elements of one data set, in ascending order.

        Parameters
        ----------
        elements : mapping
            Tag -> an encoded value, or what the items of a sequence have become.
        codecs : sequence of str
            The character set of its texts, as Python's names.
        """
        raise NotImplementedError

    def begin_data_set(self, offset: int) -> None:
        """Begin the data set, or an item."""
        self._count()
        if len(self._open) > self._depth_max:
            raise DataSetTooLarge(f"items are nested more than {self._depth_max} deep")
        self._open.append({})

    def end_data_set(self) -> None:
        """Convert what stands in it."""
        codecs = self._codecs_here()
        elements = self._open.pop()
        made = self.make({tag: elements[tag] for tag in sorted(elements)}, codecs)
        if self._sequences:
            self._sequences[-1][1].append(made)
        else:
            self.built = made

    def begin_sequence(self, tag: int) -> None:
        """Begin a sequence."""
        self._count()
        self._sequences.append((tag, []))

    def end_sequence(self) -> None:
        """Put the sequence where it stands."""
        tag, items = self._sequences.pop()
        if not _is_passed_over(tag):
            self._open[-1][tag] = items

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Keep an element until its data set has ended."""
        if _is_passed_over(tag):
            self._count()
            return
        if vr != "UI" and is_too_long(vr, length):  # a list of UIDs may be long
            raise CannotTranscode(f"a value of VR {vr} has {length} bytes")
        if vr == "UN" and representation_of(tag) == "SQ":
            raise CannotTranscode("a sequence as UN with a defined length")  # pydicom would read what is in it
        value = self.stream.read(length)
        if vr == "UI" and value.count(b"\\") >= UIDS_MAX:
            raise DataSetTooLarge("a list of too many UIDs")
        self._count(1 + (value.count(b"\\") if vr in _COUNTED_VRS else 0))
        self._open[-1][tag] = RawValue(vr, value, encoding)

    def fragments(self, offset: int, length: int) -> None:
        """Refuse encapsulated Pixel Data."""
        raise CannotTranscode("encapsulated Pixel Data")

    def _count(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise DataSetTooLarge("there are too many elements")

    def _codecs_here(self) -> list[str]:
        """Return the character set of the innermost data set: its own, or that of the nearest one around it."""
        for elements in reversed(self._open):
            stated = elements.get(SPECIFIC_CHARACTER_SET)
            if isinstance(stated, RawValue) and stated.value:
                return python_codecs(read_specific_character_set(stated.value))
        return self._codecs


def _is_passed_over(tag: int) -> bool:
    """Tell whether an element is none of a data set (PS3.5 7.1): of a command, of a file, or nothing but lengths.

    Some peers send group 0002 or Data Set Trailing Padding in identifiers; group lengths are retired (PS3.5 7.2).
    """
    return tag >> 16 in _NO_DATA_SET_GROUPS or tag & 0xFFFF == 0 or tag == _TRAILING_PADDING


class _Builder(Builder[Dataset]):
    """Makes a `Dataset`, of which every value is converted."""

    def make(self, elements: Mapping[int, RawValue | list[Dataset]], codecs: Sequence[str]) -> Dataset:
        """Return the data set."""
        return Dataset({Tag(tag): converted(tag, element, codecs) for tag, element in elements.items()})


def converted(tag: int, element: RawValue | list[Dataset], codecs: Sequence[str]) -> DataElement:
    """Return an element as pydicom has it."""
    if isinstance(element, list):
        return DataElement(Tag(tag), "SQ", element)
    vr, value, encoding = element
    raw = RawDataElement(Tag(tag), vr, len(value), value, 0, encoding.implicit_vr, encoding.little_endian)
    return convert_element(raw, codecs)
