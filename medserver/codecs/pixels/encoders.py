"""The encoders of frames, as the rows of `codecs.table` name them.

Each takes a frame in little endian order, by pixel, its Image and the Photometric Interpretation that its code stream
will have, and returns the code stream. It may raise whatever; `encoding` decodes every frame again.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
from pydicom.pixels import get_encoder
from pydicom.uid import UID

from medserver.codecs.pixels import openjpeg_interface
from medserver.codecs.pixels.image import Image
from medserver.codecs.table import CODECS
from medserver.dicom.transfer_syntaxes import JPEG_2000, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS

# ISO/IEC 15444-1 A.5.1: SOC, then SIZ; the precision of the first component is behind what all have in common.
_PRECISION_OFFSET = 42
_SIGNED = 0x80


def jpeg_2000(frame: bytes, image: Image, encoded_as: str) -> bytes:
    """Encode with OpenJPEG, without arithmetic coding of the lower bit planes where it can be told so."""
    if image.samples_per_pixel == 1 and openjpeg_interface.has_interface():
        return openjpeg_interface.encode(frame, image)
    return _by_pydicom(frame, image, encoded_as, JPEG_2000_LOSSLESS, "pylibjpeg")


def jpeg_2000_with_loss(frame: bytes, image: Image, encoded_as: str, ratio: float) -> bytes:
    """Encode with OpenJPEG so that the frame becomes `ratio` times shorter."""
    of_used_bits = max(ratio * image.bits_stored / image.bits_allocated, 1.0)  # that is what openjpeg counts
    return _by_pydicom(frame, image, encoded_as, JPEG_2000, "pylibjpeg", j2k_cr=[of_used_bits])


def small_jpeg_2000(frame: bytes, image: Image, encoded_as: str) -> bytes:
    """Encode with imagecodecs, which has OpenJPEG split an image as often as its size allows."""
    import imagecodecs

    return bytes(
        imagecodecs.jpeg2k_encode(
            _samples(frame, image),
            level=0,
            codecformat="j2k",
            reversible=True,
            bitspersample=image.bits_stored,
            mct=encoded_as == "YBR_RCT",
            numthreads=1,
        )
    )


def htj2k(frame: bytes, image: Image, encoded_as: str) -> bytes:
    """Encode with OpenJPH, which takes the precision from the type of the samples, and not from Bits Stored.

    Without a transformation of the components, samples that are less precise can be told so: unsigned ones are
    encoded as what is left of them when half of their range is subtracted, which is what the standard makes of
    unsigned samples anyway (ISO/IEC 15444-1 G.1), and the header says what they are.
    """
    import imagecodecs

    signed, samples = bool(image.pixel_representation), _samples(frame, image)
    if image.bits_stored == image.bits_allocated:
        # PS3.5 8.2.4: the components of RGB alone are transformed; OpenJPH would those of any three
        transformed = encoded_as == "YBR_RCT"
        return bytes(imagecodecs.htj2k_encode(samples, reversible=True, rgb=transformed, planar=False))
    if not signed:
        kind = np.dtype(f"<i{image.bits_allocated // 8}")
        samples = samples.view(kind) - kind.type(1 << image.bits_stored - 1)
    stream = bytearray(imagecodecs.htj2k_encode(samples, reversible=True))
    stream[_PRECISION_OFFSET] = (_SIGNED if signed else 0) | image.bits_stored - 1
    return bytes(stream)


def jpeg_ls(frame: bytes, image: Image, encoded_as: str) -> bytes:
    """Encode with CharLS."""
    return _by_pydicom(frame, image, encoded_as, JPEG_LS_LOSSLESS, "pyjpegls")


def rle(frame: bytes, image: Image, encoded_as: str) -> bytes:
    """Encode all bytes that are allocated: pydicom would leave out those without Bits Stored."""
    return _by_pydicom(frame, image, encoded_as, RLE_LOSSLESS, "pydicom", bits_stored=image.bits_allocated)


def preload() -> None:
    """Import what the codecs need, so that it does not count as the memory of a job."""
    for library in {encoder.library for codec in CODECS for encoder in codec.encoders}:
        if library.is_installed:
            importlib.import_module(library.module)
    openjpeg_interface.has_interface()
    if "imagecodecs" in sys.modules:
        imagecodecs = sys.modules["imagecodecs"]
        for name in ("HTJ2K", "JPEG2K", "JPEG8", "JPEGXL"):
            getattr(imagecodecs, name)  # they are imported when they are asked for


def _by_pydicom(
    frame: bytes, image: Image, encoded_as: str, transfer_syntax_uid: str, plugin: str, **others: Any
) -> bytes:
    options = {name: getattr(image, name) for name in Image.__slots__}
    options |= {"number_of_frames": 1, "photometric_interpretation": encoded_as} | others
    return bytes(get_encoder(UID(transfer_syntax_uid)).encode(frame, encoding_plugin=plugin, **options))


def _samples(frame: bytes, image: Image) -> np.ndarray:
    """Return a frame as an array, shape (rows, columns[, samples])."""
    colours = [image.samples_per_pixel] if image.samples_per_pixel > 1 else []
    return np.frombuffer(frame, image.sample_type).reshape(image.rows, image.columns, *colours)
