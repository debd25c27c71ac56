"""What a rendering gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Image:
    """A rendered frame.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), or (rows, columns, 3) for red, green and blue; uint8 or uint16
        P-values, which use all bits.
    """

    pixels: np.ndarray

    @property
    def bits(self) -> int:
        """Bits of a sample, 8 or 16."""
        return 8 * self.pixels.dtype.itemsize

    @property
    def is_colour(self) -> bool:
        """Whether there are three samples for a pixel."""
        return self.pixels.ndim == 3

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.pixels.shape[0]

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.pixels.shape[1]
