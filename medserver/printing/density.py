"""From P-values to optical densities, and from these to the driving levels of a printer.

The density that a P-value is to have follows from the Grayscale Standard Display Function and from how the sheet is
looked at. What level gives it, the characteristics curve of the printer says: it was measured. A printer without a
curve is taken for one whose levels are P-values.

References
----------
PS3.3 C.11.4, PS3.3 C.13.3, PS3.14 7.3, PS3.14 D.2.2
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from medserver.errors import CannotRender
from medserver.imaging.gsdf import LUMINANCE_MAX, LUMINANCE_MIN, densities, jnd_of
from medserver.printing.film import PresentationLut

LIN_OD = "LIN OD"
"""The Presentation LUT Shape of values that are densities."""

TABLE_BITS = 12

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


def viewing_within(
    viewing: Viewing, curve: np.ndarray, density_min: float | None = None, density_max: float | None = None
) -> Viewing:
    """Return how a sheet is looked at that a printer makes: with no densities that it does not reach.

    Parameters
    ----------
    viewing : Viewing
        The light.
    curve : ndarray, shape (256,), float
        The density of each driving level of the printer.
    density_min, density_max : float or None
        What is asked for (Min Density, Max Density); None: what the printer has. What it does not reach is what it
        has, and so is a range that is empty.
    """
    least, greatest = float(curve[-1]), float(curve[0])
    lightest = least if density_min is None else min(max(density_min, least), greatest)
    darkest = greatest if density_max is None else min(max(density_max, least), greatest)
    if not lightest < darkest:
        lightest, darkest = least, greatest
    return replace(viewing, density_min=lightest, density_max=darkest)


def p_values(pixels: np.ndarray, bits: int, lut: PresentationLut) -> tuple[np.ndarray, int]:
    """Return pixels after a Presentation LUT, and the bits that they have then.

    A table has an entry for each value from its first on. One that begins at 0 and has not as many entries as there are
    values, such as one of 4096 for pixels of 8 or 16 bits, is for their whole range all the same.

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
        The bits of the table are none.
    """
    if not lut.table:
        return pixels, bits
    if not 8 <= lut.bits <= 16:
        raise CannotRender(f"a Presentation LUT of {lut.bits} bits")
    table = np.minimum(np.asarray(lut.table, np.int64), (1 << lut.bits) - 1).astype(np.uint16)
    greatest = (1 << bits) - 1
    index = np.arange(greatest + 1, dtype=np.int64)
    if lut.first_value == 0 and len(table) != greatest + 1:
        index = (index * (len(table) - 1) * 2 + greatest) // (2 * greatest)
    index = np.clip(index - lut.first_value, 0, len(table) - 1)
    return table[index][pixels], lut.bits


def density_of(bits: int, lut: PresentationLut, viewing: Viewing) -> np.ndarray:
    """Return the density of each value behind the Presentation LUT [OD].

    With LIN OD values are linear optical densities from Min Density to Max Density (PS3.3 C.11.4): equal steps of
    density. That does not say which end 0 is. A Presentation LUT does not alter what Photometric Interpretation and
    Polarity say (PS3.4 H.4.9.1), so the greatest value is the lightest here too; DCMTK shows 0 as Min Density, whatever
    they say.

    Returns
    -------
    ndarray, shape (2 ** bits,), float
        That of 0 first, which is the greatest.
    """
    count = 1 << bits
    if lut.shape == LIN_OD:
        return np.linspace(viewing.density_max, viewing.density_min, count)
    lightest, darkest = _standardised(viewing)
    return densities(count, lightest, darkest, viewing.illumination, viewing.ambient)


def _standardised(viewing: Viewing) -> tuple[float, float]:
    """Return the least and the greatest density whose luminance the standard function spans (0.05 to 3993 cd/m2).

    Raises
    ------
    CannotRender
        There is none.
    """
    illumination, ambient = viewing.illumination, viewing.ambient
    if not (illumination > 0 and 0 <= ambient < LUMINANCE_MAX):
        raise CannotRender(f"illumination {illumination}, reflected ambient light {ambient} cd/m2")
    lightest = max(viewing.density_min, math.log10(illumination / (LUMINANCE_MAX - ambient)))
    darkest = viewing.density_max
    if ambient < LUMINANCE_MIN:
        darkest = min(darkest, math.log10(illumination / (LUMINANCE_MIN - ambient)))
    if not lightest < darkest:
        raise CannotRender(f"illumination {illumination}, reflected ambient light {ambient} cd/m2")
    return lightest, darkest


def linear_table(viewing: Viewing) -> PresentationLut:
    """Return the table that makes P-values of linear densities, for a printer that is not told LIN OD.

    Raises
    ------
    CannotRender
        Nothing is seen in such light.
    """
    lightest, darkest = _standardised(viewing)
    within = replace(viewing, density_min=lightest, density_max=darkest)
    wanted = density_of(TABLE_BITS, PresentationLut(LIN_OD), within)
    indices = jnd_of(within.ambient + within.illumination * 10**-wanted)
    greatest = (1 << TABLE_BITS) - 1
    table = np.rint((indices - indices[0]) / (indices[-1] - indices[0]) * greatest).astype(int)
    return PresentationLut("", 0, TABLE_BITS, tuple(table.tolist()))


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
    """Return the curve of a printer that nobody has measured: its levels are P-values on its medium.

    Returns
    -------
    ndarray, shape (256,), float
        Density of each driving level [OD].
    """
    return density_of(8, PresentationLut(), viewing)


def level_table(bits: int, lut: PresentationLut, viewing: Viewing, curve: np.ndarray) -> np.ndarray:
    """Return the driving level of each value behind the Presentation LUT.

    Parameters
    ----------
    bits : int
        Of the values.
    lut : PresentationLut
        Its shape decides.
    viewing : Viewing
        How the sheet is looked at.
    curve : ndarray, shape (256,), float
        The density of each driving level, measured or nominal.

    Returns
    -------
    ndarray, shape (2 ** bits,), uint8
    """
    return levels_of(density_of(bits, lut, viewing), curve)


def level_of_density(text: str, curve: np.ndarray) -> int:
    """Return the driving level of Border Density or Empty Image Density.

    Parameters
    ----------
    text : str
        BLACK, WHITE, or hundredths of optical density; empty: BLACK.
    curve : ndarray, shape (256,), float
        The density of each driving level, measured or nominal.

    Raises
    ------
    CannotRender
        It is none of these.
    """
    if text in ("", "BLACK", "WHITE"):
        return LEVELS - 1 if text == "WHITE" else 0
    if not text.isdecimal():
        raise CannotRender(f"{text[:20]!r} is no density")
    return int(levels_of(np.array([int(text[:9]) / 100]), curve)[0])
