"""Where the parts of a multi-frame object lie: its elements, the functional groups of each frame, its pixel data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO

from medserver.codecs.data_sets.parts import Parts
from medserver.dicom.encodings import Encoding
from medserver.dicom.nesting import HEADER_SIZE_BYTES, ITEM, UNDEFINED_LENGTH
from medserver.errors import CannotTranscode

PER_FRAME_GROUPS = 0x52009230
FRAME_CONTENT = 0x00209111
FRAME_REFERENCE_DATE_TIME = 0x00189151
PLANE_POSITION_SLIDE = 0x0048021A

_DATE_TIME_SIZE_MAX_BYTES = 64
_LENGTH_SIZE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Value:
    """The value of an element of the outermost data set.

    Parameters
    ----------
    offset, length : int
        Where it lies.
    vr : str
        Its VR, as stated or as the dictionary has it.
    """

    offset: int
    length: int
    vr: str


class Layout(Parts):
    """Visitor that notes where the parts of a multi-frame object lie.

    Parameters
    ----------
    stream, size_bytes, encoding, encapsulated
        As for `Parts`.

    Attributes
    ----------
    stream : BinaryIO
        The stream.
    values : dict of int to Value
        By tag: the elements of the outermost data set but for sequences and fragments.
    groups : list of tuple of int
        The functional groups of each frame: where its item begins and ends, without header and delimiter.
    date_times : list of bytes
        Frame Reference DateTime of each frame as encoded, empty where there is none.
    positions : int
        How many frames say where on a slide they lie.
    """

    def __init__(self, stream: BinaryIO, size_bytes: int, encoding: Encoding, encapsulated: bool) -> None:
        self.stream = stream
        self.values: dict[int, Value] = {}
        self.groups: list[tuple[int, int]] = []
        self.date_times: list[bytes] = []
        self.positions = 0
        self._sequences: list[int] = []
        self._item_at = 0
        super().__init__(stream, size_bytes, encoding, encapsulated)

    @property
    def fragments_at(self) -> tuple[int, int] | None:
        """Offset and length of the fragments of encapsulated Pixel Data."""
        facts = self.facts.get(0)
        return facts.fragments if facts else None

    def begin_data_set(self, offset: int) -> None:
        """Note where the functional groups of a frame begin."""
        super().begin_data_set(offset)
        if self._sequences == [PER_FRAME_GROUPS]:
            self._item_at = offset
            self.date_times.append(b"")

    def end_data_set(self) -> None:
        """Note where the functional groups of a frame end."""
        super().end_data_set()
        if self._sequences == [PER_FRAME_GROUPS]:
            end = self._stream.tell()
            self.groups.append((self._item_at, end - (HEADER_SIZE_BYTES if self._is_delimited(self._item_at) else 0)))
            self._stream.seek(end)

    def begin_sequence(self, tag: int) -> None:
        """Note which sequence it is."""
        super().begin_sequence(tag)
        self._sequences.append(tag)
        self.positions += self._sequences == [PER_FRAME_GROUPS, PLANE_POSITION_SLIDE]

    def end_sequence(self) -> None:
        """Note that the sequence has ended."""
        self._sequences.pop()
        super().end_sequence()

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Note where a value lies, and what it says of the time of a frame."""
        offset = self._stream.tell()
        super().element(tag, vr, length, encoding)
        if self._is_outermost():
            self.values[tag] = Value(offset, length, vr)
        elif (
            tag == FRAME_REFERENCE_DATE_TIME
            and self._sequences == [PER_FRAME_GROUPS, FRAME_CONTENT]
            and length <= _DATE_TIME_SIZE_MAX_BYTES
        ):
            self._stream.seek(offset)
            self.date_times[-1] = self._stream.read(length)

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes between two positions; CannotTranscode if the stream ends before."""
        return self._chunks(start, end)

    def groups_of(self, numbers: list[int]) -> Iterator[bytes]:
        """Yield the Per-Frame Functional Groups Sequence of some frames alone, whose items stay as they are.

        Raises
        ------
        CannotTranscode
            The sequence is encoded in another way than the data set.
        """
        pack = self.encoding.tag_and_length.pack
        start = next(start for tag, start, _ in self._parts if tag == PER_FRAME_GROUPS)
        self._stream.seek(start)
        if self._stream.read(6)[4:] == b"UN" and not self.encoding.implicit_vr:
            raise CannotTranscode("the functional groups of the frames are encoded as UN")
        chosen = [self.groups[number - 1] for number in numbers]
        length = sum(end - begin + HEADER_SIZE_BYTES for begin, end in chosen)
        yield self.encoding.header(PER_FRAME_GROUPS, "SQ", length)
        for begin, end in chosen:
            yield pack(ITEM >> 16, ITEM & 0xFFFF, end - begin)
            yield from self._chunks(begin, end)

    def _is_delimited(self, item_at: int) -> bool:
        """Tell whether the item whose data set begins there has an undefined length."""
        self._stream.seek(item_at - _LENGTH_SIZE_BYTES)
        length = Struct(self.encoding.byte_order + "L").unpack(self._stream.read(_LENGTH_SIZE_BYTES))[0]
        return length == UNDEFINED_LENGTH
