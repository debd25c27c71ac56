"""From values of the modality to what is visible: windows, and tables. What is returned goes from 0 to 1.

References
----------
PS3.3 C.11.2, PS3.3 C.11.8, PS3.3 C.7.6.16.2.10
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.gray.lut import Lut, lut_of
from medserver.imaging.gray.modality import Stage
from medserver.imaging.options import FUNCTIONS, StoredLut, StoredWindow, Window
from medserver.imaging.values import items, numbers, text

_EXPONENT_MAX = 700.0


def window_stage(window: Window) -> Stage:
    """Return the function that a window is.

    Raises
    ------
    CannotRender
        Its width is too small, a number is not finite, or the function is none of the standard's.
    """
    center, width = window.center, window.width
    if not (np.isfinite(center) and np.isfinite(width)):
        raise CannotRender("a window of numbers that are not finite")
    if window.function == "LINEAR":
        if width < 1:
            raise CannotRender(f"the width of a window is {width:g}, and less than 1")
        return lambda values: _linear(values, center - 0.5, width - 1)
    if width <= 0:
        raise CannotRender(f"the width of a window is {width:g}, and not above 0")
    if window.function == "LINEAR_EXACT":
        return lambda values: _linear(values, center, width)
    if window.function == "SIGMOID":
        return lambda values: _sigmoid(values, center, width)
    raise CannotRender(f"VOI LUT Function is {window.function[:20]!r}")


def table_stage(lut: Lut) -> Stage:
    """Return the function that a table of a VOI LUT Sequence is."""
    return lambda values: lut.map(values) / lut.highest


def range_stage(low: float, high: float) -> Stage:
    """Return the function that spreads the values from the lowest to the highest; all is black if they are one."""
    return lambda values: _linear(values, (low + high) / 2, high - low)


def windows_of(source: Dataset) -> tuple[Window, ...]:
    """Return the windows of a data set or item.

    Raises
    ------
    CannotRender
        There are more centers than widths or the other way round, one is not a number, or the function is unknown.
    """
    centers, widths = numbers(source, "WindowCenter"), numbers(source, "WindowWidth")
    if len(centers) != len(widths):
        raise CannotRender(f"there are {len(centers)} values of Window Center and {len(widths)} of Window Width")
    function = text(source, "VOILUTFunction") or "LINEAR"
    if function not in FUNCTIONS:
        raise CannotRender(f"VOI LUT Function is {function[:20]!r}")
    return tuple(Window(center, width, function) for center, width in zip(centers, widths, strict=True))


def stored_stage(source: Dataset, is_signed: bool, wanted: StoredWindow | StoredLut | None = None) -> Stage | None:
    """Return the function that a data set says: a certain one, or the first window, else the first table.

    Parameters
    ----------
    source : Dataset
        Image, item of a functional group, or item of a Softcopy VOI LUT Sequence.
    is_signed : bool
        Whether the values of the modality can be negative.
    wanted : StoredWindow or StoredLut, optional
        Which.

    Returns
    -------
    callable or None
        None if there is none and none in particular is wanted.

    Raises
    ------
    CannotRender
        There is none of that number, or it cannot be used.
    """
    if not isinstance(wanted, StoredLut):
        windows = windows_of(source)
        if isinstance(wanted, StoredWindow):
            return window_stage(_numbered(windows, wanted.number, "window"))
        usable = [window for window in windows if window.width >= (1 if window.function == "LINEAR" else 1e-12)]
        if usable or windows:
            return window_stage((usable or windows)[0])
    tables = items(source, "VOILUTSequence")
    if wanted is None and not tables:
        return None
    number = wanted.number if isinstance(wanted, StoredLut) else 1
    return table_stage(lut_of(_numbered(tables, number, "VOI LUT"), is_signed))


def _numbered(found: tuple, number: int, name: str):
    if not 1 <= number <= len(found):
        raise CannotRender(f"there is no {name} {number}: the image has {len(found)}")
    return found[number - 1]


def _linear(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Return 0 up to `center - width / 2`, 1 beyond `center + width / 2`, and a line between (PS3.3 C.11.2.1.2.1)."""
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _sigmoid(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """Return the sigmoid of PS3.3 C.11.2.1.3.1."""
    exponent = np.clip(-4 * (values - center) / width, -_EXPONENT_MAX, _EXPONENT_MAX)
    return 1 / (1 + np.exp(exponent))
