"""The table of codecs: what decodes and encodes the frames of a transfer syntax, what that holds, and what it needs.

A transfer syntax of encapsulated Pixel Data without a row here is received, kept and sent as it is. What an object can
be brought into by this is in `syntaxes`; the functions of the rows are in `pixels.decoders` and `pixels.encoders`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Protocol

from medserver.dicom.transfer_syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    JPEG_XL_JPEG_RECOMPRESSION,
    RLE_LOSSLESS,
    TransferSyntax,
    transfer_syntax,
)
from medserver.errors import CannotTranscode


@dataclass(frozen=True, slots=True)
class Library:
    """What has codecs.

    Parameters
    ----------
    distribution : str
        As pip knows it.
    module : str
        As it is imported.
    extra : str
        The extra of ours that installs it; empty if it is always there.
    """

    distribution: str
    module: str
    extra: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported; looked up once, and not imported."""
        return _is_importable(self.module)

    @property
    def maker(self) -> str:
        """Its name and version."""
        return f"{self.distribution} {_version(self.distribution)}"


class Kind(Protocol):
    """What is asked of an image whether an encoding holds it: the Image Pixel elements of these names."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits Allocated, with the fewest and the most Bits Stored."""

    allocated: int
    fewest: int
    most: int

    def __str__(self) -> str:
        stored = f"{self.fewest}" if self.fewest == self.most else f"{self.fewest}-{self.most}"
        return f"{stored} of {self.allocated}"


@dataclass(frozen=True, slots=True)
class Form:
    """Images that an encoding holds: a row of the tables of PS3.5 8.2, without what codecs get wrong.

    Parameters
    ----------
    interpretations : tuple of str
        Photometric Interpretations.
    unsigned, signed : tuple of Bits
        Of unsigned samples, and of signed ones.
    encoded_as : str
        The Photometric Interpretation of the code stream; empty if it is the same.
    """

    interpretations: tuple[str, ...]
    unsigned: tuple[Bits, ...]
    signed: tuple[Bits, ...] = ()
    encoded_as: str = ""

    @property
    def samples_per_pixel(self) -> int:
        """Samples per Pixel."""
        return 3 if set(self.interpretations) & _COLOURS else 1

    @property
    def words(self) -> str:
        """How many bits they have."""
        ranges = [*map(str, self.unsigned), *(f"signed {bits}" for bits in self.signed if self.signed != self.unsigned)]
        return f"{', '.join(ranges)} bits{', signed or not' if self.signed == self.unsigned else ''}"

    def holds(self, image: Kind) -> bool:
        """Tell whether an image of these Photometric Interpretations is held."""
        return image.samples_per_pixel == self.samples_per_pixel and any(
            bits.allocated == image.bits_allocated and bits.fewest <= image.bits_stored <= bits.most
            for bits in (self.signed if image.pixel_representation else self.unsigned)
        )


@dataclass(frozen=True, slots=True)
class Decoder:
    """One that decodes: a function in `pixels.decoders`, and what it needs."""

    function: str
    library: Library


@dataclass(frozen=True, slots=True)
class Encoder:
    """One that encodes.

    Parameters
    ----------
    function : str
        In `pixels.encoders`.
    library : Library
        What it needs.
    side_min, pixels_min : int
        How many rows and columns, and how many pixels, a frame has at least.
    """

    function: str
    library: Library
    side_min: int = 1
    pixels_min: int = 1

    def takes(self, image: Kind) -> bool:
        """Tell whether an image is large enough."""
        return min(image.rows, image.columns) >= self.side_min and image.rows * image.columns >= self.pixels_min

    @property
    def smallest(self) -> str:
        """What is too small for it, in words."""
        if self.side_min > 1:
            return f"less than {self.side_min} pixels in a dimension"
        return f"less than {self.pixels_min} pixels"


@dataclass(frozen=True, slots=True)
class Codec:
    """A transfer syntax whose frames are decoded, and perhaps encoded.

    Parameters
    ----------
    uid : str
        The Transfer Syntax UID.
    name : str
        What it is called in few words.
    decoder : Decoder
        What reads it, and proves what was encoded.
    forms : tuple of Form
        What is encoded.
    encoders : tuple of Encoder
        The first one that takes an image and is installed encodes it.
    decoder_before : Decoder or None
        Another one, which proved what earlier versions encoded: it may give what the usual one loses.
    """

    uid: str
    name: str
    decoder: Decoder
    forms: tuple[Form, ...] = ()
    encoders: tuple[Encoder, ...] = ()
    decoder_before: Decoder | None = None

    @property
    def syntax(self) -> TransferSyntax:
        """What PS3.5 says of it."""
        return transfer_syntax(self.uid)

    @property
    def decodes(self) -> bool:
        """Whether it is decoded here."""
        return self.decoder.library.is_installed

    @property
    def encodes(self) -> bool:
        """Whether it is encoded here; with loss only where that was asked for."""
        return self.decodes and any(encoder.library.is_installed for encoder in self.encoders)

    @property
    def makers(self) -> str:
        """The names and versions of everything here that encodes or decodes it: what they make may differ."""
        libraries = dict.fromkeys(each.library for each in (self.decoder, *self.encoders))
        return ", ".join(library.maker for library in libraries if library.is_installed)

    def form_of(self, interpretation: str) -> Form | None:
        """Return how images of a Photometric Interpretation are encoded, None if they are not."""
        return next((form for form in self.forms if interpretation in form.interpretations), None)

    def encoder_for(self, image: Kind) -> Encoder:
        """Return what encodes an image here.

        Raises
        ------
        CannotTranscode
            Nothing does: why, in the words of this table.
        """
        if problem := self._problem(image):
            raise CannotTranscode(problem)
        large_enough = [one for one in self.encoders if one.takes(image)]
        if not large_enough:
            raise CannotTranscode(f"an image of {self.encoders[0].smallest} is not encoded into {self.name}")
        for encoder in large_enough:
            if encoder.library.is_installed:
                return encoder
        raise CannotTranscode(f"{self.name} of such an image needs the extra '{large_enough[0].library.extra}'")

    def _problem(self, image: Kind) -> str:
        """Say why the encoding does not hold an image; empty if it does."""
        interpretation = image.photometric_interpretation
        form = self.form_of(interpretation)
        if form is None:
            others = ", ".join(one for form in self.forms for one in form.interpretations)
            what = interpretation or "pixels without Photometric Interpretation"
            return f"{self.name} is not used for {what}, but for {others}"
        if form.holds(image):
            return ""
        if image.samples_per_pixel != form.samples_per_pixel:
            return f"{interpretation} has {form.samples_per_pixel} and not {image.samples_per_pixel} Samples per Pixel"
        sign = "signed " if image.pixel_representation else ""
        bits = f"{sign}{image.bits_stored} of {image.bits_allocated} bits"
        return f"{self.name} is not used for {interpretation} of {bits}, but of {form.words}"


_OWN = Library("medserver", "medserver")
_PYDICOM = Library("pydicom", "pydicom")
_OPENJPEG = Library("pylibjpeg-openjpeg", "openjpeg")
_IMAGECODECS = Library("imagecodecs", "imagecodecs", extra="codecs")
_PYJPEGLS = Library("pyjpegls", "jpeg_ls", extra="codecs")

_COLOURS = frozenset(("RGB", "YBR_FULL"))
_GREY, _PALETTE, _RGB, _YBR = ("MONOCHROME1", "MONOCHROME2"), ("PALETTE COLOR",), ("RGB",), ("YBR_FULL",)
_ANY = (Bits(8, 1, 8), Bits(16, 1, 16))
_ALL_BITS = (Bits(8, 8, 8), Bits(16, 16, 16))

# For noise of one or two bits the encoder of OpenJPEG has too little room, and fails or loses some; of 24 bits it loses
# some too, as ISO/IEC 15444-1 adds bits to samples.
_FROM_THREE_BITS = (Bits(8, 3, 8), Bits(16, 3, 16))
_UP_TO_22_BITS = (*_FROM_THREE_BITS, Bits(32, 17, 22))

# A code stream has no sign (PS3.5 8.2.3), and DCMTK and GDCM do not extend that of a negative sample; where it has
# bytes, though 16 bits are allocated, they refuse it.
_BYTES_OR_WORDS = (Bits(8, 2, 8), Bits(16, 9, 16))

_JPEG_2000_FORMS = (
    Form(_GREY, _UP_TO_22_BITS, _UP_TO_22_BITS),
    Form(_PALETTE, _FROM_THREE_BITS),
    Form(_RGB, _FROM_THREE_BITS, encoded_as="YBR_RCT"),  # PS3.5 8.2.4: the codec transforms the components
    Form(_YBR, _FROM_THREE_BITS),
)
_JPEG_2000_LOSSY_FORMS = (  # the indices of a palette cannot be changed a little
    Form(_GREY, _FROM_THREE_BITS, _FROM_THREE_BITS),
    Form(_RGB, _FROM_THREE_BITS, encoded_as="YBR_ICT"),
    Form(_YBR, _FROM_THREE_BITS),
)
_HTJ2K_FORMS = (  # most readers take no 32 bits; OpenJPH takes the precision of colours from the type of the samples
    Form(_GREY, _ANY, _ANY),
    Form(_PALETTE, _ANY),
    Form(_RGB, _ALL_BITS, encoded_as="YBR_RCT"),
    Form(_YBR, _ALL_BITS),
)
_JPEG_LS_FORMS = (
    Form(_GREY, _BYTES_OR_WORDS, _ALL_BITS),
    Form(_PALETTE, _BYTES_OR_WORDS),
    Form(_RGB, _BYTES_OR_WORDS),
    Form(_YBR, (Bits(8, 2, 8),)),
)
_RLE_FORMS = (Form(_GREY, _ANY, _ANY), Form(_PALETTE, _ANY), Form(_RGB, _ANY), Form(_YBR, (Bits(8, 1, 8),)))

# openjpeg splits an image in half five times; pylibjpeg-openjpeg does not let one say less, and fails.
_SIDE_MIN = 32

# pyjpegls has room for twice the size of an image, which noise in a smaller one exceeds.
_PIXELS_MIN = 256

_BY_OPENJPEG, _BY_CHARLS = Decoder("jpeg_2000", _OPENJPEG), Decoder("jpeg_ls", _PYJPEGLS)
_BY_LIBJPEG, _BY_LIBJXL = Decoder("jpeg", _IMAGECODECS), Decoder("jpeg_xl", _IMAGECODECS)

CODECS: tuple[Codec, ...] = (
    Codec(
        JPEG_2000_LOSSLESS, "JPEG 2000", _BY_OPENJPEG, _JPEG_2000_FORMS,
        (Encoder("jpeg_2000", _OPENJPEG, side_min=_SIDE_MIN), Encoder("small_jpeg_2000", _IMAGECODECS)),
        decoder_before=Decoder("jpeg_2000_before", _IMAGECODECS),
    ),
    Codec(
        HTJ2K_LOSSLESS, "HTJ2K", _BY_OPENJPEG, _HTJ2K_FORMS, (Encoder("htj2k", _IMAGECODECS),),
        decoder_before=Decoder("htj2k_before", _IMAGECODECS),
    ),
    Codec(
        JPEG_LS_LOSSLESS, "JPEG-LS", _BY_CHARLS, _JPEG_LS_FORMS,
        (Encoder("jpeg_ls", _PYJPEGLS, pixels_min=_PIXELS_MIN),),
    ),
    Codec(RLE_LOSSLESS, "RLE", Decoder("rle", _PYDICOM), _RLE_FORMS, (Encoder("rle", _PYDICOM),)),
    Codec(
        JPEG_2000, "JPEG 2000 with loss", _BY_OPENJPEG, _JPEG_2000_LOSSY_FORMS,
        (Encoder("jpeg_2000_with_loss", _OPENJPEG, side_min=_SIDE_MIN),),
    ),
    Codec("1.2.840.10008.1.2.4.202", "HTJ2K, RPCL", _BY_OPENJPEG),
    Codec("1.2.840.10008.1.2.4.203", "HTJ2K with loss", _BY_OPENJPEG),
    Codec("1.2.840.10008.1.2.4.81", "JPEG-LS with loss", _BY_CHARLS),
    Codec("1.2.840.10008.1.2.4.50", "JPEG, process 1", _BY_LIBJPEG),
    Codec("1.2.840.10008.1.2.4.51", "JPEG, processes 2 and 4", _BY_LIBJPEG),
    Codec("1.2.840.10008.1.2.4.53", "JPEG, processes 6 and 8", _BY_LIBJPEG),
    Codec("1.2.840.10008.1.2.4.55", "JPEG, processes 10 and 12", _BY_LIBJPEG),
    Codec("1.2.840.10008.1.2.4.57", "JPEG lossless, process 14", _BY_LIBJPEG),
    Codec("1.2.840.10008.1.2.4.70", "JPEG lossless, first-order prediction", _BY_LIBJPEG),
    Codec("1.2.840.10008.1.2.4.110", "JPEG XL lossless", _BY_LIBJXL),
    Codec(JPEG_XL_JPEG_RECOMPRESSION, "JPEG XL of JPEG", _BY_LIBJXL),
    Codec("1.2.840.10008.1.2.4.112", "JPEG XL", _BY_LIBJXL),
    Codec("1.2.840.10008.1.2.1.98", "uncompressed", Decoder("plain", _OWN)),
    Codec("1.2.840.10008.1.2.8.1", "deflated frames", Decoder("deflated", _OWN)),
)  # fmt: skip
"""Those that can be encoded without loss come first, the preferred one before others."""

_REVISION = 5
"""Another one once what is done here around the codecs gives something else: 1 clamped bits above Bits Stored, 2 took
the colours of JPEG 2000 for planes where Planar Configuration said so, and left frames out, 3 made RGB of YBR_RCT,
4 took the pixels of JPEG-LS for as many in other rows and columns."""

_BY_UID: Mapping[str, Codec] = MappingProxyType({codec.uid: codec for codec in CODECS})


def codec_of(transfer_syntax_uid: str) -> Codec | None:
    """Return the codec of a transfer syntax, None if there is none."""
    return _BY_UID.get(transfer_syntax_uid)


def made_by(from_uid: str, to_uid: str) -> str:
    """Return what brings an object into another transfer syntax here: with another text the result may be another."""
    codecs = [codec for uid in (from_uid, to_uid) if (codec := codec_of(uid))]
    return "; ".join([f"medserver {_REVISION}", *(codec.makers for codec in codecs)])


def lossless_encodings() -> Iterator[str]:
    """Yield the transfer syntaxes of encapsulated Pixel Data that are encoded here without loss, the best first."""
    for codec in CODECS:
        if codec.syntax.lossless and codec.encodes:
            yield codec.uid


@cache
def _is_importable(module: str) -> bool:
    return find_spec(module) is not None


@cache
def _version(distribution: str) -> str:
    from importlib import metadata  # with a dozen modules, which who transcodes nothing does without

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # it lies in the path, and was not installed
        return "of no version"
