"""The data set of an image in a file: its pixels are read frame by frame, when they are asked for."""

from __future__ import annotations

from typing import BinaryIO

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag

from medserver.dicom.encodings import encoding_of
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import CannotRender
from medserver.region import open_region

_PIXELS = {0x7FE00010: "OW", 0x7FE00008: "OF", 0x7FE00009: "OD"}
_UNDEFINED_LENGTH = 0xFFFFFFFF


def read_object(descriptor: int, offset: int, size_bytes: int, transfer_syntax_uid: str) -> Dataset:
    """Read a data set up to its pixels; these are a stream, which is read from where it is needed.

    Parameters
    ----------
    descriptor : int
        An open file, which stays open as long as the data set is used.
    offset, size_bytes : int
        Where the data set lies in it.
    transfer_syntax_uid : str
        Implicit or Explicit VR Little Endian.

    Raises
    ------
    CannotRender
        It cannot be read, or its pixels are encapsulated.
    """
    encoding = encoding_of(transfer_syntax_uid)
    source = open_region(descriptor, offset, size_bytes)
    try:
        dataset = read_dataset(source, encoding.implicit_vr, encoding.little_endian, stop_when=_is_pixels)
        found = _pixel_data(source, encoding.implicit_vr)
    except PYDICOM_ERRORS as error:
        raise CannotRender(f"the data set cannot be read: {type(error).__name__}: {error}") from error
    if found is not None:
        tag, start, length = found
        if length == _UNDEFINED_LENGTH:
            raise CannotRender("the Pixel Data are encapsulated")
        stream = open_region(descriptor, offset + start, max(min(length, size_bytes - start), 0))
        dataset.add(DataElement(tag, _PIXELS[tag], stream))
    return dataset


def _is_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag in _PIXELS


def _pixel_data(source: BinaryIO, implicit_vr: bool) -> tuple[BaseTag, int, int] | None:
    """Return tag, begin and length of the element at which reading stopped; None at the end (PS3.5 7.1.2, 7.1.3)."""
    header = source.read(8 if implicit_vr else 12)
    if len(header) < 8:
        return None
    tag = Tag(int.from_bytes(header[:2], "little"), int.from_bytes(header[2:4], "little"))
    if tag not in _PIXELS:
        return None
    return tag, source.tell(), int.from_bytes(header[-4:], "little")
