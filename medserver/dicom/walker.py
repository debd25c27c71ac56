"""Walk through an encoded data set of any size, without recursion and without trust in its lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from medserver.dicom.encodings import IMPLICIT_LITTLE, Encoding
from medserver.dicom.nesting import (
    DELIMITER_GROUP,
    ITEM,
    ITEM_DELIMITATION,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
)
from medserver.dicom.representations import LONG_LENGTH, VALID, representation_of
from medserver.errors import CannotTranscode

PIXEL_DATA = 0x7FE00010
DEPTH_MAX = 128
"""Data sets and sequences inside one another. Structured reports of real life stay below 40."""

_VR_NAMES = {vr.encode(): vr for vr in VALID}


class Visitor(Protocol):
    """What is told of each part of a data set, in the order of the bytes."""

    def begin_data_set(self, offset: int) -> None:
        """A data set starts: the whole one, or that of an item."""

    def end_data_set(self) -> None:
        """The data set that started last ends."""

    def begin_sequence(self, tag: int) -> None:
        """A sequence of items starts."""

    def end_sequence(self) -> None:
        """The sequence that started last ends."""

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """An element with a value of `length` bytes, at which the stream stands. It may be left unread."""

    def fragments(self, offset: int, length: int) -> None:
        """Encapsulated Pixel Data, from the Basic Offset Table to before the Sequence Delimitation Item."""


@dataclass(slots=True)
class Level:
    """A data set or a sequence that is being walked through."""

    is_sequence: bool
    end: int  # where it ends, or where the one around it ends if its own length is undefined
    defined: bool
    encoding: Encoding


class Walker:
    """Tells a visitor of every part of a data set.

    Parameters
    ----------
    stream : BinaryIO
        A buffered, seekable stream that starts with the data set.
    size_bytes : int
        The length of the data set.
    encoding : Encoding
        How it is encoded.
    visitor : Visitor
        Who is told.
    """

    def __init__(self, stream: BinaryIO, size_bytes: int, encoding: Encoding, visitor: Visitor) -> None:
        self._stream = stream
        self._visitor = visitor
        self._position = 0
        self._levels = [Level(False, size_bytes, True, encoding)]

    def walk(self) -> None:
        """Walk from the first element to the last.

        Raises
        ------
        CannotTranscode
            If a length lies, the data set ends too early, or items are nested too deeply.
        """
        self._stream.seek(0)
        self._visitor.begin_data_set(0)
        while self._levels:
            level = self._levels[-1]
            if level.defined and self._position == level.end:
                self._leave()
            elif level.is_sequence:
                self._next_item(level)
            else:
                self._elements(level)

    def _elements(self, level: Level) -> None:
        """Read elements until a sequence starts or the data set ends."""
        while not level.defined or self._position < level.end:
            tag, vr, length = self._header(level)
            if tag >> 16 == DELIMITER_GROUP:
                if tag != ITEM_DELIMITATION or level.defined:
                    raise CannotTranscode(f"delimiter {_text(tag)} in a data set, before {self._position}")
                self._leave()
                return
            if vr == "SQ" or length == UNDEFINED_LENGTH:
                if tag != PIXEL_DATA:
                    self._enter_sequence(tag, vr, length, level)
                    return
                self._fragments(level)
                continue
            end = self._end(length, level)
            self._visitor.element(tag, vr, length, level.encoding)
            self._seek(end)

    def _header(self, level: Level) -> tuple[int, str, int]:
        """Read tag, VR and length of an element (PS3.5 7.1.2, 7.1.3)."""
        header = self._read(8, level)
        group, element, vr_bytes, length = level.encoding.tag_vr_and_length.unpack(header)
        tag = group << 16 | element
        if level.encoding.implicit_vr or group == DELIMITER_GROUP:
            return tag, representation_of(tag), level.encoding.tag_and_length.unpack(header)[2]
        vr = _VR_NAMES.get(vr_bytes)
        if vr is None:
            if not b"AA" <= vr_bytes <= b"ZZ":
                # Some writers put implicit VR elements into explicit VR data sets; pydicom reads them so.
                return tag, representation_of(tag), level.encoding.tag_and_length.unpack(header)[2]
            return tag, "UN", length  # an unknown VR, taken as one of the short form, as pydicom does
        if vr in LONG_LENGTH:
            length = level.encoding.long_length.unpack(self._read(4, level))[0]
        return tag, vr, length

    def _enter_sequence(self, tag: int, vr: str, length: int, level: Level) -> None:
        if vr not in ("SQ", "UN"):
            raise CannotTranscode(f"{_text(tag)} has VR {vr} and an undefined length")
        # PS3.5 6.2.2: what is inside a UN of undefined length is Implicit VR Little Endian
        inner = IMPLICIT_LITTLE if vr == "UN" else level.encoding
        self._visitor.begin_sequence(tag)
        self._enter(True, length, inner, level)

    def _next_item(self, level: Level) -> None:
        tag, length = self._item_header(level)
        if tag == ITEM:
            self._enter(False, length, level.encoding, level)
            self._visitor.begin_data_set(self._position)
        elif tag == SEQUENCE_DELIMITATION and not level.defined:
            self._leave()
        else:
            raise CannotTranscode(f"{_text(tag)} instead of an item, before {self._position}")

    def _fragments(self, level: Level) -> None:
        """Find the end of encapsulated Pixel Data (PS3.5 A.4)."""
        offset = self._position
        while True:
            end = self._position
            tag, length = self._item_header(level)
            if tag == SEQUENCE_DELIMITATION:
                break
            if tag != ITEM:
                raise CannotTranscode(f"{_text(tag)} instead of a fragment, before {self._position}")
            self._seek(self._end(length, level))
        self._visitor.fragments(offset, end - offset)
        self._stream.seek(self._position)

    def _item_header(self, level: Level) -> tuple[int, int]:
        group, element, length = level.encoding.tag_and_length.unpack(self._read(8, level))
        return group << 16 | element, length

    def _enter(self, is_sequence: bool, length: int, encoding: Encoding, level: Level) -> None:
        if len(self._levels) >= DEPTH_MAX:
            raise CannotTranscode(f"items are nested more than {DEPTH_MAX // 2} deep")
        defined = length != UNDEFINED_LENGTH
        end = self._end(length, level) if defined else level.end
        self._levels.append(Level(is_sequence, end, defined, encoding))

    def _leave(self) -> None:
        if self._levels.pop().is_sequence:
            self._visitor.end_sequence()
        else:
            self._visitor.end_data_set()

    def _end(self, length: int, level: Level) -> int:
        end = self._position + length
        if end > level.end:
            raise CannotTranscode(f"a value of {length} bytes at {self._position} goes beyond {level.end}")
        return end

    def _read(self, count: int, level: Level) -> bytes:
        data = self._stream.read(count) if self._position + count <= level.end else b""
        if len(data) < count:
            raise CannotTranscode(f"the data set ends within an element, at {self._position}")
        self._position += count
        return data

    def _seek(self, position: int) -> None:
        self._stream.seek(position)
        self._position = position


def _text(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
