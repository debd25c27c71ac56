"""Pixels that are no part of the image: Pixel Padding Value (PS3.3 C.7.5.1.1.2)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

from medserver.processing.pixels.images import integer_of


def padding_range(dataset: Dataset, dtype: np.dtype) -> tuple[int, int] | None:
    """Return the least and the greatest stored value that is padding; None if there is no padding.

    The values are read with the sign of the pixels, whatever VR they were written in.
    """
    if "PixelPaddingValue" not in dataset or not dataset.get_item("PixelPaddingValue").value:
        return None
    values = [integer_of(dataset, "PixelPaddingValue")]
    if "PixelPaddingRangeLimit" in dataset:
        values.append(integer_of(dataset, "PixelPaddingRangeLimit"))
    if dtype.itemsize <= 2:
        bits = np.array(values, np.int64).astype(np.uint16)
        values = [int(value) for value in (bits.view(np.int16) if dtype.kind == "i" else bits)]
    return min(values), max(values)


def is_padding(dataset: Dataset, frame: np.ndarray) -> np.ndarray | None:
    """Return which pixels are padding, of the shape of the frame; None if none is."""
    limits = padding_range(dataset, frame.dtype)
    if limits is None:
        return None
    padded = frame == limits[0] if limits[0] == limits[1] else (frame >= limits[0]) & (frame <= limits[1])
    return padded if padded.any() else None


class Padding:
    """Keeps padding as it is while a filter changes the pixels around it.

    The padding of a CT is the same in all slices: where its nearest pixels are is found once.
    """

    def __init__(self) -> None:
        self._padded: np.ndarray | None = None
        self._nearest: np.ndarray | None = None

    def kept(
        self, dataset: Dataset, frame: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Return the changed frame with its padding; what is changed has the nearest pixel in the place of padding."""
        padded = is_padding(dataset, frame)
        if padded is None:
            return change(frame)
        if padded.all():
            return frame
        return np.where(padded, frame, change(frame[tuple(self._indices(padded))]))

    def _indices(self, padded: np.ndarray) -> np.ndarray:
        from scipy import ndimage

        if self._padded is None or not np.array_equal(self._padded, padded):
            self._padded = padded
            self._nearest = ndimage.distance_transform_edt(padded, return_distances=False, return_indices=True)
        return self._nearest
