"""Large data sets into files; the small ones are read and written by `medserver.dicom.data_sets`."""

from __future__ import annotations

from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO, DicomFileLike
from pydicom.filewriter import write_data_element, write_dataset

from medserver.dicom.encodings import Encoding


def write_whole(dataset: Dataset, output: BinaryIO, encoding: Encoding) -> None:
    """Encode a data set into a file: what was not touched is written as it was read, texts in its own character set.

    Parameters
    ----------
    dataset : Dataset
        As `dicom.undecoded.read_undecoded` gives it, with elements that were put in.
    output : BinaryIO
        Where to write.
    encoding : Encoding
        That which it was read in.
    """
    file = DicomFileLike(output)
    file.is_implicit_VR, file.is_little_endian = encoding.implicit_vr, encoding.little_endian
    if dataset.original_encoding != (encoding.implicit_vr, encoding.little_endian):
        # Compressed images in implicit VR exist, though no transfer syntax is right for them.
        write_dataset(file, dataset)
        return
    for tag in sorted(dataset.keys()):
        if tag.element != 0:  # group lengths are retired (PS3.5 7.2), and may be wrong now
            write_data_element(file, dataset.get_item(tag), dataset.original_character_set)


def encoded_elements(dataset: Dataset, encoding: Encoding) -> dict[int, bytes]:
    """Encode each element of a data set: what was not touched as it was read, texts in its own character set.

    Parameters
    ----------
    dataset, encoding
        As for `write_whole`.

    Returns
    -------
    dict of int to bytes
        Tag -> the element as it is encoded.
    """
    encoded = {}
    for tag in dataset.keys():
        file = DicomBytesIO()
        file.is_implicit_VR, file.is_little_endian = encoding.implicit_vr, encoding.little_endian
        write_data_element(file, dataset.get_item(tag), dataset.original_character_set)
        encoded[int(tag)] = file.getvalue()
    return encoded
