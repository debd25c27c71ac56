"""The encoders of frames: one row each. Runs in worker processes only; what there is, `compressions` knows.

Which photometric interpretations and numbers of bits a transfer syntax can hold is in PS3.5 8.2; pydicom's encoders
check it, and `encoding` decodes every frame again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydicom.pixels import get_encoder
from pydicom.uid import UID

from medserver.codecs.compressions import (
    ENCODER_MODULES,
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
)
from medserver.codecs.frames import Image
from medserver.codecs.installed import is_installed
from medserver.errors import CannotTranscode

_NO_CHANGE: Mapping[str, str] = MappingProxyType({})
_REVERSIBLE_COLOURS = MappingProxyType({"RGB": "YBR_RCT"})  # PS3.5 8.2.4: the codec transforms the components

# ISO/IEC 15444-1 A.5.1: SOC, then SIZ; the precision of the first component is behind what all have in common.
_PRECISION_OFFSET, _COMPONENT_BYTES = 42, 3
_SIGNED = 0x80

_BYTE_BITS = 8
_HTJ2K_BITS_MAX = 16
OPENJPEG_SIZE_MIN = 32
"""openjpeg splits an image in half five times; pylibjpeg-openjpeg does not let one say less, and fails."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """What encodes into one transfer syntax.

    Parameters
    ----------
    transfer_syntax_uid : str
        Into which.
    encode : callable
        Takes a frame in little endian order, by pixel, and its Image; returns the code stream. Raises whatever.
    colours : Mapping of str to str
        The Photometric Interpretations that become others.
    decode : callable or None
        Decodes a code stream for the comparison, quicker than what `frames` has, with imagecodecs; takes and returns
        what `encode` returns and takes.
    """

    transfer_syntax_uid: str
    encode: Callable[[bytes, Image], bytes]
    colours: Mapping[str, str]
    decode: Callable[[bytes, Image], bytes] | None = None

    @property
    def module(self) -> str:
        """What must be installed for it."""
        return ENCODER_MODULES[self.transfer_syntax_uid]

    @property
    def decodes_quickly(self) -> bool:
        """Whether `decode` can be called."""
        return self.decode is not None and is_installed("imagecodecs")

    def decode_as_proved(self, stream: bytes, image: Image) -> tuple[bytes, str, int]:
        """Decode a code stream with what proves the encoder, for `frames.DecodedFrames`.

        Raises
        ------
        CannotTranscode
            That is the usual decoder, or is not installed.
        """
        if not self.decodes_quickly:
            name = UID(self.transfer_syntax_uid).name
            raise CannotTranscode(f"{name} has no other decoder here; the extra 'codecs' may bring one")
        native = {encoded: before for before, encoded in self.colours.items()}
        interpretation = image.photometric_interpretation
        return self.decode(stream, image), native.get(interpretation, interpretation), 0


def _by_pydicom(uid: str, plugin: str) -> Callable[[bytes, Image], bytes]:
    """Return a function that encodes with one of pydicom's encoders."""
    colours = _REVERSIBLE_COLOURS if uid == JPEG_2000_LOSSLESS else _NO_CHANGE

    def encode(frame: bytes, image: Image) -> bytes:
        interpretation = image.photometric_interpretation
        options = {name: getattr(image, name) for name in Image.__slots__} | {
            "number_of_frames": 1,
            "photometric_interpretation": colours.get(interpretation, interpretation),
        }
        return bytes(get_encoder(UID(uid)).encode(frame, encoding_plugin=plugin, **options))

    return encode


_jpeg_2000_by_pydicom = _by_pydicom(JPEG_2000_LOSSLESS, "pylibjpeg")


def _jpeg_2000(frame: bytes, image: Image) -> bytes:
    """Encode with pydicom's plug-in, and what is too small for it with imagecodecs, if that is installed."""
    if min(image.rows, image.columns) >= OPENJPEG_SIZE_MIN:
        return _jpeg_2000_by_pydicom(frame, image)
    if not is_installed("imagecodecs"):
        raise CannotTranscode("an image of less than 32 pixels in a dimension needs the extra 'codecs'")
    import imagecodecs

    return bytes(
        imagecodecs.jpeg2k_encode(
            _samples(frame, image),
            level=0,
            codecformat="j2k",
            reversible=True,
            bitspersample=image.bits_stored,
            mct=image.photometric_interpretation in _REVERSIBLE_COLOURS,
            numthreads=1,
        )
    )


def _jpeg_2000_decoded(stream: bytes, image: Image) -> bytes:
    """Decode with imagecodecs, which needs three quarters of the time that pydicom's plug-in does."""
    import imagecodecs

    return imagecodecs.jpeg2k_decode(stream, numthreads=1).astype(image.sample_type, copy=False).tobytes()


_jpeg_ls_by_pydicom = _by_pydicom(JPEG_LS_LOSSLESS, "pyjpegls")


def _jpeg_ls(frame: bytes, image: Image) -> bytes:
    """Encode with pydicom's plug-in what every decoder makes the same Pixel Cells of.

    A code stream has no sign (PS3.5 8.2.3), and only some decoders extend that of a negative sample; and where it has
    bytes, though 16 bits are allocated, others refuse it.
    """
    if image.pixel_representation and image.bits_stored < image.bits_allocated:
        raise CannotTranscode("JPEG-LS has no sign for samples with fewer Bits Stored than allocated")
    if image.bits_stored <= _BYTE_BITS < image.bits_allocated:
        raise CannotTranscode(f"JPEG-LS has bytes for {image.bits_stored} bits, not {image.bits_allocated} bits")
    return _jpeg_ls_by_pydicom(frame, image)


def _samples(frame: bytes, image: Image) -> np.ndarray:
    """Return a frame as an array, shape (rows, columns[, samples])."""
    colours = [image.samples_per_pixel] if image.samples_per_pixel > 1 else []
    return np.frombuffer(frame, image.sample_type).reshape(image.rows, image.columns, *colours)


def _htj2k(frame: bytes, image: Image) -> bytes:
    """Encode with OpenJPH, which takes the precision from the type of the samples, and not from Bits Stored.

    Without a transformation of the components, samples that are less precise can be told so: unsigned ones are
    encoded as what is left of them when half of their range is subtracted, which is what the standard makes of
    unsigned samples anyway (ISO/IEC 15444-1 G.1), and the header says what they are.
    """
    import imagecodecs

    if image.bits_allocated > _HTJ2K_BITS_MAX:
        raise CannotTranscode(f"most readers of HTJ2K take no {image.bits_allocated} bits")
    signed, samples = bool(image.pixel_representation), _samples(frame, image)
    if image.bits_stored == image.bits_allocated:
        return bytes(imagecodecs.htj2k_encode(samples, reversible=True))
    if image.samples_per_pixel > 1:
        raise CannotTranscode("colours with fewer Bits Stored than allocated cannot be encoded into HTJ2K")
    if not signed:
        kind = np.dtype(f"<i{image.bits_allocated // 8}")
        samples = samples.view(kind) - kind.type(1 << image.bits_stored - 1)
    stream = bytearray(imagecodecs.htj2k_encode(samples, reversible=True))
    stream[_PRECISION_OFFSET] = (_SIGNED if signed else 0) | image.bits_stored - 1
    return bytes(stream)


def _htj2k_decoded(stream: bytes, image: Image) -> bytes:
    """Decode with OpenJPH, which does not clamp samples to the precision that the code stream says."""
    import imagecodecs

    return imagecodecs.htj2k_decode(stream).astype(image.sample_type, copy=False).tobytes()


ENCODERS: tuple[Encoder, ...] = (
    Encoder(JPEG_2000_LOSSLESS, _jpeg_2000, _REVERSIBLE_COLOURS, _jpeg_2000_decoded),
    Encoder(HTJ2K_LOSSLESS, _htj2k, _REVERSIBLE_COLOURS, _htj2k_decoded),
    Encoder(JPEG_LS_LOSSLESS, _jpeg_ls, _NO_CHANGE),
    Encoder(RLE_LOSSLESS, _by_pydicom(RLE_LOSSLESS, "pydicom"), _NO_CHANGE),
)


def encoder_of(transfer_syntax_uid: str) -> Encoder:
    """Return the encoder of a transfer syntax.

    Raises
    ------
    CannotTranscode
        There is none, or what it needs is not installed.
    """
    for encoder in ENCODERS:
        if encoder.transfer_syntax_uid == transfer_syntax_uid:
            if not is_installed(encoder.module):
                raise CannotTranscode(f"{UID(transfer_syntax_uid).name} cannot be encoded: no {encoder.module} here")
            return encoder
    raise CannotTranscode(f"{transfer_syntax_uid} cannot be encoded")


def preload() -> None:
    """Import what the encoders need, so that it does not count as the memory of a job."""
    if is_installed("imagecodecs"):
        imagecodecs = importlib.import_module("imagecodecs")
        imagecodecs.HTJ2K, imagecodecs.JPEG2K, imagecodecs.JPEG8  # noqa: B018 - they are imported when they are asked for
