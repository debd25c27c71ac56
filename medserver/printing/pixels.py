"""Images of image boxes as a Print SCU sends them: what they may be, and the file in which their pixels wait.

References
----------
PS3.3 C.13.5, PS3.5 8.1.1
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from medserver.dicom.json_model import JSON
from medserver.errors import ImageTooLarge, InvalidAttributeValue, MissingAttributeValue, NoPrintMemory
from medserver.printing.attributes import number, text_of
from medserver.printing.film import ReceivedImage
from medserver.workitems.content import value

IMAGE_PIXELS_MAX = 1 << 27
"""Of one image: some 11,000 x 11,000."""

PIXELS_BYTES_MAX = 1 << 30
"""Of all images that an association has in image boxes."""

CHUNK_BYTES = 1 << 20

_NEEDED = (
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation",
)  # fmt: skip

_BITS = ((8, 8, 7), (16, 12, 11))
"""Bits Allocated, Bits Stored and High Bit of gray images."""


@dataclass(frozen=True, slots=True)
class ReceivedPixels:
    """An image as it was received: its attributes, and where its pixels are in the data set.

    Parameters
    ----------
    attributes : JSON
        Of the item of the image sequence, without Pixel Data.
    file : file
        Where the data set is.
    offset, size_bytes : int
        Of the value of Pixel Data.
    is_big_endian : bool
        The order of its bytes.
    vr : str
        OB or OW.
    """

    attributes: JSON
    file: IO[bytes]
    offset: int
    size_bytes: int
    is_big_endian: bool = False
    vr: str = "OW"


def described(image: ReceivedPixels, position: int, *, is_colour: bool) -> ReceivedImage:
    """Return what an image is.

    Raises
    ------
    InvalidAttributeValue
        It is none that can be printed, or its Pixel Data is not as long as it says.
    MissingAttributeValue
        An attribute is missing.
    ImageTooLarge
        It has too many pixels.
    """
    attributes = image.attributes
    for keyword in _NEEDED:
        if not text_of(attributes, keyword):
            raise MissingAttributeValue(f"{keyword} of the image is missing")
    found = {keyword: number(attributes, keyword) or 0 for keyword in _NEEDED if keyword[0] != "P"}
    photometric = value(attributes, "PhotometricInterpretation")
    samples, rows, columns = found["SamplesPerPixel"], found["Rows"], found["Columns"]
    bits = (found["BitsAllocated"], found["BitsStored"], found["HighBit"])
    if is_colour:
        planar = number(attributes, "PlanarConfiguration")
        is_possible = photometric == "RGB" and samples == 3 and bits == _BITS[0] and planar in (0, 1)
    else:
        is_possible = photometric in ("MONOCHROME1", "MONOCHROME2") and samples == 1 and bits in _BITS
    if not is_possible or number(attributes, "PixelRepresentation") != 0:
        raise InvalidAttributeValue(f"no image box has {photometric[:16]}, {samples} samples, bits {bits}")
    if not (0 < rows <= 65535 and 0 < columns <= 65535):
        raise InvalidAttributeValue(f"no image has {rows} rows and {columns} columns")
    if rows * columns > IMAGE_PIXELS_MAX:
        raise ImageTooLarge(f"{rows} x {columns} pixels are more than {IMAGE_PIXELS_MAX}")
    needed = rows * columns * samples * bits[0] // 8
    if image.size_bytes != needed + needed % 2:
        raise InvalidAttributeValue(f"Pixel Data has {image.size_bytes} bytes, and not {needed}")
    aspect = _aspect_ratio(attributes)
    return ReceivedImage(str(position), rows, columns, samples, bits[1], photometric, aspect)


def _aspect_ratio(attributes: JSON) -> tuple[int, int]:
    text = text_of(attributes, "PixelAspectRatio")
    if not text:
        return (1, 1)
    try:
        vertical, horizontal = (int(part) for part in text.split("\\"))
    except ValueError:
        vertical = horizontal = 0
    if not (0 < vertical <= 65535 and 0 < horizontal <= 65535 and 1 / 100 <= vertical / horizontal <= 100):
        raise InvalidAttributeValue(f"PixelAspectRatio {text[:20]!r} is none")
    return vertical, horizontal


def pixel_chunks(image: ReceivedPixels, what: ReceivedImage) -> Iterator[bytes]:
    """Yield pixels, of 16 bits little endian, those of colours with Planar Configuration 0."""
    count = what.rows * what.columns * what.samples_per_pixel
    image.file.flush()
    descriptor = image.file.fileno()
    if what.samples_per_pixel == 3 and number(image.attributes, "PlanarConfiguration") == 1:
        yield from _interlaced(descriptor, image, count // 3)
        return
    # Of 8 bits, too, two samples are swapped where they travel as words (PS3.5 8.1.1).
    is_swapped = image.is_big_endian and image.vr == "OW"
    size_bytes = count if what.bits_stored == 8 else 2 * count
    for start in range(0, size_bytes, CHUNK_BYTES):
        length = min(CHUNK_BYTES, size_bytes - start)
        chunk = os.pread(descriptor, length + length % 2, image.offset + start)
        yield (_swapped(chunk) if is_swapped else chunk)[:length]


def _interlaced(descriptor: int, image: ReceivedPixels, plane_bytes: int) -> Iterator[bytes]:
    is_swapped = image.is_big_endian and image.vr == "OW"
    for start in range(0, plane_bytes, CHUNK_BYTES):
        length = min(CHUNK_BYTES, plane_bytes - start)
        pixels = bytearray(3 * length)
        for sample in range(3):
            first = sample * plane_bytes + start
            begin, end = first - first % 2, first + length + (first + length) % 2
            chunk = os.pread(descriptor, end - begin, image.offset + begin)
            whole = _swapped(chunk) if is_swapped else chunk
            pixels[sample::3] = whole[first - begin : first - begin + length]
        yield bytes(pixels)


def _swapped(chunk: bytes) -> bytes:
    swapped = bytearray(len(chunk))
    swapped[0::2], swapped[1::2] = chunk[1::2], chunk[0::2]
    return bytes(swapped)


def check_space(folder: Path, size_bytes: int, free_min_bytes: int) -> None:
    """Check that there is space for images on the disk of a folder, where the index may be too.

    Raises
    ------
    NoPrintMemory
        Less than `free_min_bytes` would be free.
    OSError
        The file system failed.
    """
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize < size_bytes + free_min_bytes:
        raise NoPrintMemory(f"less than {free_min_bytes >> 20} MiB would be free on the disk of the node")


class PixelFile:
    """A file without a name with the pixels of several images; the room of an image that is taken out is used again.

    Parameters
    ----------
    folder : Path
        Where it is.
    size_max_bytes : int
        What it may have at most.
    free_min_bytes : int
        How much has to stay free on its disk.
    """

    def __init__(self, folder: Path, size_max_bytes: int = PIXELS_BYTES_MAX, free_min_bytes: int = 0) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)
        self._folder = folder
        self._size_max_bytes = size_max_bytes
        self._free_min_bytes = free_min_bytes
        self._taken: dict[int, int] = {}

    def put(self, chunks: Iterable[bytes], size_bytes: int) -> int:
        """Keep an image, and return where.

        Raises
        ------
        NoPrintMemory
            There is no room.
        """
        offset = self._room_for(size_bytes)
        if offset + size_bytes > self._size_max_bytes:
            raise NoPrintMemory(f"images of more than {self._size_max_bytes} bytes on one association")
        position = offset
        try:
            check_space(self._folder, size_bytes, self._free_min_bytes)
            for chunk in chunks:
                os.pwrite(self._file.fileno(), chunk, position)
                position += len(chunk)
        except OSError as error:
            raise NoPrintMemory(f"an image cannot be kept: {error.strerror}") from error
        self._taken[offset] = size_bytes
        return offset

    def _room_for(self, size_bytes: int) -> int:
        """Return the first place between the images that is large enough."""
        end = 0
        for offset in sorted(self._taken):
            if offset - end >= size_bytes:
                break
            end = offset + self._taken[offset]
        return end

    def get(self, offset: int) -> Iterator[bytes]:
        """Yield the pixels of an image."""
        size_bytes = self._taken[offset]
        for start in range(0, size_bytes, CHUNK_BYTES):
            yield os.pread(self._file.fileno(), min(CHUNK_BYTES, size_bytes - start), offset + start)

    def remove(self, offset: int) -> None:
        """Give the room of an image back."""
        del self._taken[offset]
        end = max((offset + size for offset, size in self._taken.items()), default=0)
        os.ftruncate(self._file.fileno(), min(end, os.fstat(self._file.fileno()).st_size))

    def close(self) -> None:
        """Give all of it back."""
        self._taken.clear()
        self._file.close()
