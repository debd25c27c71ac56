"""Encoded elements as pydicom keeps what it has read but not decoded."""

from __future__ import annotations

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from medserver.dicom.character_sets import python_codecs, read_specific_character_set
from medserver.dicom.elements import ScannedElements
from medserver.dicom.transfer_syntaxes import TransferSyntax

SPECIFIC_CHARACTER_SET = 0x00080005


def undecoded(scanned: ScannedElements, syntax: TransferSyntax) -> Dataset:
    """Return elements as a data set that decodes a value when it is asked for.

    Parameters
    ----------
    scanned : ScannedElements
        The elements; texts are decoded by the Specific Character Set among them.
    syntax : TransferSyntax
        How they are encoded.
    """
    elements = {}
    for number, (vr, value) in scanned.values.items():
        tag = Tag(number)
        elements[tag] = RawDataElement(tag, vr or None, len(value), value, 0, not vr, syntax.little_endian)
    dataset = Dataset(elements)
    _, raw = scanned.values.get(SPECIFIC_CHARACTER_SET, ("CS", b""))
    encodings = python_codecs(read_specific_character_set(raw))
    dataset.set_original_encoding(syntax.implicit_vr, syntax.little_endian, encodings)
    return dataset
