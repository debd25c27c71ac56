"""Which compressed transfer syntaxes a stored object can be brought into. How that is done is in `encoders`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from medserver.codecs.installed import is_installed
from medserver.codecs.syntaxes import targets
from medserver.dicom.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"

ENCODER_MODULES: Mapping[str, str] = MappingProxyType({
    JPEG_2000_LOSSLESS: "openjpeg",
    HTJ2K_LOSSLESS: "imagecodecs",
    JPEG_LS_LOSSLESS: "jpeg_ls",
    RLE_LOSSLESS: "pydicom",
})
"""What must be installed to encode into a transfer syntax; all are lossless, in order of preference."""


@lru_cache(maxsize=1)
def available() -> tuple[str, ...]:
    """Return the transfer syntaxes that can be encoded here, in order of preference."""
    return tuple(uid for uid, module in ENCODER_MODULES.items() if is_installed(module))


@lru_cache(maxsize=256)
def compressions(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the lossless compressed transfer syntaxes that an object can be brought into.

    Parameters
    ----------
    transfer_syntax_uid : str
        The transfer syntax that the object is stored in.

    Returns
    -------
    tuple of str
        In order of preference, without `transfer_syntax_uid` itself. Empty if its pixel data cannot be decoded here, or
        if the transfer syntax is unknown. Whether an object can be brought into one, its pixels decide.
    """
    if not targets(transfer_syntax_uid):
        return ()
    return tuple(uid for uid in (*available(), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) if uid != transfer_syntax_uid)
