"""Bulk data: the attributes that Composite Instance Retrieve Without Bulk Data does not send (PS3.4 Z.1.3)."""

from __future__ import annotations

from medserver.dicom.encodings import Encoding
from medserver.dicom.walker import PIXEL_DATA, Visitor

# PS3.4 table Z.1-1: Pixel Data, Float and Double Float Pixel Data, Pixel Data Provider URL, Spectroscopy Data,
# Encapsulated Document; then Overlay Data, Curve Data and Audio Sample Data, whose groups repeat.
_BULK_DATA = frozenset((PIXEL_DATA, 0x7FE00008, 0x7FE00009, 0x00287FE0, 0x56000020, 0x00420011))
_BULK_DATA_REPEATING = frozenset(((0x60, 0x3000), (0x50, 0x3000), (0x50, 0x200C)))

_WAVEFORM_SEQUENCE = 0x54000100
_WAVEFORM_DATA = 0x54001010


def is_bulk_data(tag: int, sequences: tuple[int, ...]) -> bool:
    """Tell whether an attribute is left out.

    Parameters
    ----------
    tag : int
        The attribute.
    sequences : tuple of int
        The sequences that it is in, the outermost first; empty at the top level.
    """
    if sequences:
        return tag == _WAVEFORM_DATA and sequences == (_WAVEFORM_SEQUENCE,)
    group, element = tag >> 16, tag & 0xFFFF
    return tag in _BULK_DATA or (group % 2 == 0 and (group >> 8, element) in _BULK_DATA_REPEATING)


class WithoutBulkData:
    """Visitor that tells another one of everything but the bulk data.

    Parameters
    ----------
    visitor : Visitor
        Who is told.
    """

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._sequences: tuple[int, ...] = ()
        self._left_out = 0  # how many sequences are open of one that is left out, itself included

    def begin_data_set(self, offset: int) -> None:
        """Pass on the start of a data set."""
        if not self._left_out:
            self._visitor.begin_data_set(offset)

    def end_data_set(self) -> None:
        """Pass on the end of a data set."""
        if not self._left_out:
            self._visitor.end_data_set()

    def begin_sequence(self, tag: int) -> None:
        """Pass on the start of a sequence. A value of VR UN and undefined length comes as one (PS3.5 6.2.2)."""
        if self._left_out or is_bulk_data(tag, self._sequences):
            self._left_out += 1
            return
        self._sequences += (tag,)
        self._visitor.begin_sequence(tag)

    def end_sequence(self) -> None:
        """Pass on the end of a sequence."""
        if self._left_out:
            self._left_out -= 1
            return
        self._sequences = self._sequences[:-1]
        self._visitor.end_sequence()

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Pass on an element."""
        if not self._left_out and not is_bulk_data(tag, self._sequences):
            self._visitor.element(tag, vr, length, encoding)

    def fragments(self, offset: int, length: int) -> None:
        """Pass on encapsulated Pixel Data, which is that of an icon."""
        if not self._left_out and not is_bulk_data(PIXEL_DATA, self._sequences):
            self._visitor.fragments(offset, length)
