"""Pixels before and after: what a receiver reads must be what was stored."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import numpy
import pydicom
from medserver.dicom import uids
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset


def read(transfer_syntax_uid: str, data_set: bytes) -> Dataset:
    """Read a received data set with pydicom, ready for its pixels to be decoded."""
    syntax = uids.transfer_syntax(transfer_syntax_uid)
    if syntax.deflated:
        data_set = zlib.decompress(data_set, wbits=-zlib.MAX_WBITS)
    dataset = read_dataset(BytesIO(data_set), syntax.implicit_vr, syntax.little_endian)
    dataset.set_original_encoding(syntax.implicit_vr, syntax.little_endian)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    return dataset


def check_same_image(original: Path, received: Dataset) -> None:
    """Compare pixels and the attributes that describe them."""
    stored = pydicom.dcmread(original)
    for keyword in ("SOPInstanceUID", "PatientID", "StudyInstanceUID", "Rows", "Columns", "BitsStored"):
        assert received.get(keyword) == stored.get(keyword), keyword
    # What was YBR in the compressed image may be RGB in the other, and pydicom's arrays are RGB for both.
    numpy.testing.assert_array_equal(received.pixel_array, stored.pixel_array)
