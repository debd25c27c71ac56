"""The decoder of ISO/IEC 10918-1: JPEG baseline, extended and lossless (PS3.5 A.4.1, A.4.2). In worker processes only.

libjpeg-turbo decodes all of them; it comes with imagecodecs, of the extra ``codecs``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotTranscode

if TYPE_CHECKING:
    from medserver.codecs.frames import Image

_EOI = b"\xff\xd9"
_PADDING = b"\0\xff"
"""Behind it, to an even length: 0 by PS3.5 A.4; a converter of the year 2000 has FFH."""


def decode_jpeg(stream: bytes, image: Image, transfer_syntax_uid: str) -> tuple[bytes, str]:
    """Decode a frame.

    The elements say whether the colours were transformed, not the markers of the code stream, which many leave out
    (PS3.5 8.2.1).

    Parameters
    ----------
    stream : bytes
        The code stream.
    image : Image
        The Image Pixel elements.
    transfer_syntax_uid : str
        One of `syntaxes.JPEG`.

    Returns
    -------
    tuple of (bytes, str)
        The samples in little endian order, by pixel, and their photometric interpretation. Colours are recalculated
        only where they are not exact anyway.

    Raises
    ------
    CannotTranscode
        The code stream has no end, or is not of the size or precision that the elements say.
    """
    import imagecodecs

    if not stream.rstrip(_PADDING).endswith(_EOI):  # libjpeg makes up what is missing
        raise CannotTranscode("the code stream is cut off")
    interpretation = image.photometric_interpretation
    colours = {}
    if image.samples_per_pixel > 1:
        transformed = interpretation.startswith("YBR")
        coded = "YCBCR" if transformed else "RGB"
        to_rgb = transformed and transfer_syntax(transfer_syntax_uid).lossy
        colours = {"colorspace": coded, "outcolorspace": "RGB" if to_rgb else coded}
        if transformed:
            interpretation = "RGB" if to_rgb else "YBR_FULL"  # decoded samples are not subsampled
    samples = imagecodecs.jpeg8_decode(stream, **colours)
    if samples.shape[:2] != (image.rows, image.columns):
        raise CannotTranscode(f"the code stream has {samples.shape[0]} rows and {samples.shape[1]} columns")
    if samples.dtype.itemsize > image.bits_allocated // 8:
        raise CannotTranscode(f"samples of {samples.dtype.itemsize} bytes do not fit Bits Allocated")
    return _signed(samples, image).tobytes(), interpretation


def _signed(samples: np.ndarray, image: Image) -> np.ndarray:
    """Return samples in the type of the native Pixel Data; JPEG itself knows no negative ones (PS3.5 8.2.1)."""
    kind = np.dtype(f"<u{image.bits_allocated // 8}")
    samples = samples.astype(kind, copy=False)
    unused = image.bits_allocated - image.bits_stored
    if image.pixel_representation and unused and not (samples >> image.bits_stored).any():
        signed = np.dtype(f"<i{kind.itemsize}")
        return (samples << unused).view(signed) >> unused
    return samples
