"""Short names of transfer syntaxes, for config.ini and the command line."""

from __future__ import annotations

from medserver.dicom.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    HTJ2K_LOSSLESS,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_LS_LOSSLESS,
    RLE_LOSSLESS,
    TRANSFER_SYNTAXES,
)

SHORT_NAMES = {
    "explicit": EXPLICIT_VR_LITTLE_ENDIAN,
    "implicit": IMPLICIT_VR_LITTLE_ENDIAN,
    "big-endian": EXPLICIT_VR_BIG_ENDIAN,
    "deflated": DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    "j2k": JPEG_2000_LOSSLESS,
    "htj2k": HTJ2K_LOSSLESS,
    "jpegls": JPEG_LS_LOSSLESS,
    "rle": RLE_LOSSLESS,
}
"""Short name -> Transfer Syntax UID; the compressed ones are those without loss."""

_BY_NAME = (
    {syntax.keyword.lower(): syntax.uid for syntax in TRANSFER_SYNTAXES}
    | {syntax.uid: syntax.uid for syntax in TRANSFER_SYNTAXES}
    | SHORT_NAMES
)
_SHORT_NAME_OF = {uid: name for name, uid in SHORT_NAMES.items()}


def transfer_syntax_named(name: str) -> str:
    """Return the UID of a transfer syntax.

    Parameters
    ----------
    name : str
        A short name, the keyword of PS3.6 A, or the UID itself.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    uid = _BY_NAME.get(name.lower())
    if uid is None:
        raise ValueError(f"'{name}' is not a transfer syntax: {', '.join(SHORT_NAMES)}, a keyword or a UID")
    return uid


def short_name(transfer_syntax_uid: str) -> str:
    """Return the short name of a transfer syntax, or else its UID."""
    return _SHORT_NAME_OF.get(transfer_syntax_uid, transfer_syntax_uid)
