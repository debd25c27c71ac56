"""Reduction of noise, a frame at a time: Gaussian, median, non-local means, total variation.

The filters work on stored values: all of them commute with a linear Modality LUT, so that window, rescale slope and
units stay right.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import ndimage

from medserver.errors import UnusableParameters
from medserver.processing.codes import GAUSSIAN_BLUR, SMOOTHING, Code
from medserver.processing.pixels.frames import Filter, filter_frames
from medserver.processing.pixels.gaussian import gaussian
from medserver.processing.pixels.results import Derivation
from medserver.processing.task import Task

_MAD_OF_NORMAL = 0.6744897501960817
"""The median absolute deviation of a normal distribution with standard deviation 1."""


def denoise(task: Task) -> None:
    """Write each image with less noise."""
    smooth, derivation = _method(task)
    filter_frames(task, lambda image: smooth, derivation)


def noise_of(frame: np.ndarray) -> float:
    """Estimate the standard deviation of the noise in a frame, by the median of its finest diagonal Haar wavelets.

    Where all four pixels are the same (air that was cut off, masks) there is nothing to be learned.

    References
    ----------
    D. L. Donoho, I. M. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81 (1994)
    """
    rows, columns = (side // 2 * 2 for side in frame.shape)
    whole = frame[:rows, :columns].astype(np.float32)
    details = (whole[::2, ::2] - whole[1::2, ::2] - whole[::2, 1::2] + whole[1::2, 1::2]) / 2
    details = np.abs(details[details != 0])
    return float(np.median(details)) / _MAD_OF_NORMAL if details.size else 0.0


def _method(task: Task) -> tuple[Filter, Derivation]:
    """Return the filter that the parameters ask for, and what is said of it."""
    values, method = task.parameters, task.parameters["method"]
    for name in ("size", "patch"):
        if not values[name] % 2:
            raise UnusableParameters(f"{name} is {values[name]}, and no odd number")
    if method == "gaussian":
        sigma = values["sigma"]
        codes: tuple[Code, ...] = (SMOOTHING, GAUSSIAN_BLUR)
        what = f"Gaussian, sigma {sigma:g} pixels"
        return partial(_gaussian, sigma=sigma), _derivation(what, f"Gauss {sigma:g}", codes)
    if method == "median":
        size = values["size"]
        return partial(_median, size=size), _derivation(f"median, {size} x {size} pixels", f"median {size}")
    strength = values["strength"]
    if method == "nl-means":
        patch, distance = values["patch"], values["distance"]
        what = f"non-local means, {strength:g} times the noise, patches of {patch} pixels within {distance}"
        smooth = partial(_non_local_means, strength=strength, patch=patch, distance=distance)
        return smooth, _derivation(what, f"NLM {strength:g}")
    what = f"total variation, {strength:g} times the noise"
    return partial(_total_variation, strength=strength), _derivation(what, f"TV {strength:g}")


def _derivation(what: str, label: str, codes: tuple[Code, ...] = (SMOOTHING,)) -> Derivation:
    return Derivation(f"Reduction of noise: {what}", codes, f"denoised {label}")


def _gaussian(frame: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian(frame, sigma)


def _median(frame: np.ndarray, size: int) -> np.ndarray:
    if size == 3 and min(frame.shape) > 1:
        return _median_of_nine(frame)
    return ndimage.median_filter(frame, size, mode="nearest")


_EXCHANGES = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3), (5, 8), (4, 7), (3, 6), (1, 4),
    (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip
"""The network of comparisons after which the median of nine is the fifth."""


def _median_of_nine(frame: np.ndarray) -> np.ndarray:
    """Return the median of 3 x 3 pixels: whole planes are compared, ten times as fast as pixel after pixel.

    References
    ----------
    J. L. Smith, "Implementing median filters in XC4000E FPGAs", Xcell 23 (1996)
    """
    around = np.pad(frame, 1, mode="edge")
    rows, columns = frame.shape
    planes = [around[row : row + rows, column : column + columns] for row in range(3) for column in range(3)]
    for low, high in _EXCHANGES:
        planes[low], planes[high] = np.minimum(planes[low], planes[high]), np.maximum(planes[low], planes[high])
    return planes[4]


def _non_local_means(frame: np.ndarray, strength: float, patch: int, distance: int) -> np.ndarray:
    from skimage.restoration import denoise_nl_means

    noise = noise_of(frame)
    if not noise:
        return frame
    return denoise_nl_means(
        frame.astype(np.float32), patch, distance, h=strength * noise, sigma=noise, fast_mode=True, preserve_range=True
    )


def _total_variation(frame: np.ndarray, strength: float) -> np.ndarray:
    from skimage.restoration import denoise_tv_chambolle

    noise = noise_of(frame)
    if not noise:
        return frame
    return denoise_tv_chambolle(frame.astype(np.float32), weight=strength * noise)
