"""Where image boxes lie on a film: Image Display Formats, and the area of a sheet that is for images.

References
----------
PS3.3 C.13.3
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from medserver.config.printer import FILM_SIZES_MM
from medserver.errors import InvalidAttributeValue

COUNT_MAX = 256
"""So many image boxes a film has at most, as a layout of 16 x 16."""

MARGIN_MM = 4.0
"""What is left free at each edge of a sheet."""

HEADING_MM, FOOTING_MM = 9.0, 6.0
"""What is left for text above and below the images."""

GAP_MM = 1.0
"""Between two image boxes."""

BOX_LEAST_MM = 1.0
"""How wide and how high an image box is at least."""

_STANDARD = re.compile(r"STANDARD\\([1-9]\d{0,2}),([1-9]\d{0,2})")
_LINES = re.compile(r"(ROW|COL)\\([1-9]\d{0,2}(?:,[1-9]\d{0,2})*)")


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle on a sheet.

    Parameters
    ----------
    left_mm, top_mm, width_mm, height_mm : float
        From the top left corner of the sheet.
    """

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float


def sheet_size_mm(film_size_id: str, film_orientation: str) -> tuple[float, float]:
    """Return width and height of a sheet as it is looked at [mm].

    Raises
    ------
    InvalidAttributeValue
        There is no such Film Size ID.
    """
    if film_size_id not in FILM_SIZES_MM:
        raise InvalidAttributeValue(f"no Film Size ID {film_size_id[:20]!r}")
    width, height = FILM_SIZES_MM[film_size_id]
    return (height, width) if film_orientation == "LANDSCAPE" else (width, height)


def count_of(image_display_format: str) -> int:
    """Return how many image boxes a format has.

    Raises
    ------
    InvalidAttributeValue
        It is none that is printed here, or has too many.
    """
    return sum(_counts(image_display_format)[1])


def check_boxes(image_display_format: str, film_size_id: str, film_orientation: str) -> None:
    """Check that the image boxes of a format have room on a sheet.

    Raises
    ------
    InvalidAttributeValue
        They have not; or as for `count_of` and `sheet_size_mm`.
    """
    boxes = boxes_of(image_display_format, *sheet_size_mm(film_size_id, film_orientation))
    if min(min(box.width_mm, box.height_mm) for box in boxes) < BOX_LEAST_MM:
        raise InvalidAttributeValue(
            f"the image boxes of {image_display_format[:40]} have no room on {film_size_id} {film_orientation}"
        )


def area_of(width_mm: float, height_mm: float) -> Rectangle:
    """Return the part of a sheet that is for images."""
    top, bottom = MARGIN_MM + HEADING_MM, MARGIN_MM + FOOTING_MM
    return Rectangle(MARGIN_MM, top, width_mm - 2 * MARGIN_MM, height_mm - top - bottom)


def boxes_of(image_display_format: str, width_mm: float, height_mm: float) -> tuple[Rectangle, ...]:
    """Return the rectangles of the image boxes of a sheet, in the order of Image Box Position.

    Parameters
    ----------
    image_display_format : str
        ``STANDARD\\columns,rows``, ``ROW\\n,n...`` or ``COL\\n,n...``.
    width_mm, height_mm : float
        Of the sheet as it is looked at, after Film Orientation.

    Raises
    ------
    InvalidAttributeValue
        As for `count_of`.
    """
    kind, counts = _counts(image_display_format)
    area = area_of(width_mm, height_mm)
    if kind == "COL":
        columns = _divided(area.left_mm, area.width_mm, len(counts))
        return tuple(
            Rectangle(left, top, width, height)
            for (left, width), count in zip(columns, counts, strict=True)
            for top, height in _divided(area.top_mm, area.height_mm, count)
        )
    rows = _divided(area.top_mm, area.height_mm, len(counts))
    return tuple(
        Rectangle(left, top, width, height)
        for (top, height), count in zip(rows, counts, strict=True)
        for left, width in _divided(area.left_mm, area.width_mm, count)
    )


def _counts(image_display_format: str) -> tuple[str, Sequence[int]]:
    """Return ROW or COL, and how many images each row or column has: STANDARD has rows of equal length."""
    standard, lines = _STANDARD.fullmatch(image_display_format), _LINES.fullmatch(image_display_format)
    if standard is not None:
        columns, rows = map(int, standard.groups())
        kind, counts = "ROW", [columns] * rows
    elif lines is not None:
        kind, counts = lines[1], [int(count) for count in lines[2].split(",")]
    else:
        raise InvalidAttributeValue(f"no Image Display Format {image_display_format[:40]!r} here")
    if sum(counts) > COUNT_MAX:
        raise InvalidAttributeValue(f"{image_display_format[:40]} has more than {COUNT_MAX} image boxes")
    return kind, counts


def _divided(start_mm: float, length_mm: float, count: int) -> list[tuple[float, float]]:
    """Return where each of some equal parts begins, and how long it is; gaps are between them."""
    part = (length_mm - GAP_MM * (count - 1)) / count
    return [(start_mm + index * (part + GAP_MM), part) for index in range(count)]
