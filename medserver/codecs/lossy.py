"""An image that is derived by lossy compression: another SOP Instance, which says so. Runs in worker processes only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from medserver.codecs.conversion import convert
from medserver.codecs.data_sets.writing import write_whole
from medserver.dicom.encodings import EXPLICIT_LITTLE
from medserver.dicom.transfer_syntaxes import JPEG_2000
from medserver.dicom.undecoded import read_undecoded

METHOD = "ISO_15444_1"
"""PS3.3 C.7.6.1.1.5.1."""

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
    with tempfile.TemporaryFile(dir=directory) as compressed:
        convert(
            source_descriptor, compressed.fileno(), offset, size_bytes, from_uid, JPEG_2000, directory, size_max_bytes,
            ratio=ratio,
        )  # fmt: skip
        compressed.seek(0)
        dataset = read_undecoded(compressed, EXPLICIT_LITTLE)
    _describe(dataset, _size_bytes(dataset) / max(len(dataset.PixelData), 1))
    with os.fdopen(output_descriptor, "wb", closefd=False) as output:
        write_whole(dataset, output, EXPLICIT_LITTLE)
    return str(dataset.SOPInstanceUID)


def _size_bytes(dataset: Dataset) -> int:
    """Return how long the native Pixel Data is."""
    samples = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * int(dataset.get("NumberOfFrames") or 1)
    return samples * dataset.BitsAllocated // 8


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
    for frame_type in _frame_types(dataset):
        frame_type.FrameType = ["DERIVED", *(_values(frame_type, "FrameType")[1:] or ["PRIMARY"])]
    dataset.SOPInstanceUID = generate_uid(prefix=None)
    for keyword in _INVALID_NOW:
        if keyword in dataset:
            del dataset[keyword]


def _frame_types(dataset: Dataset) -> Iterator[Dataset]:
    """Yield what says Frame Type in the functional groups of enhanced objects (PS3.3 C.8.16.1.1)."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for groups in dataset.get(keyword) or ():
            for group in groups:
                yield from (item for item in (group.value or () if group.VR == "SQ" else ()) if "FrameType" in item)


def _values(dataset: Dataset, keyword: str) -> list:
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, (str, float)) and hasattr(value, "__iter__") else [value]


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
