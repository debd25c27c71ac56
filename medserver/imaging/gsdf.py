"""The Grayscale Standard Display Function: from P-values to luminance, to optical density, and to driving levels.

What `rendering` gives are P-values. A device whose luminance or density is measured shows them so that equal steps look
equal; one that is not calibrated takes them as its driving levels.

References
----------
PS3.14 7, PS3.14 D.2.2, PS3.14 7.3
"""

from __future__ import annotations

import numpy as np

from medserver.errors import CannotRender

JND_MAX = 1023
"""The last Just-Noticeable Difference index; the first is 1."""

LUMINANCE_MIN, LUMINANCE_MAX = 0.05, 3993.404
"""What the function spans [cd/m2]."""

_NUMERATOR = (-1.3011877, 8.0242636e-2, 1.3646699e-1, -2.5468404e-2, 1.3635334e-3)
_DENOMINATOR = (1.0, -2.5840191e-2, -1.0320229e-1, 2.8745620e-2, -3.1978977e-3, 1.2992634e-4)

_STEPS = 64
_TOLERANCE = 1e-3


def luminance_of(jnd: np.ndarray) -> np.ndarray:
    """Return the luminance of Just-Noticeable Difference indices [cd/m2] (PS3.14 7.1).

    Parameters
    ----------
    jnd : ndarray of float
        From 1 to 1023.
    """
    x = np.log(np.asarray(jnd, np.float64))
    return 10 ** (np.polyval(_NUMERATOR[::-1], x) / np.polyval(_DENOMINATOR[::-1], x))


def jnd_of(luminance: np.ndarray) -> np.ndarray:
    """Return the Just-Noticeable Difference index of luminances [cd/m2].

    The function is inverted by bisection: the polynomial that PS3.14 gives for the inverse is off by up to 0.05 JND.

    Parameters
    ----------
    luminance : ndarray of float
        From 0.05 to 3993.404 cd/m2.

    Raises
    ------
    CannotRender
        A luminance is beyond that.
    """
    wanted = np.asarray(luminance, np.float64)
    if not ((wanted >= LUMINANCE_MIN - _TOLERANCE) & (wanted <= LUMINANCE_MAX + _TOLERANCE)).all():
        raise CannotRender(f"a luminance beyond {LUMINANCE_MIN} to {LUMINANCE_MAX} cd/m2")
    low, high = np.ones_like(wanted), np.full_like(wanted, JND_MAX)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = luminance_of(middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def luminances(count: int, least: float, greatest: float) -> np.ndarray:
    """Return the luminance of each P-value of a device [cd/m2].

    Parameters
    ----------
    count : int
        The number of P-values, such as 256.
    least, greatest : float
        The luminance of the device, with ambient light [cd/m2].

    Returns
    -------
    ndarray, shape (count,), float

    Raises
    ------
    CannotRender
        The function does not go so far, or the range is empty.
    """
    if not least < greatest:
        raise CannotRender("the greatest luminance of a device is not above its least")
    first, last = jnd_of(np.array([least, greatest]))
    return luminance_of(np.linspace(first, last, count))


def densities(count: int, density_min: float, density_max: float, illumination: float, ambient: float) -> np.ndarray:
    """Return the optical density of each P-value of a film (PS3.14 D.2.2) or paper (PS3.14 7.3).

    Parameters
    ----------
    count : int
        The number of P-values.
    density_min, density_max : float
        Of the greatest and of the least P-value.
    illumination, ambient : float
        The luminance of the light box, or of white paper, and that of reflected ambient light [cd/m2].

    Returns
    -------
    ndarray, shape (count,), float
        The darkest first.

    Raises
    ------
    CannotRender
        As for `luminances`.
    """
    darkest, lightest = (ambient + illumination * 10**-density for density in (density_max, density_min))
    return -np.log10((luminances(count, darkest, lightest) - ambient) / illumination)


def driving_levels(count: int, measured: np.ndarray) -> np.ndarray:
    """Return the driving level for each P-value of a device whose luminance was measured.

    Parameters
    ----------
    count : int
        The number of P-values.
    measured : ndarray, shape (levels,), float
        The luminance of each driving level, with ambient light, ascending [cd/m2].

    Returns
    -------
    ndarray, shape (count,), int
        The level whose luminance comes next to the wanted one.

    Raises
    ------
    CannotRender
        The luminances do not ascend, or the function does not go so far.
    """
    known = np.asarray(measured, np.float64)
    if known.ndim != 1 or len(known) < 2 or not (np.diff(known) >= 0).all():
        raise CannotRender("the measured luminances of a device do not ascend")
    wanted = luminances(count, known[0], known[-1])
    after = np.clip(np.searchsorted(known, wanted), 1, len(known) - 1)
    return np.where(wanted - known[after - 1] <= known[after] - wanted, after - 1, after)
