"""The characteristics curve of a printer: the density of each driving level, as it was measured."""

from __future__ import annotations

from pathlib import Path

from medserver.config import Printer
from medserver.errors import ConfigError

LEVELS = 256


def curve_of(printer: Printer) -> list[float] | None:
    """Return the density of each driving level of a printer [OD], None if it is not calibrated.

    Raises
    ------
    ConfigError
        Its file cannot be read, or is none.
    """
    return None if printer.curve is None else read_curve(printer.curve)


def read_curve(path: Path) -> list[float]:
    """Read a curve: ``level density`` in a line each, at least two; between them it is straight.

    Returns
    -------
    list of float
        The density of the levels 0 to 255 [OD]; it never rises.

    Raises
    ------
    ConfigError
        The file cannot be read, or is none.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    points: dict[int, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            level, density = int(words[0]), float(words[1])
        except (ValueError, IndexError):
            raise ConfigError(f"{path} line {number}: not a level and a density") from None
        if not (0 <= level < LEVELS and 0 <= density <= 6) or len(words) > 2:
            raise ConfigError(f"{path} line {number}: a level is 0 to 255, a density 0 to 6")
        points[level] = density
    return curve_from(points, str(path))


def curve_from(points: dict[int, float], name: str) -> list[float]:
    """Return the density of every level, from those that were measured.

    Parameters
    ----------
    points : dict of int to float
        Level and density [OD].
    name : str
        Where they come from, for messages.

    Raises
    ------
    ConfigError
        There are too few, the first or the last level is missing, or the density rises.
    """
    levels = sorted(points)
    if len(levels) < 2 or levels[0] != 0 or levels[-1] != LEVELS - 1:
        raise ConfigError(f"{name}: level 0 and level {LEVELS - 1} must be measured, and more between them")
    for before, after in zip(levels, levels[1:], strict=False):
        if points[after] > points[before]:
            raise ConfigError(f"{name}: the density rises from level {before} to level {after}")
    curve: list[float] = []
    for before, after in zip(levels, levels[1:], strict=False):
        for level in range(before, after):
            part = (level - before) / (after - before)
            curve.append(points[before] + part * (points[after] - points[before]))
    return [*curve, points[levels[-1]]]
