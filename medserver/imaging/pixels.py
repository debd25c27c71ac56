"""The Pixel Cells of one frame of native Pixel Data, in little endian order, and what they can be.

What is encapsulated is decoded first: `codecs.transcode` brings it into Explicit VR Little Endian.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BufferedIOBase

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.values import integer, text, value_of

_FLOATS = {"FloatPixelData": "<f4", "DoubleFloatPixelData": "<f8"}
_SUBSAMPLED = ("YBR_FULL_422", "YBR_PARTIAL_422")


@dataclass(frozen=True, slots=True)
class Frame:
    """The Pixel Cells of a frame.

    Parameters
    ----------
    cells : ndarray, shape (rows, columns) or (rows, columns, 3), integer or float
        The values, without the bits beyond Bits Stored.
    low, high : int
        What Bits Stored can hold; 0 and 1 for values of floating point, which have no such bounds.
    words : ndarray, shape (rows, columns), or (n,) for colours, unsigned
        What is stored, with all bits: overlays may lie there.

    References
    ----------
    PS3.5 8.1.1, PS3.3 C.7.6.3
    """

    cells: np.ndarray
    low: int
    high: int
    words: np.ndarray

    @property
    def is_integer(self) -> bool:
        """Whether the values are integers."""
        return self.cells.dtype.kind in "iu"


@dataclass(frozen=True, slots=True)
class Layout:
    """The Image Pixel elements that say where the cells of a frame are."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    by_plane: bool
    subsampled: bool

    @property
    def cell_count(self) -> int:
        """The number of cells that are stored for a frame; two pixels share their chrominance if subsampled."""
        return self.rows * self.columns * (2 if self.subsampled else self.samples)

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value that Bits Stored can hold."""
        low = -(1 << self.bits_stored - 1) if self.is_signed else 0
        return low, low + (1 << self.bits_stored) - 1


def frame_count(dataset: Dataset) -> int:
    """Return the number of frames.

    Raises
    ------
    CannotRender
        Number of Frames is none.
    """
    count = integer(dataset, "NumberOfFrames", 1)
    if count < 1:
        raise CannotRender(f"Number of Frames is {count}")
    return count


def read_frame(dataset: Dataset, frame_index: int) -> Frame:
    """Return the cells of a frame.

    Parameters
    ----------
    dataset : Dataset
        An image with native Pixel Data, Float Pixel Data or Double Float Pixel Data.
    frame_index : int
        From 0.

    Raises
    ------
    CannotRender
        There is no such frame, the Pixel Data are too short, encapsulated or in big endian order, or the elements
        contradict each other.
    """
    count = frame_count(dataset)
    if not 0 <= frame_index < count:
        raise CannotRender(f"there is no frame {frame_index + 1} of {count}")
    if dataset.original_encoding[1] is False:
        raise CannotRender("the Pixel Data are in big endian order")
    for keyword, dtype in _FLOATS.items():
        if value_of(dataset, keyword) is not None:
            return _read_floats(dataset, keyword, dtype, frame_index)
    if value_of(dataset, "PixelData") is None:
        raise CannotRender("the object has no Pixel Data")
    layout = read_layout(dataset)
    words = _stored_words(dataset, layout, frame_index)
    low, high = layout.bounds
    cells = _shaped(_values(words, layout), layout)
    words = words.reshape(layout.rows, layout.columns) if layout.samples == 1 else words
    return Frame(cells, low, high, words)


def read_layout(dataset: Dataset) -> Layout:
    """Return the Image Pixel elements.

    Raises
    ------
    CannotRender
        One is missing, or they contradict each other.
    """
    photometric_interpretation = text(dataset, "PhotometricInterpretation")
    bits_allocated = integer(dataset, "BitsAllocated")
    bits_stored = integer(dataset, "BitsStored", bits_allocated)
    layout = Layout(
        rows=integer(dataset, "Rows"),
        columns=integer(dataset, "Columns"),
        samples=integer(dataset, "SamplesPerPixel", 1),
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=integer(dataset, "HighBit", bits_stored - 1),
        is_signed=integer(dataset, "PixelRepresentation", 0) == 1,
        by_plane=integer(dataset, "PlanarConfiguration", 0) == 1,
        subsampled=photometric_interpretation in _SUBSAMPLED,
    )
    if layout.rows < 1 or layout.columns < 1:
        raise CannotRender(f"the image has {layout.rows} rows and {layout.columns} columns")
    if layout.samples not in (1, 3) or layout.subsampled and layout.samples != 3:
        raise CannotRender(f"Samples per Pixel is {layout.samples}")
    if bits_allocated not in (1, 8, 16, 32):
        raise CannotRender(f"Bits Allocated is {bits_allocated}")
    if not 1 <= bits_stored <= layout.high_bit + 1 <= bits_allocated:
        raise CannotRender(
            f"Bits Stored {bits_stored} and High Bit {layout.high_bit} do not fit Bits Allocated {bits_allocated}"
        )
    if layout.subsampled and layout.columns % 2:
        raise CannotRender("the chrominance of an odd number of columns cannot be subsampled")
    return layout


def _read_floats(dataset: Dataset, keyword: str, dtype: str, frame_index: int) -> Frame:
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    size_bytes = rows * columns * np.dtype(dtype).itemsize
    stored = _bytes(dataset, keyword, frame_index * size_bytes, size_bytes, frame_index)
    cells = np.frombuffer(stored, dtype).reshape(rows, columns)
    return Frame(cells, 0, 1, np.zeros((rows, columns), "u1"))


def _bytes(dataset: Dataset, keyword: str, start: int, size_bytes: int, frame_index: int) -> bytes:
    """Return a part of a value, which may be a stream."""
    value = value_of(dataset, keyword)
    if not isinstance(value, bytes | BufferedIOBase):
        raise CannotRender("the object has no Pixel Data")
    if size_bytes < 1:
        raise CannotRender("the image has no rows or no columns")
    meta = getattr(dataset, "file_meta", None)
    syntax = getattr(meta, "TransferSyntaxUID", None)
    if syntax is not None and not syntax.is_private and syntax.is_transfer_syntax and syntax.is_encapsulated:
        raise CannotRender(f"the Pixel Data are encapsulated: {syntax.name}")
    there = len(value) if isinstance(value, bytes) else value.seek(0, os.SEEK_END)
    end = start + size_bytes
    if there < end:
        raise CannotRender(f"the Pixel Data have {there} bytes, and frame {frame_index + 1} ends at {end}")
    if isinstance(value, bytes):
        return value[start:end]
    value.seek(start)
    return value.read(size_bytes)


def _stored_words(dataset: Dataset, layout: Layout, frame_index: int) -> np.ndarray:
    """Return what is stored for a frame, a word for each cell, unsigned."""
    bits = layout.cell_count * layout.bits_allocated
    if layout.bits_allocated == 1:  # frames begin within a byte (PS3.5 8.1.1)
        first, last = frame_index * bits, (frame_index + 1) * bits
        packed = _bytes(dataset, "PixelData", first // 8, (last + 7) // 8 - first // 8, frame_index)
        unpacked = np.unpackbits(np.frombuffer(packed, "u1"), bitorder="little")
        return unpacked[first % 8 : first % 8 + bits]
    size_bytes = bits // 8
    stored = _bytes(dataset, "PixelData", frame_index * size_bytes, size_bytes, frame_index)
    return np.frombuffer(stored, f"<u{layout.bits_allocated // 8}")


def _values(words: np.ndarray, layout: Layout) -> np.ndarray:
    """Return the bits from High Bit down, with their sign."""
    above = layout.bits_allocated - 1 - layout.high_bit
    below = layout.high_bit + 1 - layout.bits_stored
    if layout.bits_allocated == 1:
        return words
    native = words.astype(words.dtype.newbyteorder("="), copy=False)
    if not layout.is_signed:
        return (native >> below) & np.array((1 << layout.bits_stored) - 1, native.dtype) if above or below else native
    return ((native << above).view(f"i{native.itemsize}")) >> (above + below)


def _shaped(values: np.ndarray, layout: Layout) -> np.ndarray:
    rows, columns = layout.rows, layout.columns
    if layout.subsampled:  # Y Y CB CR for each two pixels (PS3.3 C.7.6.3.1.2)
        pairs = values.reshape(rows, columns // 2, 4)
        chrominance = np.repeat(pairs[..., 2:], 2, axis=1)
        return np.concatenate([pairs[..., :2].reshape(rows, columns, 1), chrominance], axis=2)
    if layout.samples == 1:
        return values.reshape(rows, columns)
    if layout.by_plane:
        return np.moveaxis(values.reshape(3, rows, columns), 0, 2)
    return values.reshape(rows, columns, 3)
