"""An image that is derived by lossy compression: another SOP Instance, which says so. Runs in worker processes only."""

from __future__ import annotations

import os
import tempfile
from typing import BinaryIO

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, generate_uid

from medserver.codecs.conversion import convert
from medserver.codecs.data_sets import write_whole
from medserver.codecs.encoders import OPENJPEG_SIZE_MIN
from medserver.codecs.frames import fit_bits_stored
from medserver.codecs.syntaxes import EXPLICIT_LITTLE
from medserver.errors import CannotTranscode

JPEG_2000 = str(JPEG2000)
METHOD = "ISO_15444_1"
"""PS3.3 C.7.6.1.1.5.1."""

_COLOURS = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL")
"""What can be changed a little: the indices of a palette cannot."""

_INVALID_NOW = (
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
)


def derive_lossy(
    source_descriptor: int,
    output_descriptor: int,
    offset: int,
    size_bytes: int,
    from_uid: str,
    directory: str,
    size_max_bytes: int,
    ratio: float,
) -> str:
    """Write an image that is derived from another one by JPEG 2000 with loss, and return its SOP Instance UID.

    Parameters
    ----------
    source_descriptor, output_descriptor, offset, size_bytes, from_uid, directory, size_max_bytes
        As for `conversion.convert`.
    ratio : float
        How much shorter the pixels become.

    Raises
    ------
    CannotTranscode
        The object is not an image that may be compressed with loss, or is too large to be held in memory.

    References
    ----------
    PS3.3 C.7.6.1.1.3, C.7.6.1.1.5
    """
    with tempfile.TemporaryFile(dir=directory) as native:
        where = (offset, size_bytes, from_uid, str(ExplicitVRLittleEndian), directory, size_max_bytes)
        convert(source_descriptor, native.fileno(), *where)
        dataset = _read(native)
    _check(dataset)
    before_bytes = len(dataset.PixelData)
    if dataset.PhotometricInterpretation == "RGB":
        dataset.PhotometricInterpretation = "YBR_ICT"  # PS3.5 8.2.4: the encoder transforms the components
    of_used_bits = max(ratio * dataset.BitsStored / dataset.BitsAllocated, 1.0)  # that is what openjpeg counts
    dataset.compress(JPEG2000, j2k_cr=[of_used_bits], encoding_plugin="pylibjpeg", generate_instance_uid=False)
    _describe(dataset, before_bytes / max(len(dataset.PixelData), 1))
    with os.fdopen(output_descriptor, "wb", closefd=False) as output:
        write_whole(dataset, output, EXPLICIT_LITTLE)
    return str(dataset.SOPInstanceUID)


def _read(native: BinaryIO) -> Dataset:
    native.seek(0)
    dataset = read_dataset(native, is_implicit_VR=False, is_little_endian=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _check(dataset: Dataset) -> None:
    """Refuse what must not, or cannot, be compressed with loss."""
    if "PixelData" not in dataset:
        raise CannotTranscode("there is no Pixel Data to compress")
    if dataset.PhotometricInterpretation not in _COLOURS:
        raise CannotTranscode(f"{dataset.PhotometricInterpretation} is not compressed with loss")
    if dataset.BitsAllocated not in (8, 16):
        raise CannotTranscode(f"Pixel Data with Bits Allocated {dataset.BitsAllocated} is not compressed with loss")
    if min(dataset.Rows, dataset.Columns) < OPENJPEG_SIZE_MIN:
        size = f"less than {OPENJPEG_SIZE_MIN} pixels in a dimension"
        raise CannotTranscode(f"an image of {size} is not compressed with loss")
    cells = np.frombuffer(dataset.PixelData, f"<{'ui'[dataset.PixelRepresentation & 1]}{dataset.BitsAllocated // 8}")
    if not fit_bits_stored(cells, dataset.BitsStored):
        raise CannotTranscode("the bits above Bits Stored are in use")


def _describe(dataset: Dataset, ratio: float) -> None:
    """Make it another instance, which says what it was derived from, and how."""
    source = Dataset()
    source.ReferencedSOPClassUID = dataset.SOPClassUID
    source.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    source.PurposeOfReferenceCodeSequence = [_code("121320", "Uncompressed predecessor")]
    dataset.SourceImageSequence = [source]
    dataset.DerivationDescription = f"JPEG 2000 compression with loss, {ratio:.1f}:1"
    dataset.DerivationCodeSequence = [_code("113040", "Lossy Compression")]
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = [*_values(dataset, "LossyImageCompressionRatio"), f"{ratio:.4g}"]
    dataset.LossyImageCompressionMethod = [*_values(dataset, "LossyImageCompressionMethod"), METHOD]
    image_type = _values(dataset, "ImageType")[1:]
    dataset.ImageType = ["DERIVED", *(image_type or ["PRIMARY"])]
    dataset.SOPInstanceUID = generate_uid(prefix=None)
    for keyword in _INVALID_NOW:
        if keyword in dataset:
            del dataset[keyword]


def _values(dataset: Dataset, keyword: str) -> list:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, (str, float)) and hasattr(value, "__iter__") else [value]


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
