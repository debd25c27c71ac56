"""Copy bulk data out of an object: the pixels of frames, or another long value. The job that worker processes do.

Nothing is decoded: a frame of encapsulated pixel data is its code stream, one of native pixel data its cells.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver.codecs.conversion import limit_file_size
from medserver.codecs.data_sets.inflation import plain_data_set
from medserver.codecs.data_sets.survey import FLOAT_PIXEL_DATA
from medserver.codecs.frames.layout import Layout
from medserver.codecs.frames.pixels import fragments_by_frame, frame_bytes, frame_size_bits
from medserver.dicom.encodings import encoding_of
from medserver.dicom.uids import transfer_syntax
from medserver.dicom.walker import PIXEL_DATA
from medserver.errors import CannotTranscode, NoSuchFrames
from medserver.region import open_region

_WANTED = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation", "NumberOfFrames",
    )
)  # fmt: skip


def copy(
    source_descriptor: int,
    output_descriptor: int,
    offset: int,
    size_bytes: int,
    transfer_syntax_uid: str,
    directory: str,
    size_max_bytes: int,
    tag: int,
    numbers: list[int],
) -> list[int]:
    """Write what is asked for, one after the other; return the length of each.

    Parameters
    ----------
    source_descriptor, output_descriptor, offset, size_bytes, directory, size_max_bytes
        As for `conversion.convert`.
    transfer_syntax_uid : str
        How the object is encoded.
    tag : int
        Of the outermost data set: that of Pixel Data stands for the pixels, whichever they are.
    numbers : list of int
        Of frames, from 1, in the order in which they are written; empty for all. Only for pixels.

    Raises
    ------
    NoSuchFrames
        There is no such frame, or no such value.
    CannotTranscode
        The data set is damaged, or its parts contradict each other.
    """
    limit_file_size(size_max_bytes)
    syntax, encoding = transfer_syntax(transfer_syntax_uid), encoding_of(transfer_syntax_uid)
    with ExitStack() as files:
        source = open_region(source_descriptor, offset, size_bytes)
        stream, size_bytes = files.enter_context(plain_data_set(source, size_bytes, syntax, directory, size_max_bytes))
        layout = Layout(stream, size_bytes, encoding, syntax.encapsulated)
        dataset = layout.read(_WANTED)
        values = _frames(layout, dataset, numbers, transfer_syntax_uid) if tag == PIXEL_DATA else _value(layout, tag)
        output = files.enter_context(os.fdopen(output_descriptor, "wb", closefd=False))
        return [sum(map(output.write, pieces)) for pieces in values]


def _value(layout: Layout, tag: int) -> Iterator[Iterable[bytes]]:
    value = layout.values.get(tag)
    if value is None:
        raise NoSuchFrames("the object has no such value")
    yield layout.chunks(value.offset, value.offset + value.length)


def _frames(
    layout: Layout, dataset: Dataset, numbers: list[int], transfer_syntax_uid: str
) -> Iterator[Iterable[bytes]]:
    """Yield the bytes of each frame."""
    count = int(dataset.get("NumberOfFrames") or 1)
    wanted = numbers or range(1, count + 1)
    if any(not 1 <= number <= count for number in wanted):
        raise NoSuchFrames(f"the object has {count} frames")
    if layout.fragments_at is not None:
        frames = fragments_by_frame(layout, count, transfer_syntax_uid)
        for number in wanted:
            yield (
                chunk
                for fragment in frames[number - 1]
                for chunk in layout.chunks(fragment.offset, fragment.offset + fragment.length)
            )
        return
    tag = next((each for each in (PIXEL_DATA, *FLOAT_PIXEL_DATA) if each in layout.values), None)
    if tag is None:
        raise NoSuchFrames("the object has no pixel data")
    value, bits = layout.values[tag], frame_size_bits(dataset, tag)
    if count * bits > value.length * 8:
        raise CannotTranscode(f"the pixel data is shorter than {count} frames of {bits} bits")
    for number in wanted:
        yield frame_bytes(layout, value, (number - 1) * bits, bits)
