"""From the colour spaces of Photometric Interpretation to RGB.

References
----------
PS3.3 C.7.6.3.1.2
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medserver.errors import CannotRender

_FULL = np.array([[1, 0, 1.402], [1, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587], [1, 1.772, 0]])
_PARTIAL = np.array([[1.1644, 0, 1.5960], [1.1644, -0.3917, -0.8130], [1.1644, 2.0173, 0]])

_Convert = Callable[[np.ndarray, int], np.ndarray]


def to_rgb(samples: np.ndarray, photometric_interpretation: str, bits_stored: int, bits: int) -> np.ndarray:
    """Return red, green and blue.

    Parameters
    ----------
    samples : ndarray, shape (rows, columns, 3), unsigned
        The samples of a frame, with full chrominance.
    photometric_interpretation : str
        RGB, or one of the YBR.
    bits_stored : int
        Of a sample.
    bits : int
        Of a sample of the result, 8 or 16.

    Returns
    -------
    ndarray, shape (rows, columns, 3), uint8 or uint16

    Raises
    ------
    CannotRender
        Another Photometric Interpretation.
    """
    if photometric_interpretation not in _SPACES:
        raise CannotRender(f"Photometric Interpretation is {photometric_interpretation[:20]!r}")
    convert = _SPACES[photometric_interpretation]
    return scaled(samples if convert is None else convert(samples, bits_stored), bits_stored, bits)


def scaled(samples: np.ndarray, bits_stored: int, bits: int) -> np.ndarray:
    """Return samples of so many bits, the greatest for the greatest."""
    dtype = np.dtype(f"u{bits // 8}")
    if bits_stored == bits:
        return samples.astype(dtype)
    greatest, wanted = (1 << bits_stored) - 1, (1 << bits) - 1
    return ((samples.astype(np.uint64) * wanted + greatest // 2) // greatest).astype(dtype)


def _full(samples: np.ndarray, bits_stored: int) -> np.ndarray:
    half, greatest = 1 << bits_stored - 1, (1 << bits_stored) - 1
    return _multiplied(samples, _FULL, (0, half, half), greatest)


def _partial(samples: np.ndarray, bits_stored: int) -> np.ndarray:
    unit, half, greatest = (1 << bits_stored) / 256, 1 << bits_stored - 1, (1 << bits_stored) - 1
    return _multiplied(samples, _PARTIAL, (16 * unit, half, half), greatest)


def _multiplied(samples: np.ndarray, matrix: np.ndarray, offsets: tuple[float, ...], greatest: int) -> np.ndarray:
    """Return the product for each row of pixels: the steps between need much memory."""
    rgb = np.empty(samples.shape, samples.dtype)
    for row, pixels in enumerate(samples):
        rgb[row] = np.clip(np.rint((pixels - np.array(offsets)) @ matrix.T), 0, greatest)
    return rgb


_SPACES: dict[str, _Convert | None] = {
    "RGB": None,
    "YBR_ICT": None,  # the decoder of JPEG 2000 transforms the components (PS3.5 8.2.4)
    "YBR_RCT": None,
    "YBR_FULL": _full,
    "YBR_FULL_422": _full,
    "YBR_PARTIAL_422": _partial,
    "YBR_PARTIAL_420": _partial,
}
