"""What is written over a shown image by who asks for it: texts in the corners, letters at the edges."""

from __future__ import annotations

import numpy as np

from medserver.imaging.graphics.orientation import Edges
from medserver.imaging.graphics.text import draw_text, font_size, line_height, printable_lines, text_size
from medserver.imaging.options import Text


def draw_corners(pixels: np.ndarray, texts: tuple[Text, ...]) -> None:
    """Write texts into the corners.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
        They are changed.
    texts : tuple of Text
        Those of one corner stand one under the other.
    """
    rows, columns = pixels.shape[:2]
    size = font_size(rows, columns)
    margin = size // 2
    for corner in dict.fromkeys(each.corner for each in texts):
        lines = [line for each in texts if each.corner == corner for one in each.lines for line in printable_lines(one)]
        height = line_height(size) * len(lines)
        top = margin if corner.startswith("top") else rows - margin - height
        for index, line in enumerate(lines):
            width = text_size([line], size)[0]
            left = margin if corner.endswith("left") else columns - margin - width
            draw_text(pixels, [line], left, top + index * line_height(size), size)


def draw_markers(pixels: np.ndarray, edges: Edges) -> None:
    """Write the letters of the edges into the middle of each.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3)
        They are changed.
    edges : Edges
        The letters.
    """
    rows, columns = pixels.shape[:2]
    size = font_size(rows, columns)
    margin = size // 2
    middle, center = (rows - line_height(size)) / 2, columns / 2

    def width(text: str) -> int:
        return text_size([text], size)[0]

    draw_text(pixels, [edges.left], margin, middle, size)
    draw_text(pixels, [edges.right], columns - margin - width(edges.right), middle, size)
    draw_text(pixels, [edges.top], center - width(edges.top) / 2, margin, size)
    draw_text(pixels, [edges.bottom], center - width(edges.bottom) / 2, rows - margin - line_height(size), size)
