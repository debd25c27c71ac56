"""What is written on every sheet: patient and study, the printer, and what people are to know who read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medserver import __version__
from medserver.printing.bands import PITCH, Band, band, rows_in
from medserver.printing.film import Film
from medserver.printing.fonts import length_of, missing_letters
from medserver.printing.layout import FOOTING_MM, HEADING_MM, MARGIN_MM, Rectangle
from medserver.printing.pages import PlacedFill, PlacedText

if TYPE_CHECKING:
    from medserver.printing.composition import Press

NOT_CALIBRATED = "not calibrated, not for diagnosis"
"""On the sheets of a printer without a characteristics curve."""

POSSIBLE_REPRINT = "possible reprint: this film may have been printed before"
"""On a sheet that was begun to hand over, and nobody knows whether it was printed."""

TEXT_MM, SMALL_MM = 3.2, 2.6

HEADING_ROWS, HEADING_ROWS_MAX = 2, 6
"""Rows above the images: of the usual size, and of the smallest that most people can read."""

FOOTING_ROWS_MAX = 4
"""Rows below the images."""

CALIBRATION_MM = 64.0
"""How wide the band is that says that a printer is not calibrated."""

BAND_GAP_MM = 0.6
"""Between a band and the images."""

SCALE_ROOM_MM = 90.0
"""What the scale bar has at the right of the lowest line, with what it says."""

NAMED_MAX = 8
"""So many images are named in a warning."""


SCALE_MM, TICK_MM = 50.0, 10.0
"""The length of the scale bar, and of its parts."""

_LINE_MM = 0.3


def contrasting(level: int) -> int:
    """Return the driving level of what is drawn on a background."""
    return 0 if level > 127 else 255


def texts_of(
    film: Film, press: Press, width_mm: float, height_mm: float, background: int, notes: Sequence[str] = ()
) -> tuple[PlacedText, ...]:
    """Return the lines of a sheet: its heading and annotations at the top, the printer and notes at the bottom.

    Parameters
    ----------
    film : Film
        What is printed.
    press : Press
        On what.
    width_mm, height_mm : float
        Of the sheet.
    background : int
        Its driving level.
    notes : sequence of str
        What is to be said of images, which came up while it was composed.
    """
    gray = contrasting(background)
    annotations = sorted(film.annotations, key=lambda each: each.annotation_position)
    texts = [each.text_string for each in annotations]
    heading = [*film.heading[:1], "  ".join(film.heading[1:]), " - ".join(texts)] if film.heading else texts
    heading = [line for line in heading if line]
    if not heading and film.film_session_label:
        heading = [film.film_session_label]
    right_mm = width_mm / 2 - 1 if film.warnings else width_mm - MARGIN_MM
    above = Rectangle(MARGIN_MM, MARGIN_MM, right_mm - MARGIN_MM, HEADING_MM - BAND_GAP_MM)
    top = _rows(heading, above, TEXT_MM, gray, HEADING_ROWS, HEADING_ROWS_MAX)
    written = "".join((*heading, *film.warnings))
    remarks = _gathered_notes(notes)
    if missing_letters(written):
        remarks.append(f"{len(missing_letters(written))} letters cannot be printed here")
    source = ", ".join(filter(None, (press.name, f"medserver {__version__}", press.printed_at)))
    bottom = [" - ".join((source, *remarks))]
    left_mm = MARGIN_MM + (0 if press.curve is not None else CALIBRATION_MM + 1.5)
    room_mm = width_mm - left_mm - MARGIN_MM - (SCALE_ROOM_MM if any(box.is_true_size for box in film.boxes) else 0)
    below = Rectangle(left_mm, height_mm - MARGIN_MM - FOOTING_MM + BAND_GAP_MM, room_mm, FOOTING_MM - BAND_GAP_MM)
    return (*top, *_rows(bottom, below, SMALL_MM, gray, 1, FOOTING_ROWS_MAX))


def bands_of(film: Film, press: Press, width_mm: float, height_mm: float, background: int) -> tuple[Band, ...]:
    """Return the warnings of a sheet: those of the film at the top right, that of the printer at the bottom left.

    Parameters
    ----------
    film, press, width_mm, height_mm, background
        As for `texts_of`.
    """
    level, bands = contrasting(background), []
    if film.warnings:
        left_mm = width_mm / 2
        where = left_mm, MARGIN_MM, width_mm - MARGIN_MM - left_mm, HEADING_MM - BAND_GAP_MM
        bands.append(band(film.warnings, *where, level, length_of))
    if press.curve is None:
        top_mm = height_mm - MARGIN_MM - FOOTING_MM + BAND_GAP_MM
        where = MARGIN_MM, top_mm, CALIBRATION_MM, FOOTING_MM - BAND_GAP_MM
        bands.append(band([NOT_CALIBRATED], *where, level, length_of))
    return tuple(bands)


def scale_bar(
    true_size: Sequence[int], count: int, width_mm: float, height_mm: float, background: int
) -> tuple[tuple[PlacedFill, ...], tuple[PlacedText, ...]]:
    """Return the scale bar of a sheet with images in true size, and what it says.

    Parameters
    ----------
    true_size : sequence of int
        The positions of these images; without any there is no bar.
    count : int
        The number of all images.
    width_mm, height_mm : float
        Of the sheet.
    background : int
        Its driving level.
    """
    if not true_size:
        return (), ()
    level = contrasting(background)
    right, middle = width_mm - MARGIN_MM, height_mm - MARGIN_MM - FOOTING_MM / 2
    left = right - SCALE_MM
    line = PlacedFill(left, middle - _LINE_MM / 2, SCALE_MM, _LINE_MM, level)
    places = [left + index * TICK_MM for index in range(round(SCALE_MM / TICK_MM) + 1)]
    ticks = [
        PlacedFill(place - (_LINE_MM if place == places[-1] else 0), middle - 1.5, _LINE_MM, 3.0, level)
        for place in places
    ]
    which = "" if len(true_size) == count else f", image {_named(list(map(str, true_size)))}"
    room_mm = SCALE_ROOM_MM - SCALE_MM - 4
    label = f"true size {SCALE_MM:.0f} mm{which}"
    return (line, *ticks), (PlacedText(left - room_mm - 2, middle + SMALL_MM / 3, SMALL_MM, label, level, room_mm),)


def _gathered_notes(notes: Sequence[str]) -> list[str]:
    """Return notes on images, so that the same thing is said once: ``images 1, 2 ...``."""
    numbers: dict[str, list[str]] = {}
    for note in notes:
        _, number, remark = note.split(" ", 2)
        numbers.setdefault(remark, []).append(number)
    return [f"image{'s' if len(each) > 1 else ''} {_named(each)} {remark}" for remark, each in numbers.items()]


def _named(numbers: list[str]) -> str:
    return f"{', '.join(numbers[:NAMED_MAX])}{' ...' if len(numbers) > NAMED_MAX else ''}"


def _rows(
    lines: Sequence[str], place: Rectangle, size_max_mm: float, gray: int, rows_least: int, rows_max: int
) -> list[PlacedText]:
    """Return lines in a place, in the largest letters with which there is room for all of them."""
    if not any(lines):
        return []
    rows = rows_in(lines, place.width_mm, place.height_mm, length_of, rows_least, rows_max)
    pitch_mm = place.height_mm / max(len(rows), rows_least)
    size_mm = min(size_max_mm, pitch_mm / PITCH)
    first_mm = place.top_mm + pitch_mm / 2 + 0.35 * size_mm  # capital letters are in the middle of a row
    return [
        PlacedText(place.left_mm, first_mm + number * pitch_mm, size_mm, row, gray, place.width_mm)
        for number, row in enumerate(rows)
    ]
