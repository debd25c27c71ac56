"""Strips: lines of text as pixels, above the first image of a film on an imager, which has no other place for them.

The letters are those of a page, see `fonts`: names in their own letters, also those that are read from right to left.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from medserver.printing.bands import wrapped
from medserver.printing.fonts import file_of, runs_of

if TYPE_CHECKING:
    from PIL import ImageFont

LINES_PER_WIDTH = 40
"""A line of text is so many times lower than an image is wide."""

LINE_PIXELS_MIN = 12

_LETTERS = 0.75
"""The size of the font, in parts of the height of a line."""

_BASELINE = 0.78


def strip_of(width: int, warnings: Sequence[str], heading: Sequence[str]) -> np.ndarray:
    """Return lines of text as gray of 8 bits, warnings in inverted letters.

    Parameters
    ----------
    width : int
        How many columns there are; what is longer goes on in the next line.
    warnings, heading : sequence of str
        The lines.
    """
    from PIL import Image, ImageDraw

    height = max(width // LINES_PER_WIDTH, LINE_PIXELS_MIN)
    size = round(height * _LETTERS)
    lines = [
        (row, is_warning)
        for texts, is_warning in ((warnings, True), (heading, False))
        for row in wrapped(texts, width - 4, lambda text: _length(text, size), breaks_words=True)
    ]
    strip = Image.new("L", (width, height * len(lines)))
    draw = ImageDraw.Draw(strip)
    for number, (row, is_warning) in enumerate(lines):
        if is_warning:
            draw.rectangle((0, number * height, width, (number + 1) * height - 1), fill=255)
        left = 2.0
        for run in runs_of(row):
            font = _font(file_of(run.font), size)
            baseline = (number + _BASELINE) * height
            draw.text((left, baseline), run.text, fill=0 if is_warning else 255, font=font, anchor="ls")
            left += font.getlength(run.text)
    return np.asarray(strip)


def _length(text: str, size: int) -> float:
    return sum(_font(file_of(run.font), size).getlength(run.text) for run in runs_of(text))


@lru_cache(maxsize=16)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)  # runs are in the order of drawing
