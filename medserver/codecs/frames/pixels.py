"""The pixel data of some frames: taken out as they lie, nothing is decoded."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from struct import Struct
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets

from medserver.codecs.data_sets.rewriter import CHUNK_SIZE_BYTES
from medserver.codecs.data_sets.survey import EXTENDED_OFFSET_TABLE, FLOAT_PIXEL_DATA
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.layout import Layout, Value
from medserver.codecs.pixels.fragments import ITEM_HEADER, begins_frame, check_frame_count
from medserver.dicom.nesting import ITEM, SEQUENCE_DELIMITATION, UNDEFINED_LENGTH
from medserver.dicom.walker import PIXEL_DATA
from medserver.errors import CannotTranscode, NotMultiFrame

EXTENDED_OFFSET_TABLE_LENGTHS = 0x7FE00002
ENCAPSULATED_TOTAL_LENGTH = 0x7FE00003
PIXEL_ELEMENTS = (
    PIXEL_DATA, *FLOAT_PIXEL_DATA, EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS, ENCAPSULATED_TOTAL_LENGTH,
)  # fmt: skip
"""What stands for the pixels of all frames, and is replaced (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25)."""

_FLOAT_BITS = dict(zip(FLOAT_PIXEL_DATA, (32, 64), strict=True))
_SUBSAMPLED = "YBR_FULL_422"  # PS3.3 C.7.6.3.1.2: native too, two samples a pixel
_OFFSET_MAX = 0xFFFFFFFF
_EXTENDED = Struct("<Q")

Elements = dict[int, Iterable[bytes]]


def pixels_of(layout: Layout, dataset: Dataset, chosen: Chosen, transfer_syntax_uid: str) -> Elements:
    """Return the elements with the pixels of the chosen frames.

    Parameters
    ----------
    layout : Layout
        Where the pixel data lies.
    dataset : Dataset
        Has the Image Pixel elements.
    chosen : Chosen
        The frames.
    transfer_syntax_uid : str
        How the object is encoded.

    Raises
    ------
    NotMultiFrame
        There is no pixel data.
    CannotTranscode
        The pixel data is not that of so many frames.
    """
    if layout.fragments_at is not None:
        return _encapsulated(layout, chosen, transfer_syntax_uid)
    for tag in (PIXEL_DATA, *FLOAT_PIXEL_DATA):
        if tag in layout.values:
            return {tag: _native(layout, dataset, chosen, tag)}
    raise NotMultiFrame("the object has no pixel data")


def _native(layout: Layout, dataset: Dataset, chosen: Chosen, tag: int) -> Iterable[bytes]:
    value = layout.values[tag]
    bits = frame_size_bits(dataset, tag)
    if chosen.of * bits > value.length * 8:
        raise CannotTranscode(f"the pixel data is shorter than {chosen.of} frames of {bits} bits")
    starts = [(number - 1) * bits for number in chosen.numbers]
    return bit_ranges(layout, tag, value, starts, bits)


def frame_size_bits(dataset: Dataset, tag: int) -> int:
    """Return how long a native frame is.

    Raises
    ------
    CannotTranscode
        The data set does not tell.
    """
    cell_bits = _FLOAT_BITS.get(tag) or int(dataset.get("BitsAllocated") or 0)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    if str(dataset.get("PhotometricInterpretation") or "").strip() == _SUBSAMPLED:
        samples = 2
    bits = int(dataset.get("Rows") or 0) * int(dataset.get("Columns") or 0) * samples * cell_bits
    if not bits:
        raise CannotTranscode("the frames have no size: Rows, Columns or Bits Allocated is missing")
    return bits


def bit_ranges(layout: Layout, tag: int, value: Value, starts: list[int], size_bits: int) -> Iterable[bytes]:
    """Return an element with equally long ranges of another one, which follow without a gap.

    Parameters
    ----------
    layout : Layout
        Where to read.
    tag : int
        The element.
    value : Value
        What it has now.
    starts : list of int
        Where the ranges begin [bit]; the first is the lowest one of the first byte (PS3.5 8.1.1).
    size_bits : int
        How long each is.

    Raises
    ------
    CannotTranscode
        The order of the bytes cannot be told.
    """
    size_bytes = (len(starts) * size_bits + 7) // 8
    padding = bytes(size_bytes % 2)
    header = layout.encoding.header(tag, _plain(value.vr), size_bytes + len(padding))
    if size_bits % 8:
        ranges = _shifted(layout, value.offset, starts, size_bits)
    else:
        ranges = _copied(layout, value.offset, [start // 8 for start in starts], size_bits // 8)
    # The bytes of words are swapped in big endian: frames of odd length, or of bits, do not lie where they seem to.
    if not layout.encoding.little_endian and value.vr == "OW" and size_bits % 16:
        raise CannotTranscode("frames of an odd length in words of big endian order are not taken apart")
    return _joined(header, ranges, padding)


def frame_bytes(layout: Layout, value: Value, start: int, size_bits: int) -> Iterable[bytes]:
    """Return a range of a value by itself, from the first bit of a byte on.

    Parameters
    ----------
    start, size_bits : int
        Where the range begins, and how long it is [bit].
    """
    if size_bits % 8:
        return _shifted(layout, value.offset, [start], size_bits)
    return _copied(layout, value.offset, [start // 8], size_bits // 8)


def _plain(vr: str) -> str:
    """Return one VR for what has two in the dictionary: it is not written, for the data set has implicit VR."""
    return "OW" if " or " in vr else vr


def _joined(header: bytes, ranges: Iterable[bytes], padding: bytes) -> Iterator[bytes]:
    yield header
    yield from ranges
    yield padding


def _copied(layout: Layout, offset: int, starts: list[int], size_bytes: int) -> Iterator[bytes]:
    for start in starts:
        yield from layout.chunks(offset + start, offset + start + size_bytes)


def _shifted(layout: Layout, offset: int, starts: list[int], size_bits: int) -> Iterator[bytes]:
    """Yield the bytes of ranges that begin within one, shifted together."""
    kept, kept_bits = 0, 0  # what does not fill a byte yet
    for start in starts:
        position, end = start, start + size_bits
        while position < end:
            count = min(end - position, CHUNK_SIZE_BYTES * 8)
            first, last = position // 8, (position + count + 7) // 8
            read = int.from_bytes(b"".join(layout.chunks(offset + first, offset + last)), "little")
            kept |= (read >> position % 8 & (1 << count) - 1) << kept_bits
            kept_bits += count
            whole = kept_bits // 8
            yield (kept & (1 << whole * 8) - 1).to_bytes(whole, "little")
            kept, kept_bits = kept >> whole * 8, kept_bits % 8
            position += count
    yield kept.to_bytes((kept_bits + 7) // 8, "little")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A fragment: where its value lies, and how long that is."""

    offset: int
    length: int

    @property
    def item_size_bytes(self) -> int:
        """The size of its item, which is padded."""
        return ITEM_HEADER.size + self.length + self.length % 2


def _encapsulated(layout: Layout, chosen: Chosen, transfer_syntax_uid: str) -> Elements:
    frames = chosen.pick(fragments_by_frame(layout, chosen.of, transfer_syntax_uid))
    sizes = [sum(fragment.item_size_bytes for fragment in frame) for frame in frames]
    offsets = list(accumulate(sizes[:-1], initial=0))
    has_table = EXTENDED_OFFSET_TABLE in layout.values
    is_too_long = offsets[-1] > _OFFSET_MAX
    if not has_table and not is_too_long:
        return {PIXEL_DATA: _with_fragments(layout, frames, offsets)}
    if any(len(frame) > 1 for frame in frames):  # PS3.3 C.7.6.3.1.8: then there is no Extended Offset Table
        raise CannotTranscode("frames in several fragments are too long for an offset table")
    lengths = chosen.pick(_lengths(layout, chosen.of)) if has_table else [frame[0].length for frame in frames]
    element = layout.encoding.element
    return {
        EXTENDED_OFFSET_TABLE: element(EXTENDED_OFFSET_TABLE, "OV", b"".join(map(_EXTENDED.pack, offsets))),
        EXTENDED_OFFSET_TABLE_LENGTHS: element(
            EXTENDED_OFFSET_TABLE_LENGTHS, "OV", b"".join(map(_EXTENDED.pack, lengths))
        ),
        PIXEL_DATA: _with_fragments(layout, frames, []),
    }


def _with_fragments(layout: Layout, frames: list[list[Fragment]], offsets: list[int]) -> Iterator[bytes]:
    """Yield Pixel Data: the Basic Offset Table, and the fragments as they are (PS3.5 A.4)."""
    pack = layout.encoding.tag_and_length.pack
    yield layout.encoding.header(PIXEL_DATA, "OB", UNDEFINED_LENGTH)
    yield pack(ITEM >> 16, ITEM & 0xFFFF, 4 * len(offsets))
    yield array("I", offsets).tobytes()
    for frame in frames:
        for fragment in frame:
            yield pack(ITEM >> 16, ITEM & 0xFFFF, fragment.length + fragment.length % 2)
            yield from layout.chunks(fragment.offset, fragment.offset + fragment.length)
            yield bytes(fragment.length % 2)
    yield pack(SEQUENCE_DELIMITATION >> 16, SEQUENCE_DELIMITATION & 0xFFFF, 0)


def fragments_by_frame(layout: Layout, number_of_frames: int, transfer_syntax_uid: str) -> list[list[Fragment]]:
    """Return the fragments of each frame.

    Raises
    ------
    CannotTranscode
        Number of Frames, the offset tables and the fragments contradict each other, or do not tell.
    """
    offset, length = layout.fragments_at
    stream = layout.stream
    stream.seek(offset)
    check_frame_count(number_of_frames, layout.facts[0].extended_offsets, transfer_syntax_uid, stream)
    table = parse_basic_offsets(stream)
    fragments = list(_fragments(stream, stream.tell(), offset + length))
    if len(fragments) == number_of_frames:
        return [[fragment] for fragment in fragments]
    if number_of_frames == 1:
        return [fragments]
    if len(fragments) < number_of_frames:
        raise CannotTranscode(f"Number of Frames is {number_of_frames}, but {len(fragments)} by the fragments")
    starts = {_begin(fragment) - _begin(fragments[0]): index for index, fragment in enumerate(fragments)}
    if table:
        begun = [starts.get(each, -1) for each in table]
    else:
        begun = [index for index, each in enumerate(fragments) if begins_frame(stream, _begin(each))]
    if len(begun) != number_of_frames or begun[0] != 0 or begun != sorted(set(begun)):
        raise CannotTranscode("nothing tells in which fragments each frame lies")
    return [fragments[first:last] for first, last in zip(begun, [*begun[1:], len(fragments)], strict=True)]


def _begin(fragment: Fragment) -> int:
    return fragment.offset - ITEM_HEADER.size


def _fragments(stream: BinaryIO, position: int, end: int) -> Iterator[Fragment]:
    """Yield the fragments behind the Basic Offset Table, whose headers have been walked over before."""
    while position < end:
        stream.seek(position)
        *_, length = ITEM_HEADER.unpack(stream.read(ITEM_HEADER.size))
        yield Fragment(position + ITEM_HEADER.size, length)
        position += ITEM_HEADER.size + length


def _lengths(layout: Layout, number_of_frames: int) -> list[int]:
    """Return the Extended Offset Table Lengths, which do not count the padding (PS3.3 C.7.6.3.1.8)."""
    value = layout.values.get(EXTENDED_OFFSET_TABLE_LENGTHS)
    if value is None or value.length != number_of_frames * _EXTENDED.size:
        raise CannotTranscode("the Extended Offset Table Lengths are not those of the frames")
    encoded = b"".join(layout.chunks(value.offset, value.offset + value.length))
    return [length for (length,) in _EXTENDED.iter_unpack(encoded)]
