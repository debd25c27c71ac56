"""The second pass over a data set: write it in another encoding."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from medserver.codecs.data_sets.representations import LUT_DESCRIPTOR, PIXEL_REPRESENTATION, resolve
from medserver.codecs.data_sets.survey import PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, Facts
from medserver.codecs.pixels.decoding import DecodedFrames
from medserver.codecs.pixels.image import Image
from medserver.dicom.encodings import Encoding
from medserver.dicom.nesting import ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, UNDEFINED_LENGTH
from medserver.dicom.representations import LONG_LENGTH, UNIT_SIZES_BYTES
from medserver.dicom.walker import PIXEL_DATA
from medserver.errors import CannotTranscode

CHUNK_SIZE_BYTES = 256 * 1024  # a multiple of every unit that is swapped
SHORT_LENGTH_MAX = 0xFFFF

_ARRAY_TYPES = {2: "H", 4: "I", 8: "Q"}
_OF_FRAGMENTS = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00003))
"""Extended Offset Table, its Lengths, and Encapsulated Pixel Data Value Total Length: PS3.3 C.7.6.3."""


class Output(Protocol):
    """Where a data set is written: a file, or what makes another thing of it."""

    def write(self, data: bytes) -> int:
        """Take the next bytes."""


class NewFrames(Protocol):
    """The frames that a data set will have: decoded or encoded."""

    image: Image
    photometric_interpretation: str
    planar_configuration: int


@dataclass(slots=True)
class OpenDataSet:
    """A data set that is being written.

    Parameters
    ----------
    facts : Facts
        What the survey found in it.
    pixel_representation : int
        Its Pixel Representation, or that of the nearest data set around it that has one.
    frames : NewFrames or None
        Its Pixel Data, if that is decoded or encoded.
    replacements : list of tuple
        Tag, VR and little endian value of the elements that this changes and that are not written yet,
        by descending tag.
    """

    facts: Facts
    pixel_representation: int
    frames: NewFrames | None = None
    replacements: list[tuple[int, str, bytes]] = field(default_factory=list)


class Rewriter:
    """Visitor that writes what it is told of, in another encoding.

    Sequences and items are written with undefined length, so that each byte is written once and none is kept.
    Group lengths, which would change, are left out (they are retired: PS3.5 7.2).

    Parameters
    ----------
    stream : BinaryIO
        The stream that is walked through.
    target : Encoding
        How to write.
    output : Output
        Where to write.
    facts : Mapping of int to Facts
        The survey of the same stream.
    decode : callable or None
        Returns the decoded frames of a data set's facts. None to leave encapsulated Pixel Data as it is.
    """

    def __init__(
        self,
        stream: BinaryIO,
        target: Encoding,
        output: Output,
        facts: Mapping[int, Facts],
        decode: Callable[[Facts], DecodedFrames] | None,
    ) -> None:
        self._stream = stream
        self._target = target
        self._output = output
        self._facts = facts
        self._decode = decode
        self._open: list[OpenDataSet] = []

    def begin_data_set(self, offset: int) -> None:
        """Write the start of an item; decode the first frame if there are any."""
        facts = self._facts.get(offset) or Facts()
        pixel_representation = facts.number(PIXEL_REPRESENTATION)
        if pixel_representation is None:
            pixel_representation = self._open[-1].pixel_representation if self._open else 0
        if self._open:
            self._delimiter(ITEM, UNDEFINED_LENGTH)
        data_set = OpenDataSet(facts, pixel_representation)
        self._opened(data_set)
        self._open.append(data_set)

    def _opened(self, data_set: OpenDataSet) -> None:
        """Look what will become of the Pixel Data."""
        if data_set.facts.fragments and self._decode:
            data_set.frames = self._decode(data_set.facts)
            data_set.replacements = replacements_for(data_set.frames)

    def end_data_set(self) -> None:
        """Write the end of an item."""
        self._open.pop()
        if self._open:
            self._delimiter(ITEM_DELIMITATION, 0)

    def begin_sequence(self, tag: int) -> None:
        """Write the start of a sequence."""
        self._replace_before(tag)
        self._header(tag, "SQ", UNDEFINED_LENGTH)

    def end_sequence(self) -> None:
        """Write the end of a sequence."""
        self._delimiter(SEQUENCE_DELIMITATION, 0)

    def element(self, tag: int, vr: str, length: int, encoding: Encoding) -> None:
        """Write an element in the other encoding."""
        if tag & 0xFFFF == 0:
            return
        data_set = self._open[-1]
        if data_set.frames and self._is_replaced(tag, data_set):
            return
        if not self._target.implicit_vr:
            if " or " in vr:
                lut_entries = data_set.facts.number(LUT_DESCRIPTOR)
                vr = resolve(vr, data_set.pixel_representation, lut_entries)
            if length > SHORT_LENGTH_MAX and vr not in LONG_LENGTH:
                vr = "UN"  # PS3.5 6.2.2: what the 16-bit length cannot hold
        self._header(tag, vr, length)
        swapped = encoding.little_endian != self._target.little_endian
        self._copy(tag, length, UNIT_SIZES_BYTES.get(vr, 1) if swapped else 1)

    def fragments(self, offset: int, length: int) -> None:
        """Write the decoded frames in place of the fragments, or these as they are."""
        if self._decode is None:
            self._header(PIXEL_DATA, "OB", UNDEFINED_LENGTH)
            self._stream.seek(offset)
            self._copy(PIXEL_DATA, length, 1)
            self._delimiter(SEQUENCE_DELIMITATION, 0)
            return
        self._replace_before(PIXEL_DATA)
        frames = self._open[-1].frames
        if frames is None:
            raise CannotTranscode("Pixel Data is encapsulated, though the transfer syntax is not")
        padding = frames.size_bytes % 2  # PS3.5 8.1.1
        vr = "OB" if frames.image.bits_allocated <= 8 else "OW"
        self._header(PIXEL_DATA, vr, frames.size_bytes + padding)
        swapped = vr == "OW" and not self._target.little_endian
        for frame in frames:
            self._output.write(_swap(frame, 2) if swapped else frame)
        self._output.write(bytes(padding))

    def _is_replaced(self, tag: int, data_set: OpenDataSet) -> bool:
        """Return whether new frames made the element `tag` void, after writing what comes in its place."""
        replaced = tag in _OF_FRAGMENTS or any(tag == each[0] for each in data_set.replacements)
        self._replace_before(tag + 1)
        return replaced

    def _replace_before(self, tag: int) -> None:
        replacements = self._open[-1].replacements
        while replacements and replacements[-1][0] < tag:
            replaced, vr, value = replacements.pop()
            self._header(replaced, vr, len(value))
            self._output.write(value if vr != "US" or self._target.little_endian else _swap(value, 2))

    def _header(self, tag: int, vr: str, length: int) -> None:
        self._output.write(self._target.header(tag, vr, length))

    def _delimiter(self, tag: int, length: int) -> None:
        self._output.write(self._target.tag_and_length.pack(tag >> 16, tag & 0xFFFF, length))

    def _copy(self, tag: int, length: int, unit_size_bytes: int) -> None:
        """Copy a value, a chunk at a time, swapping the bytes of each unit."""
        if length % unit_size_bytes:
            raise CannotTranscode(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has a value of {length} bytes")
        while length:
            chunk = self._stream.read(min(length, CHUNK_SIZE_BYTES))
            if not chunk or len(chunk) % unit_size_bytes:
                raise CannotTranscode("the data set ends within a value")
            self._output.write(chunk if unit_size_bytes == 1 else _swap(chunk, unit_size_bytes))
            length -= len(chunk)


def replacements_for(frames: NewFrames) -> list[tuple[int, str, bytes]]:
    """Return the elements that decoding or encoding changed, by descending tag."""
    text = frames.photometric_interpretation.encode("ascii")
    replacements = [(PHOTOMETRIC_INTERPRETATION, "CS", text + b" " * (len(text) % 2))]
    if frames.image.samples_per_pixel > 1:
        planar_configuration = frames.planar_configuration.to_bytes(2, "little")
        replacements.insert(0, (PLANAR_CONFIGURATION, "US", planar_configuration))
    return replacements


def _swap(data: bytes, unit_size_bytes: int) -> bytes:
    units = array(_ARRAY_TYPES[unit_size_bytes], data)
    units.byteswap()
    return units.tobytes()
