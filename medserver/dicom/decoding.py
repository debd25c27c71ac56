"""Whole data sets of peers: bytes to pydicom data sets whose texts our own decoder has read.

For small data sets and single elements: identifiers, answers, headers. pydicom converts numbers, dates and UIDs; it
neither splits the bytes nor decodes texts, for it would obey whatever Specific Character Set a peer has chosen, in
each item anew (see `character_sets`), and would put a question mark, which is a wild card, in the place of what it
cannot encode again.
"""

from __future__ import annotations

from collections.abc import Sequence

import pydicom.config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from medserver.dicom.character_sets import TEXT_VRS, decode_text, python_codecs, read_specific_character_set
from medserver.dicom.elements import EVERY_TAG, Values, scan_elements, scan_items
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.transfer_syntaxes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TransferSyntax,
    transfer_syntax,
)
from medserver.errors import CannotUnderstand

DEPTH_MAX = 16
"""How deep sequences may be nested; each level is gone through once more for the one above it."""

_SPECIFIC_CHARACTER_SET = 0x00080005
_VR_IS_NOT_TOLD = frozenset({"", "UN"})


def decode_data_set(raw: bytes, syntax: TransferSyntax) -> Dataset:
    """Decode every element of a data set, so that later use of it cannot fail on a peer's bytes.

    Parameters
    ----------
    raw : bytes
        The encoded data set, not deflated.
    syntax : TransferSyntax
        How it is encoded.

    Returns
    -------
    Dataset
        Its Specific Character Set holds defined terms only; the items of its sequences have none, since their texts
        are decoded.

    Raises
    ------
    CannotUnderstand
        An element or item is damaged, nested too deep, or has a value that its VR does not allow.
    """
    try:
        return _decode(raw, syntax, (), 0)
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand(type(error).__name__) from None


def decode_element(dataset: Dataset, tag: int) -> DataElement:
    """Return one element of a data set of `undecoded_data_set`, decoded.

    Raises
    ------
    CannotUnderstand
        As for `decode_data_set`.
    """
    try:
        return _decoded(dataset, Tag(tag), _character_set_of(dataset, ()), _syntax_of(dataset), 0)
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand(type(error).__name__) from None


def undecoded_data_set(values: Values, syntax: TransferSyntax) -> Dataset:
    """Return scanned elements as pydicom keeps what it has read but not decoded.

    Parameters
    ----------
    values : dict
        Tag -> (VR, value), from `scan_elements`.
    syntax : TransferSyntax
        How they are encoded.

    Returns
    -------
    Dataset
        What pydicom decodes of it, it decodes with codecs of the standard: terms of Specific Character Set that are
        none have been put right.
    """
    elements: dict[BaseTag, RawDataElement] = {}
    for number, (vr, value) in values.items():
        tag = Tag(number)
        if number == _SPECIFIC_CHARACTER_SET:
            vr, value = "CS", _put_right(value)
        elements[tag] = RawDataElement(tag, vr or None, len(value), value, 0, not vr, syntax.little_endian)
    dataset = Dataset(elements)
    codecs = python_codecs(_character_set_of(dataset, ()))
    dataset.set_original_encoding(syntax.implicit_vr, syntax.little_endian, codecs)
    return dataset


def _put_right(value: bytes) -> bytes:
    right = "\\".join(read_specific_character_set(value)).encode("ascii")
    return value if value.strip(b" \0") == right else right + b" " * (len(right) % 2)


def _character_set_of(dataset: Dataset, inherited: Sequence[str]) -> Sequence[str]:
    """Return the character sets of a data set: without its own, an item has those of what it is in."""
    if _SPECIFIC_CHARACTER_SET not in dataset:
        return inherited
    return read_specific_character_set(dataset.get_item(_SPECIFIC_CHARACTER_SET).value or b"")


def _syntax_of(dataset: Dataset) -> TransferSyntax:
    implicit_vr, little_endian = dataset.original_encoding
    if implicit_vr:
        return transfer_syntax(IMPLICIT_VR_LITTLE_ENDIAN)
    return transfer_syntax(EXPLICIT_VR_LITTLE_ENDIAN if little_endian else EXPLICIT_VR_BIG_ENDIAN)


def _decode(raw: bytes, syntax: TransferSyntax, inherited: Sequence[str], depth: int) -> Dataset:
    scanned = scan_elements(raw, syntax, EVERY_TAG, depth_max=DEPTH_MAX)
    if scanned.problem is not None:
        raise CannotUnderstand(scanned.problem)
    dataset = undecoded_data_set(scanned.values, syntax)
    character_set = _character_set_of(dataset, inherited)
    for tag in list(dataset.keys()):
        dataset[tag] = _decoded(dataset, tag, character_set, syntax, depth)
    if depth and _SPECIFIC_CHARACTER_SET in dataset:
        # Whoever writes the item again does so in the character set of what it is in.
        del dataset[_SPECIFIC_CHARACTER_SET]
    return dataset


def _decoded(
    dataset: Dataset, tag: BaseTag, character_set: Sequence[str], syntax: TransferSyntax, depth: int
) -> DataElement:
    """Return a decoded element; one that pydicom has decoded already is left as it is."""
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement):
        return element
    vr, value = _vr_of(tag, element.VR or ""), element.value or b""
    if vr == "SQ":
        return DataElement(tag, vr, _decode_items(value, element.VR or "", character_set, syntax, depth))
    if vr in TEXT_VRS and value:
        text = decode_text(value, vr, character_set)
        return DataElement(tag, vr, text, validation_mode=pydicom.config.IGNORE)
    if vr == "UN":
        return DataElement(tag, vr, value, already_converted=True)
    return dataset[tag]


def _decode_items(
    value: bytes, vr: str, character_set: Sequence[str], syntax: TransferSyntax, depth: int
) -> list[Dataset]:
    if depth >= DEPTH_MAX:
        raise CannotUnderstand(f"sequences are nested more than {DEPTH_MAX} deep")
    if vr == "UN":
        syntax = transfer_syntax(IMPLICIT_VR_LITTLE_ENDIAN)  # PS3.5 6.2.2
    scanned = scan_items(value, syntax, depth_max=DEPTH_MAX)
    if not scanned.complete:
        raise CannotUnderstand("an item of a sequence is damaged")
    return [_decode(item, syntax, character_set, depth + 1) for item in scanned.items]


def _vr_of(tag: BaseTag, vr: str) -> str:
    """Return the VR of an element, from the dictionary if the encoding does not tell it."""
    if vr not in _VR_IS_NOT_TOLD:
        return vr
    if tag.is_private:
        return "LO" if tag.is_private_creator else "UN"
    if tag.element == 0:
        return "UL"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"
