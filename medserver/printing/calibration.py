"""Calibration of a printer: a step wedge is printed and measured, and what was measured becomes its curve.

The wedge has driving levels, whatever curve the printer has by now. What is read here are densities as a densitometer
shows them; `curves` reads the file that is written.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from medserver.config import Printer
from medserver.config.printer import DICOM
from medserver.dicom.uids import new_uid
from medserver.errors import BadUsage, CannotUnderstand, ConfigError
from medserver.index import FilmRow
from medserver.node import Node
from medserver.printing.curves import curve_from, read_curve
from medserver.printing.film import Film, ImageBox, ReceivedImage, film_of
from medserver.printing.queue import COMMAND, FilmRequest, queue_film

STEPS_MIN, STEPS, STEPS_MAX = 6, 18, 64
"""How many steps a wedge has."""

DENSITY_MAX = 6.0

_SIDE = 8
_COLUMNS = 3
_BETWEEN = re.compile(r"[\s,;]+")


def wedge_levels(steps: int) -> tuple[int, ...]:
    """Return the driving levels of a step wedge, 0 and 255 among them, in the order in which they are printed."""
    return tuple(round(index * 255 / (steps - 1)) for index in range(steps))


def wedge_film(printer: Printer, steps: int) -> tuple[Film, list[tuple[str, list[bytes]]]]:
    """Return a step wedge as a film, and its images."""
    levels = wedge_levels(steps)
    columns = min(_COLUMNS if steps <= 24 else 6, steps)
    film = Film(
        image_display_format=f"STANDARD\\{columns},{-(-steps // columns)}",
        magnification_type="REPLICATE",
        trim="YES",  # the darkest step is seen on the border, which is as dark
        boxes=tuple(ImageBox(number, ReceivedImage(str(number), _SIDE, _SIDE)) for number, _ in enumerate(levels, 1)),
        heading=(
            f"Step wedge of printer {printer.name}: {steps} driving levels, from left to right and from top to bottom",
            " ".join(map(str, levels)),
        ),
        film_session_label="step wedge",
        is_in_driving_levels=True,
    )
    return film, [(str(number), [bytes([level]) * _SIDE**2]) for number, level in enumerate(levels, 1)]


def print_wedge(node: Node, printer: Printer, steps: int) -> str:
    """Have a step wedge printed, and return the UID of the film.

    Raises
    ------
    BadUsage
        The printer is a DICOM imager, which calibrates itself.
    OutOfResources, StoreFailure, IndexFailure
        It cannot be queued.
    """
    if printer.output == DICOM:
        raise BadUsage(f"printer {printer.name} is a DICOM imager, which makes densities of P-values by itself")
    film, images = wedge_film(printer, steps)
    uid = new_uid()
    requested_by = node.config.current.node.ae_title
    queue_film(node, FilmRequest(uid, film, printer, requested_by, COMMAND, priority="HIGH"), images)
    return uid


def is_wedge(row: FilmRow) -> bool:
    """Tell whether a film is a step wedge: on another printer it would calibrate the wrong one."""
    try:
        return film_of(row.content).is_in_driving_levels
    except CannotUnderstand:
        return False


def parse_densities(text: str) -> list[float]:
    """Read densities: numbers with spaces, lines or commas between them; # begins a remark.

    Raises
    ------
    BadUsage
        One is none.
    """
    words = [word for line in text.splitlines() for word in _BETWEEN.split(line.partition("#")[0]) if word]
    densities: list[float] = []
    for word in words:
        try:
            density = float(word)
        except ValueError:
            density = -1.0
        if not 0 <= density <= DENSITY_MAX:
            raise BadUsage(f"{word[:20]!r} is no optical density: a number from 0 to {DENSITY_MAX:.0f}")
        densities.append(density)
    return densities


def write_curve(path: Path, name: str, densities: Sequence[float], measured_at: datetime) -> None:
    """Write the curve of a printer; the file is there whole, or as it was.

    Parameters
    ----------
    path : Path
        Where.
    name : str
        Of the printer.
    densities : sequence of float
        Of the steps of a wedge, in their order [OD].
    measured_at : datetime
        When.

    Raises
    ------
    BadUsage
        There are too few, or a step is darker than the one before it.
    OSError
        It cannot be written.
    """
    if not STEPS_MIN <= len(densities) <= STEPS_MAX:
        raise BadUsage(f"{len(densities)} densities: a wedge has {STEPS_MIN} to {STEPS_MAX} steps")
    levels = wedge_levels(len(densities))
    try:
        curve = curve_from(dict(zip(levels, densities, strict=True)), "the densities")
    except ConfigError as error:
        raise BadUsage(f"{error}: measured in the wrong order, or from the light end?") from None
    if curve[0] - curve[-1] < 0.5:
        raise BadUsage(f"the densities span {curve[0] - curve[-1]:.2f} OD only: is that the wedge?")
    lines = [f"# characteristics curve of printer {name}, measured {measured_at.astimezone():%Y-%m-%d %H:%M}"]
    lines += ["# driving level (0 is the darkest), optical density"]
    lines += [f"{level} {density:.3f}" for level, density in zip(levels, densities, strict=True)]
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        read_curve(temporary)
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
