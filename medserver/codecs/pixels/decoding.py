"""Decode encapsulated Pixel Data, a frame at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import numpy as np

from medserver.codecs.pixels import decoders
from medserver.codecs.pixels.decoders import Frame
from medserver.codecs.pixels.fragments import frames_of
from medserver.codecs.pixels.image import Image
from medserver.codecs.table import Codec
from medserver.errors import CannotTranscode


def decoder_of(codec: Codec, *, before: bool = False) -> Callable[[bytes, Image], Frame]:
    """Return what decodes a frame of a transfer syntax.

    Parameters
    ----------
    codec : Codec
        Its row.
    before : bool
        What proved it in earlier versions, and not what reads it.

    Raises
    ------
    CannotTranscode
        There is none here.
    """
    decoder = codec.decoder_before if before else codec.decoder
    if decoder is None:
        raise CannotTranscode(f"{codec.name} has no other decoder")
    if not decoder.library.is_installed:
        raise CannotTranscode(f"{codec.name} needs the extra '{decoder.library.extra}' to be decoded")
    decode = getattr(decoders, decoder.function)
    return lambda stream, image: decode(stream, image, codec.uid)


class DecodedFrames:
    """The frames of encapsulated Pixel Data, decoded one after the other.

    Parameters
    ----------
    image : Image
        The Image Pixel elements.
    codec : Codec
        Of the transfer syntax of the fragments.
    stream : BinaryIO
        The fragments, starting with the Basic Offset Table.
    before : bool
        As for `decoder_of`.

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
        If the samples are not bits or bytes, or the first frame cannot be decoded.
    """

    def __init__(self, image: Image, codec: Codec, stream: BinaryIO, *, before: bool = False) -> None:
        if image.bits_allocated != 1 and image.bits_allocated % 8:
            raise CannotTranscode(f"samples of {image.bits_allocated} bits are not decoded")
        self.image = image
        self.digest = hashlib.sha256()
        self.size_bytes = image.size_bytes
        self._decode = decoder_of(codec, before=before)
        self._streams = frames_of(image.number_of_frames, stream)
        # What the frames are is known once one is decoded, but is written before them.
        self._first, self.photometric_interpretation, self.planar_configuration = self._next(1)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the frames in little endian order.

        Raises
        ------
        CannotTranscode
            If there are too few or too many frames, or one that cannot be decoded or is of another kind.
        """
        frames = self._each()
        for chunk in _without_gaps(frames, self.image.frame_size_bits) if self.image.frame_size_bits % 8 else frames:
            self.digest.update(chunk)
            yield chunk

    def _each(self) -> Iterator[bytes]:
        yield self._first
        for number in range(2, self.image.number_of_frames + 1):
            frame, *kind = self._next(number)
            if kind != [self.photometric_interpretation, self.planar_configuration]:
                raise CannotTranscode(f"frame {number} has another colour space than the first")
            yield frame
        if next(self._streams, None) is not None:
            raise CannotTranscode(f"there are more frames than {self.image.number_of_frames}")

    def _next(self, number: int) -> Frame:
        stream = next(self._streams, None)
        if stream is None:
            raise CannotTranscode(f"there is no frame {number} of {self.image.number_of_frames}")
        try:
            frame, photometric_interpretation, planar_configuration = self._decode(stream, self.image)
        except (CannotTranscode, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - codecs raise what they like
            raise CannotTranscode(f"frame {number} cannot be decoded: {_reason(error)}") from error
        if len(frame) != self.image.frame_size_bytes:
            raise CannotTranscode(f"frame {number} has {len(frame)} bytes, not {self.image.frame_size_bytes}")
        return frame, photometric_interpretation, planar_configuration


def _reason(error: Exception) -> str:
    """Return what a codec says, without what pydicom says of its plug-ins: there is one."""
    return str(error).rpartition("\n")[2].strip().removeprefix("pydicom: ") or type(error).__name__


def _without_gaps(frames: Iterable[bytes], frame_size_bits: int) -> Iterator[bytes]:
    """Yield the bytes of frames of one bit, each of which begins behind the last bit of another (PS3.5 8.1.1)."""
    left = np.empty(0, "u1")
    for frame in frames:
        bits = np.unpackbits(np.frombuffer(frame, "u1"), count=frame_size_bits, bitorder="little")
        bits = np.concatenate([left, bits])
        whole = len(bits) - len(bits) % 8
        yield np.packbits(bits[:whole], bitorder="little").tobytes()
        left = bits[whole:]
    yield np.packbits(left, bitorder="little").tobytes()
