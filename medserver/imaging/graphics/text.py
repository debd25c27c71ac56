"""Text as coverage of pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from medserver.imaging.graphics.fonts import SIZE_MAX, SIZE_MIN, font
from medserver.imaging.graphics.layers import BLACK, WHITE, draw

LENGTH_MAX = 200
LINES_MAX = 40

Align = Literal["left", "center", "right"]


def font_size(rows: int, columns: int) -> int:
    """Return a height of text that can be read in an image of this size, in pixels."""
    return min(max(min(rows, columns) // 32, SIZE_MIN), SIZE_MAX)


def printable_lines(text: str) -> list[str]:
    """Return the lines of a text without controls, and no more than can be shown."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:LINES_MAX]
    return ["".join(one for one in line if one.isprintable())[:LENGTH_MAX] for line in lines]


def text_size(lines: list[str], size: int) -> tuple[int, int]:
    """Return how much room a text needs, (columns, rows)."""
    widths = [font(line, size).getlength(line) for line in lines]
    return int(max(widths, default=0)) + 2, line_height(size) * len(lines)


def line_height(size: int) -> int:
    """Return the distance of lines, in pixels."""
    return size + max(size // 5, 1)


def coverage_of_text(
    shape: tuple[int, int],
    lines: list[str],
    left: float,
    top: float,
    size: int,
    *,
    align: Align = "left",
    width: int = 0,
) -> np.ndarray:
    """Return how much of each pixel a text covers.

    Parameters
    ----------
    shape : tuple of int, (rows, columns)
        Of the image.
    lines : list of str
        The text.
    left, top : float
        Where it begins.
    size : int
        Its height in pixels.
    align : str
        Where lines that are shorter than `width` lie.
    width : int
        The width of the text; that of the longest line if it is wider.

    Returns
    -------
    ndarray, shape (rows, columns), uint8
    """
    image = Image.new("L", (shape[1], shape[0]), 0)
    canvas = ImageDraw.Draw(image)
    width = max(width, text_size(lines, size)[0])
    for index, line in enumerate(lines):
        chosen = font(line, size)
        slack = width - chosen.getlength(line)
        start = left + {"left": 0, "center": slack / 2, "right": slack}[align]
        canvas.text((round(start), round(top + index * line_height(size))), line, fill=255, font=chosen)
    return np.asarray(image)


def draw_text(pixels: np.ndarray, lines: list[str], left: float, top: float, size: int) -> None:
    """Draw white text with a black rim, which can be read over any pixels.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
        They are changed.
    lines, left, top, size
        As for `coverage_of_text`.
    """
    coverage = coverage_of_text(pixels.shape[:2], lines, left, top, size)
    draw(pixels, _spread(coverage), BLACK)
    draw(pixels, coverage, WHITE)


def _spread(coverage: np.ndarray) -> np.ndarray:
    """Return the coverage one pixel farther in each direction."""
    padded = np.pad(coverage, 1)
    rows, columns = coverage.shape
    shifted = [padded[row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
    return np.maximum.reduce(shifted)
