"""Graphic layers: what is drawn over the pixels with one gray value, in their order.

References
----------
PS3.3 C.10.7
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.imaging.values import integer, items, number, text

WHITE = 0xFFFF
BLACK = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """What is drawn together.

    Parameters
    ----------
    name : str
        Graphic Layer, empty for what belongs to none.
    order : int
        The greater ones lie over the others.
    gray : int
        P-value of 16 bits.
    """

    name: str = ""
    order: int = 0
    gray: int = WHITE


def layers_of(state: Dataset) -> dict[str, Layer]:
    """Return the layers of a presentation state by their names.

    Raises
    ------
    CannotRender
        A number is none.
    """
    found = {}
    for item in items(state, "GraphicLayerSequence"):
        name = text(item, "GraphicLayer")
        gray = number(item, "GraphicLayerRecommendedDisplayGrayscaleValue", WHITE)
        found[name] = Layer(name, integer(item, "GraphicLayerOrder", 0), int(min(max(gray, BLACK), WHITE)))
    return found


def draw(pixels: np.ndarray, coverage: np.ndarray, gray: int) -> None:
    """Draw something over pixels.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3), uint8 or uint16
        They are changed.
    coverage : ndarray, shape (rows, columns), uint8 or bool
        How much of each pixel it covers: 0 to 255, or False and True.
    gray : int
        P-value of 16 bits.
    """
    value = gray if pixels.dtype == np.uint16 else gray >> 8
    if coverage.dtype == bool:
        pixels[coverage] = value
        return
    touched = np.nonzero(coverage)
    share = coverage[touched].astype(np.float64) / 255
    share = share if pixels.ndim == 2 else share[:, np.newaxis]
    before = pixels[touched]
    pixels[touched] = np.rint(before + (value - before.astype(np.float64)) * share).astype(pixels.dtype)
