"""Pixels that are no part of the image: those with Pixel Padding Value, or up to Pixel Padding Range Limit.

References
----------
PS3.3 C.7.5.1.1.2
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medserver.imaging.pixels import Frame
from medserver.imaging.values import number


def padding_mask(dataset: Dataset, frame: Frame) -> np.ndarray | None:
    """Return which pixels are padding; None if the image has none.

    Where the values are of floating point, so is what is not a number.

    Returns
    -------
    ndarray, shape (rows, columns), bool
        True where the pixel is no part of the image.
    """
    bounds = _bounds(dataset, frame)
    if not frame.is_integer:
        mask = ~np.isfinite(frame.cells)
        return mask if bounds is None else mask | _within(frame.cells, bounds)
    if bounds is None:
        return None
    low, high = bounds
    if low == high and not frame.low <= low <= frame.high:  # it needs more bits than Bits Stored: some writers err
        return frame.words == low % (1 << 8 * frame.words.dtype.itemsize)
    return _within(frame.cells, bounds)


def _within(cells: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return (cells >= bounds[0]) & (cells <= bounds[1])


def _bounds(dataset: Dataset, frame: Frame) -> tuple[float, float] | None:
    """Return the least and the greatest stored value that is padding."""
    if frame.is_integer:
        value, limit = (_word(dataset, f"PixelPadding{each}", frame) for each in ("Value", "RangeLimit"))
    else:
        value, limit = (
            number(dataset, f"FloatPixelPadding{each}", number(dataset, f"DoubleFloatPixelPadding{each}"))
            for each in ("Value", "RangeLimit")
        )
    if value is None:
        return None
    limit = value if limit is None else limit
    return min(value, limit), max(value, limit)


def _word(dataset: Dataset, keyword: str, frame: Frame) -> float | None:
    """Return a value with the sign of the pixels, whatever its VR says."""
    value = number(dataset, keyword)
    if value is not None and frame.low < 0 and value > 0x7FFF:
        return value - 0x10000
    return value + 0x10000 if value is not None and frame.low == 0 and value < 0 else value
