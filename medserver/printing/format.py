"""Format information: how images are to be printed, with names, units and bounds, whoever says it.

A work item has it as Scheduled Processing Parameters Sequence, the command line as options, a rule as options of its
section; all of them have these names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medserver.config import Config, Printer
from medserver.config.printer import FILM_SIZES_MM
from medserver.errors import CannotProcess, InvalidAttributeValue, UnusableParameters
from medserver.printing.layout import check_boxes, count_of
from medserver.processing.parameters import Parameter, check

AUTOMATIC = "auto"
"""The layout that has room for all images on one film, up to `AUTOMATIC_LAYOUTS`."""

AUTOMATIC_LAYOUTS: Sequence[tuple[int, int]] = ((1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (4, 4), (4, 5))
"""Columns and rows."""

REFUSED, MARKED = "refuse", "mark"
"""Where an image is missing nothing is printed, or its box stays empty and the sheet says so."""

YES, NO = "yes", "no"

COPIES_MAX = 1000
WINDOW_WIDTH_LEAST = 1.0

_COLUMNS_AND_ROWS = re.compile(r"[1-9]\d{0,2},[1-9]\d{0,2}")

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("printer", "The [printer NAME] or its AE title; without one the only one", "text"),
    Parameter(
        "layout", "Columns and rows (2,3), ROW or COL with counts (ROW\\1,2), or auto", "text", default=AUTOMATIC
    ),
    Parameter(
        "film_size", "Film Size ID; without one the first of the printer", "choice", choices=tuple(FILM_SIZES_MM)
    ),
    Parameter("orientation", "Film Orientation", "choice", default="PORTRAIT", choices=("PORTRAIT", "LANDSCAPE")),
    Parameter(
        "magnification", "Magnification Type", "choice", default="CUBIC",
        choices=("NONE", "REPLICATE", "BILINEAR", "CUBIC"),
    ),
    Parameter("window", "Window center and width; without them those of the image", "number", count=2),
    Parameter("presentation_state", "SOP Instance UID of the presentation state of all images", "text"),
    Parameter("polarity", "Polarity", "choice", default="NORMAL", choices=("NORMAL", "REVERSE")),
    Parameter("true_size", "Whether images have the size of what they show", "choice", default=NO, choices=(YES, NO)),
    Parameter("image_width", "Width of each image (Requested Image Size)", "number", "mm", minimum=5, maximum=500),
    Parameter("copies", "Number of Copies", "integer", default=1, minimum=1, maximum=COPIES_MAX),
    Parameter("annotation", "A line that is written on every sheet", "text"),
    Parameter(
        "missing", "What becomes of it if an image is missing", "choice", default=REFUSED, choices=(REFUSED, MARKED)
    ),
)  # fmt: skip
"""What can be said, in the order of the manual."""

NAMES = tuple(parameter.name for parameter in PARAMETERS)


@dataclass(frozen=True, slots=True)
class FilmFormat:
    """How images are to be printed; the names are those of `PARAMETERS`.

    Parameters
    ----------
    layout : str
        Image Display Format, or `AUTOMATIC`.
    film_size : str
        Empty: the first of the printer.
    window : tuple of float or None
        Center and width.
    is_true_size : bool
        See `film.ImageBox`.
    image_width_mm : float or None
        Requested Image Size.
    """

    printer: str = ""
    layout: str = AUTOMATIC
    film_size: str = ""
    orientation: str = "PORTRAIT"
    magnification: str = "CUBIC"
    window: tuple[float, float] | None = None
    presentation_state: str = ""
    polarity: str = "NORMAL"
    is_true_size: bool = False
    image_width_mm: float | None = None
    copies: int = 1
    annotation: str = ""
    missing: str = REFUSED


def format_of(given: Mapping[str, object]) -> FilmFormat:
    """Read format information.

    Parameters
    ----------
    given : Mapping
        Name -> a text, in which several values are separated by commas, a number, or a sequence of numbers.

    Raises
    ------
    UnusableParameters
        There is no such parameter, or it cannot have such a value.
    """
    values = check(PARAMETERS, given)
    renamed = {"is_true_size": values.pop("true_size") == YES, "image_width_mm": values.pop("image_width", None)}
    values["layout"] = _display_format(str(values["layout"]))
    _check_window(values.get("window"))
    return FilmFormat(**values, **renamed)  # type: ignore[arg-type]


def _check_window(window: object) -> None:
    """Refuse what is no window of the VOI LUT Function LINEAR (PS3.3 C.11.2.1.2.1)."""
    if isinstance(window, tuple) and window[1] < WINDOW_WIDTH_LEAST:
        raise UnusableParameters(f"window: its width is {window[1]:g}, and less than {WINDOW_WIDTH_LEAST:g}")


def _display_format(text: str) -> str:
    """Return the Image Display Format that is meant."""
    text = text.strip()
    if text == AUTOMATIC:
        return text
    written = f"STANDARD\\{text}" if _COLUMNS_AND_ROWS.fullmatch(text) else text
    try:
        count_of(written)
    except InvalidAttributeValue as error:
        raise UnusableParameters(f"layout: {error}") from None
    return written


def automatic_layout(images: int) -> str:
    """Return the Image Display Format with the fewest boxes in which all images have room, the largest if none has."""
    columns, rows = next((one for one in AUTOMATIC_LAYOUTS if one[0] * one[1] >= images), AUTOMATIC_LAYOUTS[-1])
    return f"STANDARD\\{columns},{rows}"


def printer_for(config: Config, wanted: FilmFormat) -> Printer:
    """Return the printer that is meant, which can do what is wanted of it.

    Raises
    ------
    UnusableParameters
        There is none of this name or AE title, or several and none is named; or it has no such films, does not print
        so many copies, or the layout has no room on its film.
    """
    printer = _named(config, wanted.printer)
    if wanted.film_size and wanted.film_size not in printer.media:
        raise UnusableParameters(f"film_size: {printer.name} has {', '.join(printer.media)}, not {wanted.film_size}")
    if wanted.copies > printer.copies_max:
        raise UnusableParameters(f"copies: {printer.name} prints at most {printer.copies_max}")
    if wanted.layout != AUTOMATIC:
        check_layout(wanted.layout, wanted, printer)
    return printer


def check_layout(image_display_format: str, wanted: FilmFormat, printer: Printer) -> None:
    """Check that a layout has room on the film that is wanted of a printer.

    Raises
    ------
    UnusableParameters
        It has not.
    """
    try:
        check_boxes(image_display_format, wanted.film_size or printer.media[0], wanted.orientation)
    except InvalidAttributeValue as error:
        raise UnusableParameters(f"layout: {error}") from None


def check_may_print(config: Config, printer: Printer, ae_title: str) -> None:
    """Check that an AE may print on a printer: this node may, and who has the right, unless the printer has others.

    Raises
    ------
    CannotProcess
        It may not.
    """
    if ae_title == config.node.ae_title:
        return
    entries = (each for each in config.remotes_by_ae_title(ae_title) if "print" in each.allow)
    if not any(not printer.clients or each.name in printer.clients for each in entries):
        raise CannotProcess(f"{ae_title[:16]} may not print on {printer.name}")


def _named(config: Config, name: str) -> Printer:
    if name:
        found = config.printer(name) or config.printer_called(name)
        if found is None:
            raise UnusableParameters(f"there is no [printer {name[:64]}]")
        return found
    if len(config.printers) != 1:
        names = ", ".join(each.name for each in config.printers) or "none"
        raise UnusableParameters(f"printer: say which, there are {names}")
    return config.printers[0]
