"""Which uncompressed transfer syntax a stored object can be brought into, and how each is encoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct

from medserver.codecs.installed import is_installed
from medserver.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    transfer_syntax,
)
from medserver.errors import TransferSyntaxNotSupported

UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
"""What is produced, in order of preference. Deflated is read but not written."""

ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"
DECODED_HERE = (ENCAPSULATED_UNCOMPRESSED, DEFLATED_IMAGE_FRAME)
"""Encapsulated transfer syntaxes whose frames need no image codec. pydicom does not decode them."""

JPEG = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
)
"""Baseline (process 1), extended (2 and 4), lossless (14) and lossless of first-order prediction (14): `jpeg`."""

_DECODING_PLUGINS = ("pylibjpeg", "pyjpegls", "pydicom")
"""In order of preference: what else is installed on a machine must not change what comes out."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the elements of a data set are encoded (PS3.5 7.1).

    Parameters
    ----------
    implicit_vr : bool
        Elements carry no VR (PS3.5 7.1.3).
    little_endian : bool
        The byte order of tags, lengths and binary values (PS3.5 7.3).
    """

    implicit_vr: bool
    little_endian: bool
    tag_and_length: Struct = field(init=False, compare=False, repr=False)
    tag_vr_and_length: Struct = field(init=False, compare=False, repr=False)
    long_length: Struct = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        order = "<" if self.little_endian else ">"
        object.__setattr__(self, "tag_and_length", Struct(order + "HHL"))
        object.__setattr__(self, "tag_vr_and_length", Struct(order + "HH2sH"))
        object.__setattr__(self, "long_length", Struct(order + "L"))


IMPLICIT_LITTLE = Encoding(implicit_vr=True, little_endian=True)
EXPLICIT_LITTLE = Encoding(implicit_vr=False, little_endian=True)
EXPLICIT_BIG = Encoding(implicit_vr=False, little_endian=False)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how a data set in `transfer_syntax_uid` is encoded, once inflated if it is deflated.

    Raises
    ------
    TransferSyntaxNotSupported
        If the transfer syntax is unknown.
    """
    syntax = transfer_syntax(transfer_syntax_uid)
    if syntax.implicit_vr:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if syntax.little_endian else EXPLICIT_BIG


@lru_cache(maxsize=256)
def targets(transfer_syntax_uid: str) -> tuple[str, ...]:
    """Return the uncompressed transfer syntaxes that an object can be brought into.

    Parameters
    ----------
    transfer_syntax_uid : str
        The transfer syntax that the object is stored in.

    Returns
    -------
    tuple of str
        In order of preference, without `transfer_syntax_uid` itself. Empty if its pixel data cannot be
        decoded here, or if the transfer syntax is unknown.
    """
    try:
        encapsulated = transfer_syntax(transfer_syntax_uid).encapsulated
    except TransferSyntaxNotSupported:
        return ()
    if encapsulated and not _is_decodable(transfer_syntax_uid):
        return ()
    return tuple(uid for uid in UNCOMPRESSED if uid != transfer_syntax_uid)


def _is_decodable(transfer_syntax_uid: str) -> bool:
    if transfer_syntax_uid in DECODED_HERE:
        return True
    if transfer_syntax_uid in JPEG:
        return is_installed("imagecodecs")
    return decoding_plugin(transfer_syntax_uid) is not None


@lru_cache(maxsize=256)
def decoding_plugin(transfer_syntax_uid: str) -> str | None:
    """Return which of pydicom's plug-ins decodes a transfer syntax here; None if none does."""
    from pydicom.pixels import get_decoder  # with numpy, which who has no pixels does without
    from pydicom.uid import UID

    try:
        available = get_decoder(UID(transfer_syntax_uid)).available_plugins
    except NotImplementedError:
        return None
    return next((plugin for plugin in _DECODING_PLUGINS if plugin in available), None)
