"""A composed page: what a printer gets of a film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image where it lies on the page.

    Parameters
    ----------
    left_mm, top_mm, width_mm, height_mm : float
        Its rectangle, from the top left corner of the page.
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3), uint8
        Driving levels of the printer: 0 is the darkest. Lossless, in the size in which they are printed or less.
    """

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float
    pixels: np.ndarray


@dataclass(frozen=True, slots=True)
class PlacedFill:
    """A rectangle of one gray where it lies on the page.

    Parameters
    ----------
    left_mm, top_mm, width_mm, height_mm : float
        From the top left corner of the page.
    level : int
        The driving level of the printer: 0 is the darkest.
    """

    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float
    level: int


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A line of text where it lies on the page.

    Parameters
    ----------
    left_mm, baseline_mm : float
        Where it begins, from the top left corner of the page.
    size_mm : float
        Of its font.
    text : str
        In Unicode.
    gray : int
        0 is black, 255 white.
    width_max_mm : float
        What is longer is drawn smaller. 0: whatever there is up to the margin.
    """

    left_mm: float
    baseline_mm: float
    size_mm: float
    text: str
    gray: int = 255
    width_max_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Parameters
    ----------
    width_mm, height_mm : float
        Of the medium.
    background : int
        The driving level of what is not covered: 0 is black, 255 white.
    images : tuple of PlacedImage
        In the order in which they are drawn.
    texts : tuple of PlacedText
        Drawn over them.
    fills : tuple of PlacedFill
        Drawn before the images.
    """

    width_mm: float
    height_mm: float
    background: int
    images: tuple[PlacedImage, ...] = ()
    texts: tuple[PlacedText, ...] = ()
    fills: tuple[PlacedFill, ...] = ()
