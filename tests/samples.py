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
_HELD = {
    _J2K: ("JPEG 2000", "3-8 of 8, 3-16 of 16, 17-22 of 32 bits, signed or not", "3-8 of 8, 3-16 of 16 bits"),
    _HTJ2K: ("HTJ2K", "1-8 of 8, 1-16 of 16 bits, signed or not", "8 of 8, 16 of 16 bits"),
    _JPEG_LS: ("JPEG-LS", "2-8 of 8, 9-16 of 16, signed 8 of 8, signed 16 of 16 bits", "2-8 of 8, 9-16 of 16 bits"),
    _RLE: ("RLE", "1-8 of 8, 1-16 of 16 bits, signed or not", "1-8 of 8, 1-16 of 16 bits"),
}
"""Name of each compression, what it takes of MONOCHROME2, and what of RGB."""


def _not_for(bits: str, colours: bool = False) -> dict[str, str]:
    of = "RGB" if colours else "MONOCHROME2"
    return {
        uid: f"{held[0]} is not used for {of} of {bits} bits, but of {held[1 + colours]}" for uid, held in _HELD.items()
    }


_ONE_BIT = _not_for("1 of 1")
_DOSE = _not_for("32 of 32")
_COLOURS_OF_32_BITS = _not_for("32 of 32", colours=True)
_SIGNED_13, _SIGNED_14 = ({_JPEG_LS: _not_for(f"signed {bits} of 16")[_JPEG_LS]} for bits in (13, 14))
_TOO_SMALL = {_JPEG_LS: "an image of less than 256 pixels is not encoded into JPEG-LS"}
_SUBSAMPLED = {
    uid: f"{name} is not used for YBR_FULL_422, but for MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL"
    for uid, (name, *_) in _HELD.items()
}

ODDITIES = {
    "DICOMDIR-nooffset": Oddity(transcoding="a value of 248 bytes at 10538 goes beyond 10762"),
    "JPEG2000-embedded-sequence-delimiter.dcm": Oddity(
        transcoding="frame 1 cannot be decoded: Error decoding the J2K data: failed to read the header"
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
    "rtdose_expb.dcm": Oddity(compression=_DOSE),
    "rtdose_expb_1frame.dcm": Oddity(compression=_DOSE),
    "SC_rgb_rle_32bit.dcm": Oddity(compression=_COLOURS_OF_32_BITS),
    "SC_rgb_rle_32bit_2frame.dcm": Oddity(compression=_COLOURS_OF_32_BITS),
    "liver_1frame.dcm": Oddity(compression=_ONE_BIT),
    "liver_expb_1frame.dcm": Oddity(compression=_ONE_BIT),
    "MR_small_padded.dcm": Oddity(compression="the Pixel Data has 8320 bytes instead of 8192"),
    "SC_ybr_full_422_uncompressed.dcm": Oddity(compression=_SUBSAMPLED),
    "badVR.dcm": Oddity(compression="Number of Frames is '1A', and no number of frames"),
    "nested_priv_SQ.dcm": Oddity(
        compression="the Pixel Data cannot be read without Rows, Columns, Bits Allocated, Bits Stored"
    ),
    "SC_rgb_small_odd.dcm": Oddity(compression=_TOO_SMALL),
    "SC_rgb_small_odd_big_endian.dcm": Oddity(compression=_TOO_SMALL),
    "SC_rgb_small_odd_jpeg.dcm": Oddity(compression=_TOO_SMALL),
    "693_J2KI.dcm": Oddity(compression=_SIGNED_14),
    "J2K_pixelrep_mismatch.dcm": Oddity(compression=_SIGNED_13),
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
