"""Encode Pixel Data, a frame at a time, and prove that nothing was lost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import BinaryIO

import numpy as np

from medserver.codecs.pixels import encoders
from medserver.codecs.pixels.decoding import decoder_of
from medserver.codecs.pixels.image import Image, fit_bits_stored
from medserver.codecs.table import Codec
from medserver.dicom.encodings import padded
from medserver.errors import CannotTranscode


class EncodedFrames:
    """The frames of native Pixel Data, encoded one after the other. Without loss, each is decoded again and compared.

    Parameters
    ----------
    image : Image
        The Image Pixel elements.
    codec : Codec
        Of the transfer syntax into which they are encoded.
    stream : BinaryIO
        The Pixel Data in little endian order.
    size_bytes : int
        Its length.
    ratio : float, optional
        How much shorter they become with loss; it is for such a codec alone, which needs it.

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
        If the codec is not used for such an image, or the Pixel Data is not what the elements say.
    """

    def __init__(
        self, image: Image, codec: Codec, stream: BinaryIO, size_bytes: int, ratio: float | None = None
    ) -> None:
        encoder = codec.encoder_for(image)
        if size_bytes not in (image.size_bytes, image.size_bytes + image.size_bytes % 2):
            raise CannotTranscode(f"the Pixel Data has {size_bytes} bytes instead of {image.size_bytes}")
        if image.samples_per_pixel > 1 and image.planar_configuration > 1:
            raise CannotTranscode(f"Planar Configuration is {image.planar_configuration}, and not 0 or 1")
        interpretation = image.photometric_interpretation
        form = codec.form_of(interpretation)
        self.photometric_interpretation = form.encoded_as or interpretation if form else interpretation
        self.planar_configuration = 0
        self.image = replace(image, planar_configuration=0)
        self._source = image
        self._stream = stream
        encode = getattr(encoders, encoder.function)
        self._encode = partial(encode, ratio=ratio) if codec.syntax.lossy else encode
        self._encoded = replace(self.image, photometric_interpretation=self.photometric_interpretation)
        # What will be made of a frame when it is read here: another decoder would prove nothing of this one.
        self._prove = None if codec.syntax.lossy else decoder_of(codec)
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
            # The decoder that proves the encoder may not clamp or mask: then it would not notice that others do.
            if not fit_bits_stored(np.frombuffer(frame, self.image.sample_type), self.image.bits_stored):
                raise CannotTranscode(f"frame {number} cannot be encoded: the bits above Bits Stored are in use")
            with _explained(f"frame {number} cannot be encoded"):
                encoded = self._encode(frame, self.image, self.photometric_interpretation)
            if self._prove:
                with _explained(f"frame {number} could not be decoded again"):
                    decoded = self._prove(padded(encoded, "OB"), self._encoded)[0]
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


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Say of whatever a codec raises what could not be done."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - codecs raise what they like
        raise CannotTranscode(f"{problem}: {error}") from error
