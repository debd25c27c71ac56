"""The fragments of encapsulated Pixel Data: one of them, how many frames they are, and which."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import BinaryIO

from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets, parse_fragments

from medserver.dicom.encodings import padded
from medserver.dicom.nesting import ITEM
from medserver.dicom.transfer_syntaxes import RLE_LOSSLESS
from medserver.errors import CannotTranscode

_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""SOI and a marker, SOC and SIZ: within a code stream of JPEG, JPEG-LS or JPEG 2000 neither can stand."""

ITEM_HEADER = Struct("<HHL")


def check_frame_count(
    number_of_frames: int, extended_offsets: int | None, transfer_syntax_uid: str, stream: BinaryIO
) -> None:
    """Refuse Pixel Data that is more frames, or fewer, than its data set says: which is wrong cannot be known.

    A frame may lie in several fragments, and what a fragment begins with is not always known: then nothing contradicts.

    Parameters
    ----------
    number_of_frames : int
        Number of Frames.
    extended_offsets : int or None
        How many the Extended Offset Table has (PS3.3 C.7.6.3.1.8); None if there is none.
    transfer_syntax_uid : str
        The transfer syntax of the fragments.
    stream : BinaryIO
        The fragments, positioned at the Basic Offset Table. Its position stays.

    Raises
    ------
    CannotTranscode
        An offset table or the fragments have another number of frames.

    References
    ----------
    PS3.5 A.4
    """
    position = stream.tell()
    basic_offsets = len(parse_basic_offsets(stream)) or None
    count, offsets = parse_fragments(stream)
    if transfer_syntax_uid != RLE_LOSSLESS:  # which has each frame in one fragment (PS3.5 A.4.2)
        begun = sum(begins_frame(stream, offset) for offset in offsets)
        count = number_of_frames if begun <= number_of_frames else begun
    stream.seek(position)
    counts = {"Basic Offset Table": basic_offsets, "Extended Offset Table": extended_offsets, "fragments": count}
    for source, found in counts.items():
        if found is not None and found != number_of_frames:
            raise CannotTranscode(f"Number of Frames is {number_of_frames}, but {found} by the {source}")


def frames_of(number_of_frames: int, stream: BinaryIO) -> Iterator[bytes]:
    """Return the code streams of the frames, one after the other.

    Where each fragment is a frame, or all are one, the Basic Offset Table says nothing more, and many are wrong.

    Parameters
    ----------
    number_of_frames : int
        Number of Frames, which nothing contradicts: see `check_frame_count`.
    stream : BinaryIO
        The fragments, positioned at the Basic Offset Table.

    Raises
    ------
    CannotTranscode
        There are too few fragments, or a frame does not begin where the Basic Offset Table says.
    """
    position = stream.tell()
    basic_offsets = parse_basic_offsets(stream)
    count, starts = parse_fragments(stream)  # its position stays behind the table
    if count == number_of_frames:
        return generate_fragments(stream)
    if number_of_frames == 1:
        return iter([b"".join(generate_fragments(stream))])
    if count < number_of_frames:
        raise CannotTranscode(f"Number of Frames is {number_of_frames}, but {count} by the fragments")
    previous, begun = -1, {start - starts[0] for start in starts}
    for number, offset in enumerate(basic_offsets, 1):
        if offset <= previous or offset not in begun or (number == 1 and offset):
            raise CannotTranscode(f"frame {number} begins at {offset} by the Basic Offset Table, where no frame begins")
        previous = offset
    stream.seek(position)
    return generate_frames(stream, number_of_frames=number_of_frames)


def begins_frame(stream: BinaryIO, offset: int) -> bool:
    """Tell whether the fragment whose item is there begins as the code streams of frames do."""
    stream.seek(offset + ITEM_HEADER.size)
    return stream.read(max(map(len, _STARTS))).startswith(_STARTS)


def item(value: bytes) -> bytes:
    """Return an item of encapsulated Pixel Data (PS3.5 A.4)."""
    even = padded(value, "OB")
    return ITEM_HEADER.pack(ITEM >> 16, ITEM & 0xFFFF, len(even)) + even
