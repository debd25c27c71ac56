"""Elements whose value representation others decide, when an implicit data set becomes an explicit one."""

from __future__ import annotations

PIXEL_REPRESENTATION = 0x00280103
LUT_DESCRIPTOR = 0x00283002


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
