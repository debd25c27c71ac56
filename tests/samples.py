"""The test files that come with pydicom, and what is expected of those that are not like the others.

The tests that go through all files read this table. What it does not name is read whole, brought into other transfer
syntaxes and compressed like any other object. Which of them can be stored is in `tests.peers.files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pydicom

_DATA = Path(pydicom.__file__).parent / "data"


@dataclass(frozen=True)
class Oddity:
    """With which words a file is refused that is not like the others; empty where it is not refused.

    Attributes
    ----------
    cut_off : bool
        Its last element is not whole.
    data_set : str
        Why `read_data_set` does not read what is before the pixels.
    transcoding : str
        Why it is brought into no other transfer syntax.
    compression : str or Mapping of str to str
        Why it is not compressed. By transfer syntax where only some of them refuse it.
    dcmtk, gdcm : str
        Why DCMTK or GDCM does not decode it, or what it is compressed into.
    """

    cut_off: bool = False
    data_set: str = ""
    transcoding: str = ""
    compression: str | Mapping[str, str] = ""
    dcmtk: str = ""
    gdcm: str = ""

    def not_compressed(self, transfer_syntax_uid: str) -> str:
        """Return why it is not compressed into a transfer syntax."""
        return self.compression if isinstance(self.compression, str) else self.compression.get(transfer_syntax_uid, "")


_J2K, _HTJ2K, _JPEG_LS, _RLE = (f"1.2.840.10008.1.2.{end}" for end in ("4.90", "4.201", "4.80", "5"))

_UN_SEQUENCE = "the data set is damaged: a sequence as UN with a defined length"
_ONE_BIT = "Pixel Data with Bits Allocated 1 is not compressed"

_FRAME_1 = "frame 1 cannot be encoded: "
_BY_PYDICOM = f"{_FRAME_1}Unable to encode as exceptions were raised by all available plugins: "
_TOO_SMALL = {
    _JPEG_LS: f"{_BY_PYDICOM}pyjpegls: Encoding error: The destination buffer is too small to hold all the output"
}
_NO_SIGN = {_JPEG_LS: f"{_FRAME_1}JPEG-LS has no sign for samples with fewer Bits Stored than allocated"}


def _invalid(name: str, samples_per_pixel: int, photometric_interpretation: str) -> str:
    return (
        f"{_FRAME_1}One or more of the following values is not valid for pixel data encoded with "
        f"'{name}': (0028,0002) Samples per Pixel: {samples_per_pixel} (0028,0006) Photometric Interpretation: "
        f"{photometric_interpretation} (0028,0100) Bits Allocated: 32 (0028,0101) Bits Stored: 32 "
        "(0028,0103) Pixel Representation: 0 See Part 5, Section 8.2 of the DICOM Standard for more information"
    )


_DOSE = {
    _HTJ2K: f"{_FRAME_1}most readers of HTJ2K take no 32 bits",
    _JPEG_LS: _invalid("JPEG-LS Lossless Image Compression", 1, "MONOCHROME2"),
    _RLE: _invalid("RLE Lossless", 1, "MONOCHROME2"),
}
"""Pixel Cells of 32 bits, in images that are small enough for the encoder of JPEG 2000 that takes them."""

_DOSE_TOO_LARGE = _DOSE | {_J2K: "frame 1 would not be decoded as it was"}
"""Their bytes lie in an order that makes numbers of them that JPEG 2000 encoders do not get right."""

_COLOURS_OF_32_BITS = {
    _J2K: _BY_PYDICOM + "pylibjpeg: Invalid 'bits_stored' value '32', must be in the range [1, 24]",
    _HTJ2K: _DOSE[_HTJ2K],
    _JPEG_LS: _invalid("JPEG-LS Lossless Image Compression", 3, "RGB"),
}

ODDITIES = {
    "DICOMDIR-nooffset": Oddity(transcoding="a value of 248 bytes at 10538 goes beyond 10762"),
    "JPEG2000-embedded-sequence-delimiter.dcm": Oddity(
        transcoding="RuntimeError: Unable to decode as exceptions were raised by all available plugins: "
        "pylibjpeg: Error decoding the J2K data: failed to read the header"
    ),
    "MR_truncated.dcm": Oddity(cut_off=True, transcoding="a value of 8192 bytes at 1166 goes beyond 9296"),
    "rtplan_truncated.dcm": Oddity(
        cut_off=True,
        data_set="the data set is damaged: a value of 976 bytes at 1118 goes beyond 1829",
        transcoding="a value of 976 bytes at 1118 goes beyond 1829",
    ),
    "rtdose_rle.dcm": Oddity(data_set=_UN_SEQUENCE, compression=_DOSE),
    "rtdose_rle_1frame.dcm": Oddity(data_set=_UN_SEQUENCE, compression=_DOSE),
    "rtdose.dcm": Oddity(compression=_DOSE),
    "rtdose_1frame.dcm": Oddity(compression=_DOSE),
    "rtdose_expb.dcm": Oddity(compression=_DOSE_TOO_LARGE),
    "rtdose_expb_1frame.dcm": Oddity(compression=_DOSE_TOO_LARGE),
    "SC_rgb_rle_32bit.dcm": Oddity(compression=_COLOURS_OF_32_BITS),
    "SC_rgb_rle_32bit_2frame.dcm": Oddity(compression=_COLOURS_OF_32_BITS),
    "liver_1frame.dcm": Oddity(compression=_ONE_BIT),
    "liver_expb_1frame.dcm": Oddity(compression=_ONE_BIT),
    "MR_small_padded.dcm": Oddity(compression="the Pixel Data has 8320 bytes instead of 8192"),
    "SC_ybr_full_422_uncompressed.dcm": Oddity(
        compression="Pixel Data with fewer samples of the colours is not compressed"
    ),
    "badVR.dcm": Oddity(compression="Number of Frames is not a number"),
    "nested_priv_SQ.dcm": Oddity(
        compression="the Pixel Data cannot be decoded without rows, columns, bits_allocated, bits_stored"
    ),
    "SC_rgb_small_odd.dcm": Oddity(compression=_TOO_SMALL),
    "SC_rgb_small_odd_big_endian.dcm": Oddity(compression=_TOO_SMALL),
    "SC_rgb_small_odd_jpeg.dcm": Oddity(compression=_TOO_SMALL),
    "693_J2KI.dcm": Oddity(compression=_NO_SIGN),
    "J2K_pixelrep_mismatch.dcm": Oddity(compression=_NO_SIGN),
    "SC_rgb_rle_16bit_2frame.dcm": Oddity(gdcm="fails to write frames of colours of 16 bits"),
    "SC_rgb_jpeg.dcm": Oddity(dcmtk="a File Meta Information in Implicit VR"),
    "UN_sequence.dcm": Oddity(dcmtk="no Pixel Data"),
}
"""By the names of the files."""


def oddity(name: str) -> Oddity:
    """Return what is expected of a file."""
    return ODDITIES.get(name, Oddity())


@cache
def paths() -> tuple[Path, ...]:
    """Return the files in the DICOM file format (PS3.10 7.1), the small ones for character sets included.

    Not with pydicom's `get_testdata_files`: it downloads larger ones.
    """
    found = [path for folder in ("test_files", "charset_files") for path in sorted((_DATA / folder).rglob("*"))]
    return tuple(path for path in found if path.is_file() and path.read_bytes()[128:132] == b"DICM")


def name_of(path: Path) -> str:
    """Return a name of a file that no other one has."""
    return str(path.relative_to(_DATA))
