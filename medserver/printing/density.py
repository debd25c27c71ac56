"""From P-values to optical densities, and from these to the driving levels of a printer.

The density that a P-value is to have follows from the Grayscale Standard Display Function and from how the sheet is
looked at. What level gives it, the characteristics curve of the printer says: it was measured. A printer without a
curve is taken for one whose levels are P-values.

References
----------
PS3.3 C.11.4, PS3.3 C.13.3, PS3.14 7.3, PS3.14 D.2.2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medserver.errors import CannotRender
from medserver.imaging.gsdf import densities
from medserver.printing.film import PresentationLut

LEVELS = 256
"""Driving levels of a printer: 0 is the darkest."""

LEVEL_DTYPE = np.uint8


@dataclass(frozen=True, slots=True)
class Viewing:
    """How a sheet is looked at, and what densities it has.

    Parameters
    ----------
    density_min, density_max : float
        Of what is lightest and darkest [OD].
    illumination, ambient : float
        Luminance of the light box, or of white paper, and of reflected ambient light [cd/m2].
    """

    density_min: float
    density_max: float
    illumination: float
    ambient: float


FILM_VIEWING = Viewing(0.20, 3.00, 2000.0, 10.0)
PAPER_VIEWING = Viewing(0.05, 2.00, 150.0, 0.0)
"""Without anything else (PS3.3 C.13.3: Illumination and Reflected Ambient Light, defaults of PS3.4 H.4.2)."""


def viewing_of(medium_type: str, viewing: Viewing | None = None) -> Viewing:
    """Return how a medium is looked at; `viewing` is what is known of the printer."""
    return viewing or (PAPER_VIEWING if medium_type == "PAPER" else FILM_VIEWING)


def p_values(pixels: np.ndarray, bits: int, lut: PresentationLut) -> tuple[np.ndarray, int]:
    """Return pixels after a Presentation LUT, and the bits that they have then.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
        Gray values, 0 is the darkest.
    bits : int
        Those that are used.
    lut : PresentationLut
        What they go through; shapes leave them as they are.

    Raises
    ------
    CannotRender
        The table is empty, or its bits are none.
    """
    if not lut.table:
        return pixels, bits
    if not 8 <= lut.bits <= 16:
        raise CannotRender(f"a Presentation LUT of {lut.bits} bits")
    table = np.asarray(lut.table, np.uint16)
    index = np.clip(np.arange(1 << bits, dtype=np.int64) - lut.first_value, 0, len(table) - 1)
    return table[index][pixels], lut.bits


def density_of(bits: int, lut: PresentationLut, viewing: Viewing) -> np.ndarray:
    """Return the density of each value behind the Presentation LUT [OD].

    Returns
    -------
    ndarray, shape (2 ** bits,), float
        That of 0 first, which is the greatest.
    """
    count = 1 << bits
    if lut.shape == "LIN OD":
        return np.linspace(viewing.density_max, viewing.density_min, count)
    return densities(count, viewing.density_min, viewing.density_max, viewing.illumination, viewing.ambient)


def levels_of(wanted: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Return the driving level whose density comes next to each of some densities.

    Parameters
    ----------
    wanted : ndarray, shape (n,), float
        Densities [OD].
    curve : ndarray, shape (256,), float
        The density of each driving level; it falls.

    Returns
    -------
    ndarray, shape (n,), uint8
    """
    rising = curve[::-1]
    after = np.clip(np.searchsorted(rising, wanted), 1, len(rising) - 1)
    nearer_before = wanted - rising[after - 1] <= rising[after] - wanted
    return (LEVELS - 1 - np.where(nearer_before, after - 1, after)).astype(LEVEL_DTYPE)


def nominal_curve(viewing: Viewing) -> np.ndarray:
    """Return the curve of a printer that nobody has measured: its levels are P-values.

    Returns
    -------
    ndarray, shape (256,), float
        Density of each driving level [OD].
    """
    return density_of(8, PresentationLut(), viewing)


def level_table(bits: int, lut: PresentationLut, viewing: Viewing, curve: np.ndarray | None) -> np.ndarray:
    """Return the driving level of each value behind the Presentation LUT.

    Parameters
    ----------
    bits : int
        Of the values.
    lut : PresentationLut
        Its shape decides.
    viewing : Viewing
        How the sheet is looked at.
    curve : ndarray, shape (256,), float, or None
        The measured density of each driving level; None: nobody has measured it.

    Returns
    -------
    ndarray, shape (2 ** bits,), uint8
    """
    wanted = density_of(bits, lut, viewing)
    return levels_of(wanted, nominal_curve(viewing) if curve is None else curve)


def level_of_density(text: str, viewing: Viewing, curve: np.ndarray | None) -> int:
    """Return the driving level of Border Density or Empty Image Density.

    Parameters
    ----------
    text : str
        BLACK, WHITE, or hundredths of optical density.
    """
    if text in ("", "BLACK", "WHITE"):
        return LEVELS - 1 if text == "WHITE" else 0
    known = nominal_curve(viewing) if curve is None else curve
    return int(levels_of(np.array([float(text) / 100]), known)[0])
