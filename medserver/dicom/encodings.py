"""How elements are laid out as bytes: tag, VR, length and value (PS3.5 7.1), items and sequences (PS3.5 7.5).

Everything that writes elements writes them with an `Encoding`; values are encoded by who knows what they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct

from medserver.dicom.nesting import ITEM
from medserver.dicom.representations import LONG_LENGTH, STRING_VRS
from medserver.dicom.uids import transfer_syntax

SHORT_LENGTH_MAX_BYTES = 0xFFFE
"""The longest value of an even length that 16 bits can tell (PS3.5 7.1.1, 7.1.2)."""


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
        object.__setattr__(self, "tag_and_length", Struct(self.byte_order + "HHL"))
        object.__setattr__(self, "tag_vr_and_length", Struct(self.byte_order + "HH2sH"))
        object.__setattr__(self, "long_length", Struct(self.byte_order + "L"))

    @property
    def byte_order(self) -> str:
        """The byte order as `struct` writes it: ``<`` or ``>``."""
        return "<" if self.little_endian else ">"

    def header(self, tag: int, vr: str, length: int) -> bytes:
        """Return tag, VR and length of an element (PS3.5 7.1.2, 7.1.3).

        Parameters
        ----------
        tag : int
            ``group << 16 | element``.
        vr : str
            The VR, which is not written in implicit VR.
        length : int
            Of the value. 16 bits have to be enough for it where the VR has the short form.
        """
        if self.implicit_vr:
            return self.tag_and_length.pack(tag >> 16, tag & 0xFFFF, length)
        if vr in LONG_LENGTH:
            return self.tag_vr_and_length.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0) + self.long_length.pack(length)
        return self.tag_vr_and_length.pack(tag >> 16, tag & 0xFFFF, vr.encode(), length)

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """Return an element; `value` is encoded, of an even length."""
        return self.header(tag, vr, len(value)) + value

    def text(self, tag: int, vr: str, value: str) -> bytes:
        """Return an element whose value is in the default repertoire, padded."""
        return self.element(tag, vr, padded(value.encode("ascii"), vr))

    def sequence(self, tag: int, items: Iterable[bytes]) -> bytes:
        """Return a sequence; it and its items, which are encoded data sets, get defined lengths (PS3.5 7.5.1)."""
        pack = self.tag_and_length.pack
        return self.element(tag, "SQ", b"".join(pack(ITEM >> 16, ITEM & 0xFFFF, len(item)) + item for item in items))


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


def padded(value: bytes, vr: str) -> bytes:
    """Return an encoded value with an even length: texts but UIDs get a space, others a null byte (PS3.5 6.2)."""
    if len(value) % 2 == 0:
        return value
    return value + (b" " if vr in STRING_VRS and vr != "UI" else b"\0")
