"""Short names of transfer syntaxes, for config.ini and the command line."""

from __future__ import annotations

from medserver.dicom.transfer_syntaxes import TRANSFER_SYNTAXES

SHORT_NAMES = {
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "big-endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "j2k": "1.2.840.10008.1.2.4.90",
    "htj2k": "1.2.840.10008.1.2.4.201",
    "jpegls": "1.2.840.10008.1.2.4.80",
    "rle": "1.2.840.10008.1.2.5",
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
