"""What is written on every sheet: patient and study, the printer, and what people are to know who read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medserver import __version__
from medserver.printing.film import Film
from medserver.printing.layout import FOOTING_MM, HEADING_MM, MARGIN_MM
from medserver.printing.pages import PlacedText

if TYPE_CHECKING:
    from medserver.printing.composition import Press

NOT_CALIBRATED = "not calibrated, not for diagnosis"
"""On the sheets of a printer without a characteristics curve."""

POSSIBLE_REPRINT = "possible reprint: this film may have been printed before"
"""On a sheet that was begun to hand over, and nobody knows whether it was printed."""

TEXT_MM, SMALL_MM = 3.2, 2.6


def texts_of(film: Film, press: Press, width_mm: float, height_mm: float, background: int) -> tuple[PlacedText, ...]:
    """Return the lines of a sheet: its heading and annotations at the top, the printer and warnings at the bottom."""
    gray = 0 if background > 127 else 255
    heading = [*film.heading, *(each.text_string for each in film.annotations)]
    if not heading and film.film_session_label:
        heading = [film.film_session_label]
    lines_max = int(HEADING_MM / (TEXT_MM + 1))
    top = _lines(_gathered(heading, lines_max), MARGIN_MM + TEXT_MM, TEXT_MM, gray)
    notes = [*([] if press.curve is not None else [NOT_CALIBRATED]), *film.warnings]
    bottom = [f"{press.name}, medserver {__version__}{''.join(f' - {note}' for note in notes)}"]
    return (*top, *_lines(bottom, height_mm - MARGIN_MM - (FOOTING_MM - SMALL_MM) / 2, SMALL_MM, gray))


def _gathered(lines: list[str], count: int) -> list[str]:
    """Return as many lines as there is room for: those beyond stand behind the others."""
    if len(lines) <= count:
        return lines
    return ["   ".join(lines[index::count]) for index in range(count)]


def _lines(lines: list[str], baseline_mm: float, size_mm: float, gray: int) -> list[PlacedText]:
    return [
        PlacedText(MARGIN_MM, baseline_mm + index * (size_mm + 1), size_mm, line, gray)
        for index, line in enumerate(lines)
    ]
