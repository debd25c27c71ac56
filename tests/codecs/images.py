"""Images of every kind, made of every value that their bits can hold."""

from __future__ import annotations

import io

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from tests.codecs.stored import StoredObject

KINDS = [
    ((1, 33, 47), "u1", 8, "MONOCHROME1"),
    ((1, 33, 47), "u1", 7, "MONOCHROME2"),
    ((1, 33, 47), "u1", 8, "PALETTE COLOR"),
    ((1, 33, 47), "i1", 8, "MONOCHROME2"),
    ((1, 32, 48), "u2", 16, "MONOCHROME2"),
    ((1, 32, 48), "u2", 12, "MONOCHROME2"),
    ((1, 32, 48), "u2", 9, "MONOCHROME1"),
    ((1, 32, 48), "i2", 16, "MONOCHROME2"),
    ((1, 32, 48), "i2", 12, "MONOCHROME2"),
    ((5, 32, 48), "u2", 12, "MONOCHROME2"),
    ((1, 33, 47, 3), "u1", 8, "RGB"),
    ((3, 33, 47, 3), "u1", 8, "RGB"),
    ((1, 32, 48, 3), "u1", 8, "YBR_FULL"),
]
"""Shape, dtype, Bits Stored and Photometric Interpretation."""


def image(
    shape: tuple[int, ...], dtype: str, bits_stored: int, photometric_interpretation: str = "MONOCHROME2", **others
) -> StoredObject:
    """Return an image with every value that its bits can hold, in Explicit VR Little Endian."""
    kind = np.dtype(dtype)
    low = -(1 << bits_stored - 1) if kind.kind == "i" else 0
    pixels = np.random.default_rng(5).integers(low, low + (1 << bits_stored), shape).astype(kind)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.7"
    colours = photometric_interpretation in ("RGB", "YBR_FULL")
    dataset.SamplesPerPixel = 3 if colours else 1
    dataset.PhotometricInterpretation = photometric_interpretation
    frames = shape[0]
    planar = others.get("PlanarConfiguration", 0)
    dataset.Rows, dataset.Columns = (shape[2:4] if planar else shape[1:3])
    if colours:
        dataset.PlanarConfiguration = planar
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * kind.itemsize, bits_stored, bits_stored - 1
    dataset.PixelRepresentation = int(kind.kind == "i")
    for keyword, value in others.items():
        setattr(dataset, keyword, value)
    raw = pixels.astype(kind.newbyteorder("<")).tobytes()
    dataset.PixelData = raw + bytes(len(raw) % 2)
    dataset["PixelData"].VR = "OB" if kind.itemsize == 1 else "OW"
    return stored(dataset)


def stored(dataset: Dataset) -> StoredObject:
    file = io.BytesIO()
    pydicom.filewriter.write_dataset(_writer(file), dataset)
    return StoredObject("made", EXPLICIT_VR_LITTLE_ENDIAN, file.getvalue())


def _writer(file: io.BytesIO) -> pydicom.filebase.DicomFileLike:
    writer = pydicom.filebase.DicomFileLike(file)
    writer.is_little_endian, writer.is_implicit_VR = True, False
    return writer


def pixels_of(one: StoredObject) -> bytes:
    """Return the Pixel Data by pixel, decoded by pydicom, without its guesses at colours."""
    dataset = one.read()
    return pydicom.pixels.pixel_array(dataset, raw=True).tobytes()
