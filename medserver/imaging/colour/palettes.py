"""Palettes: PALETTE COLOR, segmented or not, and supplemental ones.

References
----------
PS3.3 C.7.6.3.1.5, PS3.3 C.7.6.3.1.6, PS3.3 C.7.6.19, PS3.3 C.7.9.2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.colour.spaces import scaled
from medserver.imaging.gray.lut import descriptor
from medserver.imaging.pixels import Frame
from medserver.imaging.values import text, value_of, words

_COLOURS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = range(3)


@dataclass(frozen=True, slots=True)
class Palette:
    """Three tables of one length.

    Parameters
    ----------
    first : int
        The stored value that the first entry is for.
    entries : ndarray, shape (n, 3), uint8 or uint16
        Red, green and blue.
    """

    first: int
    entries: np.ndarray

    def map(self, cells: np.ndarray) -> np.ndarray:
        """Return the colours of stored values; beyond the ends they are those of the first or the last entry."""
        places = np.clip(cells.astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[places]


def has_supplemental_palette(dataset: Dataset) -> bool:
    """Tell whether a gray image has colours for its greatest stored values (PS3.3 C.7.6.19)."""
    return (
        text(dataset, "PixelPresentation") in ("COLOR", "MIXED")
        and value_of(dataset, "RedPaletteColorLookupTableDescriptor") is not None
    )


def palette_of(dataset: Dataset, is_signed: bool, bits: int) -> Palette:
    """Return the palette of an image.

    Parameters
    ----------
    dataset : Dataset
        The image, or a Color Palette object.
    is_signed : bool
        Whether stored values can be negative.
    bits : int
        Of a sample of the result, 8 or 16.

    Raises
    ------
    CannotRender
        A table is missing, shorter than its descriptor says, or they differ in length.
    """
    tables = [_table(dataset, colour, is_signed) for colour in _COLOURS]
    if len({(first, len(entries)) for first, entries, _ in tables}) > 1:
        raise CannotRender("the three tables of the palette are not of one length")
    entries = np.stack([scaled(entries, depth, bits) for _, entries, depth in tables], axis=1)
    return Palette(tables[0][0], entries)


def coloured(grays: np.ndarray, palette: Palette, frame: Frame) -> np.ndarray:
    """Return gray pixels as RGB, with the colours of a supplemental palette where stored values are within it.

    Parameters
    ----------
    grays : ndarray, shape (rows, columns)
        P-values.
    palette : Palette
        Of as many bits as these.
    frame : Frame
        The stored values.

    Returns
    -------
    ndarray, shape (rows, columns, 3)
    """
    rgb = np.repeat(grays[..., np.newaxis], 3, axis=2)
    is_coloured = frame.cells >= palette.first
    rgb[is_coloured] = palette.map(frame.cells[is_coloured])
    return rgb


def _table(dataset: Dataset, colour: str, is_signed: bool) -> tuple[int, np.ndarray, int]:
    """Return the first value that is mapped, the entries, and their bits."""
    count, first, bits = descriptor(dataset, f"{colour}PaletteColorLookupTableDescriptor", is_signed)
    if bits not in (8, 16):
        raise CannotRender(f"the entries of the {colour} palette have {bits} bits")
    if value_of(dataset, f"Segmented{colour}PaletteColorLookupTableData") is not None:
        entries = expanded(_units(dataset, f"Segmented{colour}PaletteColorLookupTableData", bits), count, bits)
    else:
        entries = _entries(dataset, f"{colour}PaletteColorLookupTableData", count, bits)
    if len(entries) < count:
        raise CannotRender(f"the {colour} palette has {len(entries)} of {count} entries")
    return first, entries[:count], bits


def _entries(dataset: Dataset, keyword: str, count: int, bits: int) -> np.ndarray:
    """Return entries: those of 8 bits are two in a word, or each in a word of its own, as some write them."""
    found = words(dataset, keyword)
    if bits == 16:
        return found
    if len(found) >= count:
        in_low_bytes = found[:count]
        return in_low_bytes >> 8 if not (in_low_bytes & 0xFF).any() else in_low_bytes & 0xFF
    return np.frombuffer(found.tobytes(), "u1")


def _units(dataset: Dataset, keyword: str, bits: int) -> list[int]:
    """Return the numbers of which segments consist: bytes where entries are bytes."""
    found = words(dataset, keyword)
    return (found if bits == 16 else np.frombuffer(found.tobytes(), "u1")).tolist()


def expanded(units: list[int], count: int, bits: int) -> np.ndarray:
    """Return the entries that the segments of a palette stand for, no more than there should be.

    Parameters
    ----------
    units : list of int
        Opcode, length, and what follows, for each segment.
    count : int
        The number of entries that the descriptor says.
    bits : int
        Of a unit, 8 or 16.

    Returns
    -------
    ndarray, shape (n,), uint16
        n is `count` or less.

    Raises
    ------
    CannotRender
        A segment is cut off, is of an unknown kind, or refers to what is none.

    References
    ----------
    PS3.3 C.7.9.2
    """
    return np.array(_Expansion(units, count, bits).entries[:count], "u2")


class _Expansion:
    """The segments of a table, and the entries that they have given so far."""

    def __init__(self, units: list[int], count: int, bits: int) -> None:
        self.entries: list[int] = []
        self._units, self._count, self._bits = units, count, bits
        place = 0
        while place + 1 < len(units) and len(self.entries) < count:  # behind them there may be padding
            place = self._segment(place)

    def _segment(self, place: int, *, is_copy: bool = False) -> int:
        """Append the entries of the segment at a place, and return where the next one is."""
        opcode, length = self._taken(place, 2)
        if opcode == _DISCRETE:
            self.entries.extend(self._taken(place + 2, length))
            return place + 2 + length
        if opcode == _LINEAR and self.entries:
            start, [end] = self.entries[-1], self._taken(place + 2, 1)
            self.entries.extend(round(start + (end - start) * step / length) for step in range(1, length + 1))
            return place + 3
        if opcode == _INDIRECT and not is_copy:
            return self._copies(place, length)
        raise CannotRender(f"a segment of the palette has the opcode {opcode}")

    def _copies(self, place: int, length: int) -> int:
        """Append the entries of segments that stand before this one; where, is said in bytes."""
        count = 32 // self._bits
        offset = sum(unit << self._bits * index for index, unit in enumerate(self._taken(place + 2, count)))
        target = offset // (self._bits // 8)
        for _ in range(length):
            if target >= place:
                raise CannotRender("an indirect segment of the palette refers to what is not before it")
            if len(self.entries) >= self._count:
                break
            target = self._segment(target, is_copy=True)
        return place + 2 + count

    def _taken(self, place: int, count: int) -> list[int]:
        found = self._units[place : place + count]
        if len(found) < count:
            raise CannotRender("a segment of the palette is cut off")
        return found
