"""Data sets as pydicom keeps what it has read but not decoded: a value is decoded when it is asked for.

Their texts are in the character set that `character_sets` reads out of them. `dataset_values` and `data_sets` decode
by it; pydicom would take the name of any codec of Python for a character set.
"""

from __future__ import annotations

from functools import lru_cache
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from medserver.dicom.character_sets import SPECIFIC_CHARACTER_SET, python_codecs, read_specific_character_set
from medserver.dicom.elements import ScannedElements
from medserver.dicom.encodings import Encoding
from medserver.dicom.transfer_syntaxes import TransferSyntax

_REMEMBERED_BYTES_MAX = 128


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
        make = _element if len(value) > _REMEMBERED_BYTES_MAX else _remembered_element
        element = make(number, vr, value, syntax.little_endian)
        elements[element.tag] = element
    _, raw = scanned.values.get(SPECIFIC_CHARACTER_SET, ("CS", b""))
    return _with_codecs(Dataset(elements), raw, syntax.implicit_vr, syntax.little_endian)


def _element(number: int, vr: str, value: bytes, is_little_endian: bool) -> RawDataElement:
    return RawDataElement(Tag(number), vr or None, len(value), value, 0, not vr, is_little_endian)


_remembered_element = lru_cache(maxsize=2048)(_element)
"""The same, of what the instances of a series have in common: nothing changes such an element."""


def read_undecoded(stream: BinaryIO, encoding: Encoding, before: int | None = None) -> Dataset:
    """Read a data set, which is not damaged: pydicom takes one that is cut off for one that ends there.

    Parameters
    ----------
    stream : BinaryIO
        At its first byte.
    encoding : Encoding
        How it should be encoded; explicit VR in the place of implicit, or the other way, is read as it is.
    before : int, optional
        The tag at which reading ends, with the stream in front of it; without, the whole data set is read.
    """
    stop_when = None if before is None else lambda tag, vr, length: tag >= before
    dataset = read_dataset(stream, encoding.implicit_vr, encoding.little_endian, stop_when=stop_when)
    stated = dataset.get_item(SPECIFIC_CHARACTER_SET) if SPECIFIC_CHARACTER_SET in dataset else None
    raw = stated.value if isinstance(stated, RawDataElement) and stated.value else b""
    return _with_codecs(dataset, raw, *dataset.original_encoding)  # which pydicom has seen in its first element


def _with_codecs(dataset: Dataset, raw: bytes, implicit_vr: bool, little_endian: bool) -> Dataset:
    """Note the encoding of a data set, with its Specific Character Set as encoded."""
    dataset.set_original_encoding(implicit_vr, little_endian, python_codecs(read_specific_character_set(raw)))
    return dataset
