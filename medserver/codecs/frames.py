"""Decode encapsulated Pixel Data, a frame at a time. Runs in worker processes only."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medserver.codecs.jpeg import decode_jpeg
from medserver.codecs.representations import PIXEL_REPRESENTATION
from medserver.codecs.survey import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
    Facts,
)
from medserver.codecs.syntaxes import DECODED_HERE, DEFLATED_IMAGE_FRAME, JPEG, decoding_plugin
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotTranscode

VALUE_SIZE_MAX_BYTES = 0xFFFFFFFE
"""The longest value of defined length (PS3.5 7.1.1)."""


@dataclass(frozen=True, slots=True)
class Image:
    """The Image Pixel elements that the decoders need, with the names that pydicom's options have.

    References
    ----------
    PS3.3 C.7.6.3
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int
    number_of_frames: int

    @property
    def frame_size_bytes(self) -> int:
        """The size of one decoded frame."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated // 8

    @property
    def sample_type(self) -> str:
        """The type of a native sample, as numpy spells it."""
        return f"<{'ui'[self.pixel_representation & 1]}{self.bits_allocated // 8}"


def image_of(facts: Facts) -> Image:
    """Return the image that the facts of a data set describe.

    Raises
    ------
    CannotTranscode
        If an element that decoding needs is missing or impossible.
    """
    names = {
        "rows": ROWS,
        "columns": COLUMNS,
        "bits_allocated": BITS_ALLOCATED,
        "bits_stored": BITS_STORED,
    }
    numbers = {name: facts.number(tag) for name, tag in names.items()}
    missing = [name for name, number in numbers.items() if not number]
    if missing:
        raise CannotTranscode(f"the Pixel Data cannot be decoded without {', '.join(missing)}")
    image = Image(
        **numbers,
        samples_per_pixel=facts.number(SAMPLES_PER_PIXEL) or 1,
        pixel_representation=facts.number(PIXEL_REPRESENTATION) or 0,
        photometric_interpretation=facts.text(PHOTOMETRIC_INTERPRETATION),
        planar_configuration=facts.number(PLANAR_CONFIGURATION) or 0,
        number_of_frames=facts.number(NUMBER_OF_FRAMES) or 1,
    )
    if image.rows * image.columns * image.samples_per_pixel * image.bits_allocated % 8:
        raise CannotTranscode("frames of a fraction of a byte cannot be put together")
    if image.frame_size_bytes * image.number_of_frames > VALUE_SIZE_MAX_BYTES:
        raise CannotTranscode("the decoded Pixel Data would be longer than a value can be")
    return image


def fit_bits_stored(cells: np.ndarray, bits_stored: int) -> bool:
    """Tell whether Bits Stored hold all of each Pixel Cell: the bits above are zero, or repeat the sign.

    If they do not (an overlay: PS3.5 8.1.1; a Pixel Padding Value beyond them; negative values without a sign), a code
    stream of that precision does not hold the cells either: some decoders clamp what is beyond it, others mask it.

    Parameters
    ----------
    cells : ndarray, any shape, not empty
        The Pixel Cells, signed if Pixel Representation is 1.
    bits_stored : int
        Bits Stored.
    """
    lowest = -(1 << bits_stored - 1) if cells.dtype.kind == "i" else 0
    return lowest <= int(cells.min()) and int(cells.max()) < lowest + (1 << bits_stored)


class DecodedFrames:
    """The frames of encapsulated Pixel Data, decoded one after the other.

    Parameters
    ----------
    image : Image
        The Image Pixel elements.
    transfer_syntax_uid : str
        The transfer syntax of the fragments.
    stream : BinaryIO
        The fragments, starting with the Basic Offset Table.
    decode : callable, optional
        Takes the code stream of a frame and the Image, and returns the frame, its Photometric Interpretation and its
        Planar Configuration; for another decoder than the usual one.

    Attributes
    ----------
    photometric_interpretation : str
        That of the decoded frames.
    planar_configuration : int
        That of the decoded frames.
    size_bytes : int
        The size of all decoded frames.
    digest : hash
        SHA-256 of the frames that were given so far.

    Raises
    ------
    CannotTranscode
        If the first frame cannot be decoded.
    """

    def __init__(
        self,
        image: Image,
        transfer_syntax_uid: str,
        stream: BinaryIO,
        decode: Callable[[bytes, Image], tuple[bytes, str, int]] | None = None,
    ) -> None:
        self.image = image
        self.digest = hashlib.sha256()
        self.size_bytes = image.frame_size_bytes * image.number_of_frames
        decoder = partial(_frames_by, decode) if decode else _decoder(transfer_syntax_uid)
        self._frames = decoder(image, transfer_syntax_uid, stream)
        # What the frames are is known once one is decoded, but is written before them.
        self._first, self.photometric_interpretation, self.planar_configuration = self._next(1)

    def __iter__(self) -> Iterator[bytes]:
        """Yield each frame in little endian order.

        Raises
        ------
        CannotTranscode
            If there are too few frames, or one that cannot be decoded or is of another kind.
        """
        self.digest.update(self._first)
        yield self._first
        for number in range(2, self.image.number_of_frames + 1):
            frame, *kind = self._next(number)
            if kind != [self.photometric_interpretation, self.planar_configuration]:
                raise CannotTranscode(f"frame {number} has another colour space than the first")
            self.digest.update(frame)
            yield frame

    def _next(self, number: int) -> tuple[bytes, str, int]:
        try:
            frame, photometric_interpretation, planar_configuration = next(self._frames)
        except StopIteration:
            raise CannotTranscode(f"there is no frame {number} of {self.image.number_of_frames}") from None
        if len(frame) != self.image.frame_size_bytes:
            raise CannotTranscode(f"frame {number} has {len(frame)} bytes, not {self.image.frame_size_bytes}")
        return frame, photometric_interpretation, planar_configuration


def _decoder(transfer_syntax_uid: str) -> Callable[[Image, str, BinaryIO], Iterator[tuple[bytes, str, int]]]:
    """Return what yields frames, photometric interpretations and planar configurations."""
    if transfer_syntax_uid in DECODED_HERE:
        return _plain_frames
    return _jpeg_frames if transfer_syntax_uid in JPEG else _image_frames


def _frames_by(
    decode: Callable[[bytes, Image], tuple[bytes, str, int]], image: Image, transfer_syntax_uid: str, stream: BinaryIO
) -> Iterator[tuple[bytes, str, int]]:
    """Yield what another decoder makes of each frame."""
    for data in generate_frames(stream, number_of_frames=image.number_of_frames):
        yield decode(data, image)


def _jpeg_frames(
    image: Image, transfer_syntax_uid: str, stream: BinaryIO
) -> Iterator[tuple[bytes, str, int]]:
    """Yield the frames of JPEG baseline, extended and lossless."""
    for data in generate_frames(stream, number_of_frames=image.number_of_frames):
        yield *decode_jpeg(data, image, transfer_syntax_uid), 0


def _image_frames(
    image: Image, transfer_syntax_uid: str, stream: BinaryIO
) -> Iterator[tuple[bytes, str, int]]:
    """Yield what pydicom decodes: frame, photometric interpretation and planar configuration."""
    syntax = transfer_syntax(transfer_syntax_uid)
    # The plug-ins shrink samples to the precision of the codestream; Bits Allocated says what they were.
    options = {name: getattr(image, name) for name in Image.__slots__}
    frames = get_decoder(UID(transfer_syntax_uid)).iter_array(
        stream,
        pixel_keyword="PixelData",
        as_rgb=syntax.lossy,  # colours are recalculated only where they are not exact anyway
        decoding_plugin=decoding_plugin(transfer_syntax_uid) or "",
        correct_unused_bits=False,  # they may hold overlays, and are kept as they were
        **options,
    )
    for pixels, properties in frames:
        if pixels.dtype.itemsize > image.bits_allocated // 8:
            raise CannotTranscode(f"samples of {pixels.dtype.itemsize} bytes do not fit Bits Allocated")
        photometric_interpretation = str(properties["photometric_interpretation"])
        if photometric_interpretation == "YBR_FULL_422":
            photometric_interpretation = "YBR_FULL"  # decoded samples are not subsampled
        yield pixels.astype(image.sample_type).tobytes(), photometric_interpretation, 0


def _plain_frames(
    image: Image, transfer_syntax_uid: str, stream: BinaryIO
) -> Iterator[tuple[bytes, str, int]]:
    """Yield frames that are stored as they are or deflated (PS3.5 A.4, A.4.13)."""
    size_bytes = image.frame_size_bytes
    for data in generate_frames(stream, number_of_frames=image.number_of_frames):
        if transfer_syntax_uid == DEFLATED_IMAGE_FRAME:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size_bytes + 2)
        if len(data) == size_bytes + size_bytes % 2:
            data = data[:size_bytes]
        yield data, image.photometric_interpretation, image.planar_configuration
