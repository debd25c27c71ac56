"""Bands: warnings in inverted letters, as large as there is room, for people who do not look for them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medserver.printing.pages import PlacedFill, PlacedText

ROWS_MAX = 4
PITCH = 1.3
"""The distance of two rows, in sizes of the font."""

EDGE_MM = 1.0
"""What is free at the left and right in a band."""

_BASELINE = 0.78
"""Where the letters of a row stand, in parts of its height from its top."""

Measure = Callable[[str], float]
"""Returns how long a text is, in sizes of the font."""


@dataclass(frozen=True, slots=True)
class Band:
    """A rectangle with text.

    Parameters
    ----------
    fill : PlacedFill
        The rectangle.
    texts : tuple of PlacedText
        What is written on it.
    """

    fill: PlacedFill
    texts: tuple[PlacedText, ...]


def band(
    lines: Sequence[str], left_mm: float, top_mm: float, width_mm: float, height_mm: float, level: int, measure: Measure
) -> Band:
    """Return warnings in a rectangle, in the largest letters with which all of them have room there.

    Parameters
    ----------
    lines : sequence of str
        The warnings; each begins a row.
    left_mm, top_mm, width_mm, height_mm : float
        The rectangle, from the top left corner of the page.
    level : int
        Its driving level; the letters have the opposite one.
    measure : callable
        As `fonts.length_of`.
    """
    room_mm = width_mm - 2 * EDGE_MM
    rows = rows_in(lines, room_mm, height_mm, measure)
    pitch_mm = height_mm / len(rows)
    texts = tuple(
        PlacedText(
            left_mm + EDGE_MM, top_mm + (number + _BASELINE) * pitch_mm, pitch_mm / PITCH, row, 255 - level, room_mm
        )
        for number, row in enumerate(rows)
    )
    return Band(PlacedFill(left_mm, top_mm, width_mm, height_mm, level), texts)


def rows_in(
    lines: Sequence[str], room_mm: float, height_mm: float, measure: Measure, rows_least: int = 1,
    rows_max: int = ROWS_MAX,
) -> list[str]:  # fmt: skip
    """Return lines in the rows in which their letters are the largest that have room.

    Parameters
    ----------
    lines : sequence of str
        Each begins a row.
    room_mm, height_mm : float
        The room.
    measure : callable
        As `fonts.length_of`.
    rows_least, rows_max : int
        There is room for so many rows at least, and letters are not made smaller than so many need, unless all is
        longer than that: then it is in rows of about the same length.
    """
    for count in range(rows_least, rows_max + 1):
        rows = wrapped(lines, room_mm * PITCH * count / height_mm, measure)
        if len(rows) <= count:
            return rows
    return _even(lines, measure, rows_max)


def wrapped(lines: Sequence[str], length_max: float, measure: Measure, *, breaks_words: bool = False) -> list[str]:
    """Return lines broken at spaces, so that no row is longer than there is room; spaces between two words stay.

    A single word that is longer is a row of its own, or is broken too. Each word is measured once: lines may be long.
    """
    space = measure("x x") - measure("xx")
    rows: list[str] = []
    for line in lines:
        row, row_length = "", 0.0
        for word in re.split(r"\s", line.strip()):
            length = measure(word) if word else 0.0
            longer = row_length + space + length if row else length
            if not word or longer <= length_max:
                row, row_length = f"{row} {word}" if row else word, longer
                continue
            *broken, word = _broken(word, length_max, measure) if breaks_words and length > length_max else [word]
            rows += [*([row.rstrip()] if row else []), *broken]
            row, row_length = word, measure(word) if broken else length
        rows.append(row)
    return rows


def _broken(word: str, length_max: float, measure: Measure) -> list[str]:
    """Return the parts of a word, each as long as there is room, and of one letter at least."""
    parts, room = [""], length_max
    for letter in word:
        length = measure(letter)
        if parts[-1] and length > room:
            parts.append("")
            room = length_max
        parts[-1] += letter
        room -= length
    return parts


def _even(lines: Sequence[str], measure: Measure, rows_max: int) -> list[str]:
    """Return lines behind each other, in as many rows as there are at most."""
    line = " - ".join(lines)
    length = measure(line) / rows_max
    rows = wrapped([line], length, measure)
    while len(rows) > rows_max:
        length += max(length / 20, math.ulp(length))
        rows = wrapped([line], length, measure)
    return rows
