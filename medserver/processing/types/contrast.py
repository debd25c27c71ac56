"""More visible contrast in projection radiographs, a frame at a time: multiscale, or CLAHE.

Both work on what is seen, so that the polarity (MONOCHROME1) makes no difference, and give values in the range of those
that were there: windows and VOI LUTs stay right.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy import ndimage

from medserver.processing.codes import CONTRAST_ENHANCEMENT
from medserver.processing.pixels.frames import Filter, filter_frames
from medserver.processing.pixels.images import Image, text_of
from medserver.processing.pixels.results import Derivation
from medserver.processing.pixels.volume import interpolated
from medserver.processing.task import Task
from medserver.processing.types.denoise import noise_of

_LEVELS_MAX = 9
_SIDE_MIN = 8
_NOISE_FACTOR = 2.0
"""Details of less than this many standard deviations of the noise are amplified no more than those of as many."""

_TAIL_PERCENT = 0.5
"""What part of the pixels, at either end, does not count in the range of values."""

_BINS = 1024


def contrast(task: Task) -> None:
    """Write each image with more contrast."""
    values = task.parameters
    if values["method"] == "clahe":
        tiles, clip = values["tiles"], values["clip"]
        enhance: Filter = partial(_clahe, tiles=tiles, clip=clip)
        what, label = f"CLAHE, {tiles} x {tiles} tiles, clip limit {clip:g}", f"CLAHE {clip:g}"
    else:
        strength = values["strength"]
        enhance = partial(multiscale, strength=strength)
        what, label = f"multiscale, strength {strength:g}", f"multiscale {strength:g}"
    derivation = Derivation(f"Contrast enhancement: {what}", (CONTRAST_ENHANCEMENT,), label)
    filter_frames(task, partial(_as_seen, enhance), derivation)


def multiscale(frame: np.ndarray, strength: float) -> np.ndarray:
    """Amplify weak details of all sizes more than strong ones, in a Laplacian pyramid.

    Parameters
    ----------
    frame : ndarray, shape (rows, columns), float32
        What is seen.
    strength : float
        0: nothing changes. 1: a detail of a hundredth of the strongest one becomes ten times as strong beside it.

    References
    ----------
    P. Vuylsteke, E. Schoeters, "Multiscale image contrast amplification (MUSICA)", Proc. SPIE 2167 (1994)
    """
    if not strength or min(frame.shape) < _SIDE_MIN:
        return frame
    details, rest = _decomposed(frame)
    greatest = max(float(np.abs(one).max()) for one in details)
    if not greatest:
        return frame
    least = max(_NOISE_FACTOR * noise_of(frame), 1e-3 * greatest)
    for index in reversed(range(len(details))):
        rest = _expanded(rest, details[index].shape)
        rest += _amplified(details[index], greatest, least, strength / 2)
    return _in_range_of(rest, frame)


def _decomposed(frame: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the details of an image, the finest first, each half as large as the one before, and what remains."""
    details = []
    while len(details) < _LEVELS_MAX and min(frame.shape) >= _SIDE_MIN:
        coarse = ndimage.gaussian_filter(frame, 1.0, mode="nearest")[::2, ::2]
        details.append(frame - _expanded(coarse, frame.shape))
        frame = coarse
    return details, frame


def _expanded(coarse: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    for axis in (0, 1):
        at = np.minimum(np.arange(shape[axis]) / 2, coarse.shape[axis] - 1)
        low = at.astype(int)
        coarse = interpolated(coarse, axis, low, (at - low).astype(np.float32))
    return coarse


def _amplified(details: np.ndarray, greatest: float, least: float, exponent: float) -> np.ndarray:
    """Return details with a gain that falls with their strength: that of `least` below it, 1 at `greatest`."""
    strengths = np.maximum(np.abs(details), least)
    strengths /= greatest
    return details * strengths ** np.float32(-exponent)


def _in_range_of(values: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return values in a range so that nearly all are where they were before."""
    tails = (_TAIL_PERCENT, 100 - _TAIL_PERCENT)
    low, high = np.percentile(values, tails)
    wanted_low, wanted_high = np.percentile(before, tails)
    if high <= low:
        return before
    return ((values - low) * ((wanted_high - wanted_low) / (high - low)) + wanted_low).astype(np.float32)


def _clahe(frame: np.ndarray, tiles: int, clip: float) -> np.ndarray:
    from skimage.exposure import equalize_adapthist

    low, high = float(frame.min()), float(frame.max())
    if low == high:
        return frame
    kernel = [max(-(-side // tiles), 1) for side in frame.shape]
    equalized = equalize_adapthist((frame - low) / (high - low), kernel, clip, _BINS)
    return (equalized * (high - low) + low).astype(np.float32)


def _as_seen(enhance: Filter, image: Image) -> Filter:
    """Return a filter of stored values that works on what is seen: light where the value is high."""
    if text_of(image.dataset, "PhotometricInterpretation") != "MONOCHROME1":
        return lambda frame: enhance(frame.astype(np.float32))
    return lambda frame: -enhance(-frame.astype(np.float32))
