"""Value representations: which an element has, how long its unit is, how its length is written."""

from __future__ import annotations

from functools import lru_cache

from pydicom.datadict import dictionary_VR

LONG_LENGTH = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
"""VRs with a 32-bit length in explicit VR (PS3.5 7.1.2)."""

UNIT_SIZES_BYTES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),  # AT is a pair of 16-bit numbers (PS3.5 6.2)
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""The VRs whose bytes are swapped when the byte order changes (PS3.5 7.3), and what is swapped."""

_TEXT = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI"))
VALID = LONG_LENGTH | UNIT_SIZES_BYTES.keys() | _TEXT

PIXEL_REPRESENTATION = 0x00280103
LUT_DESCRIPTOR = 0x00283002
PIXEL_DATA = 0x7FE00010


@lru_cache(maxsize=8192)
def representation_of(tag: int) -> str:
    """Return the VR that the data dictionary (PS3.6) gives `tag`.

    Returns
    -------
    str
        A VR, several joined by " or " where other elements decide, or "UN" for an unknown tag.
    """
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:  # PS3.5 7.8.1: the private creators of a private group
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    if element == 0:
        return "UL"
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return "UN"


def resolve(vr: str, pixel_representation: int, lut_entries: int | None) -> str:
    """Return the one VR that an element read from implicit VR has, as pydicom's file writer decides it.

    Parameters
    ----------
    vr : str
        What `representation_of` gave.
    pixel_representation : int
        Pixel Representation of the data set or of the nearest one around it, 0 if there is none.
    lut_entries : int or None
        The first value of LUT Descriptor in the same data set.

    References
    ----------
    PS3.5 A.1 (Pixel Data, Overlay Data, Waveform Data and Curve Data are OW), PS3.3 C.11.1.1.1
    """
    if " or " not in vr:
        return vr
    if vr == "US or SS":
        return "SS" if pixel_representation == 1 else "US"
    if vr == "US or OW" and lut_entries == 1:
        return "US"
    return "OW"
