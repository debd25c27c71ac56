"""Encode Pixel Data, a frame at a time, and prove that nothing was lost. Runs in worker processes only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from struct import Struct
from typing import BinaryIO

import numpy as np

from medserver.codecs.elements import ITEM
from medserver.codecs.encoders import Encoder
from medserver.codecs.frames import DecodedFrames, Image, fit_bits_stored
from medserver.errors import CannotTranscode

ITEM_HEADER = Struct("<HHL")
BITS_OF_BYTES = (8, 16, 32)


class EncodedFrames:
    """The frames of native Pixel Data, encoded one after the other. Each is decoded again and compared.

    Parameters
    ----------
    image : Image
        The Image Pixel elements.
    encoder : Encoder
        What encodes.
    stream : BinaryIO
        The Pixel Data in little endian order.
    size_bytes : int
        Its length.

    Attributes
    ----------
    photometric_interpretation : str
        That of the encoded frames.
    planar_configuration : int
        0: a code stream has its own order, and decoders return colours by pixel.
    digest : hash
        SHA-256 of the frames that were encoded so far, as they are decoded.

    Raises
    ------
    CannotTranscode
        If the Pixel Data is not what the elements say.
    """

    def __init__(self, image: Image, encoder: Encoder, stream: BinaryIO, size_bytes: int) -> None:
        if image.bits_allocated not in BITS_OF_BYTES:
            raise CannotTranscode(f"Pixel Data with Bits Allocated {image.bits_allocated} is not compressed")
        if image.bits_stored > image.bits_allocated:
            raise CannotTranscode(f"Bits Stored is {image.bits_stored}, more than Bits Allocated")
        if image.photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422"):
            raise CannotTranscode("Pixel Data with fewer samples of the colours is not compressed")
        wanted = image.frame_size_bytes * image.number_of_frames
        if size_bytes not in (wanted, wanted + wanted % 2):
            raise CannotTranscode(f"the Pixel Data has {size_bytes} bytes instead of {wanted}")
        self._encoder = encoder
        self._stream = stream
        self._source = image
        self.image = replace(image, planar_configuration=0)
        self.photometric_interpretation = encoder.colours.get(
            image.photometric_interpretation, image.photometric_interpretation
        )
        self.planar_configuration = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the code stream of each frame.

        Raises
        ------
        CannotTranscode
            If a frame cannot be encoded, or does not come back as it was.
        """
        for number in range(1, self.image.number_of_frames + 1):
            frame = self._by_pixel(self._read(number))
            # The decoder that proves the encoder may not clamp: then it would not notice that others do.
            if not fit_bits_stored(np.frombuffer(frame, self.image.sample_type), self.image.bits_stored):
                raise CannotTranscode(f"frame {number} cannot be encoded: the bits above Bits Stored are in use")
            with _explained(f"frame {number} cannot be encoded"):
                encoded = self._encoder.encode(frame, self.image)
            with _explained(f"frame {number} could not be decoded again"):
                decoded = self._decoded(encoded)
            if decoded != frame:
                raise CannotTranscode(f"frame {number} would not be decoded as it was")
            self.digest.update(frame)
            yield encoded

    def _read(self, number: int) -> bytes:
        frame = self._stream.read(self.image.frame_size_bytes)
        if len(frame) != self.image.frame_size_bytes:
            raise CannotTranscode(f"the Pixel Data ends in frame {number}")
        return frame

    def _by_pixel(self, frame: bytes) -> bytes:
        """Return a frame with its colours by pixel, not by plane (PS3.3 C.7.6.3.1.3)."""
        if self._source.samples_per_pixel == 1 or not self._source.planar_configuration:
            return frame
        planes = np.frombuffer(frame, f"<u{self.image.bits_allocated // 8}")
        return planes.reshape(self.image.samples_per_pixel, -1).T.tobytes()

    def _decoded(self, encoded: bytes) -> bytes:
        """Return what a receiver will make of a frame."""
        if self._encoder.decodes_quickly:
            return self._encoder.decode(encoded, self.image)
        one = replace(
            self.image, number_of_frames=1, photometric_interpretation=self.photometric_interpretation
        )
        fragments = BytesIO(item(b"") + item(encoded))
        return next(iter(DecodedFrames(one, self._encoder.transfer_syntax_uid, fragments)))


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Say of whatever a codec raises what could not be done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - codecs raise what they like
        raise CannotTranscode(f"{problem}: {error}") from error


def item(value: bytes) -> bytes:
    """Return an item of encapsulated Pixel Data, padded (PS3.5 A.4)."""
    padding = len(value) % 2
    return ITEM_HEADER.pack(ITEM >> 16, ITEM & 0xFFFF, len(value) + padding) + value + bytes(padding)
