"""Gray: through a Presentation LUT to densities and driving levels, against DCMTK and against brute force."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from medserver.errors import CannotRender
from medserver.imaging.gsdf import jnd_of
from medserver.printing.composition import Press, SourceImage, compose
from medserver.printing.density import (
    FILM_VIEWING,
    PAPER_VIEWING,
    Viewing,
    density_of,
    level_of_density,
    levels_of,
    nominal_curve,
    p_values,
    viewing_within,
)
from medserver.printing.film import Film, ImageBox, PresentationLut, ReceivedImage
from tests.peers import requires
from tests.peers.process import run
from tests.processing import phantoms

SETS = {
    "film": FILM_VIEWING,
    "paper": Viewing(0.05, 2.00, 150.0, 0.5),
    "bright box": Viewing(0.2, 3.1, 4000.0, 5.0),
    "dark room": Viewing(0.15, 3.5, 1500.0, 1.0),
}
IDENTITY, LIN_OD = PresentationLut(), PresentationLut("LIN OD")
MEASURED = 0.21 + 2.66 * (1 - np.arange(256) / 255) ** 1.4
"""The curve of a printer, as it may be measured."""


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("viewing", SETS.values(), ids=SETS)
def test_densities_as_dcmtk_has_them(viewing: Viewing, bits: int, tmp_path: Path) -> None:
    requires("dcmtk")
    options = ["+Io", str(viewing.density_min), str(viewing.density_max), "+Ci", str(viewing.illumination)]
    options += ["+Ca", str(viewing.ambient), "+Cd", str(1 << bits), "+Og", str(tmp_path / "curve.txt")]
    run(["dcmdspfn", *options]).check()
    lines = [line.split() for line in (tmp_path / "curve.txt").read_text().splitlines() if line[:1].isdigit()]
    theirs = -np.log10((np.array(lines, float)[:, 1] - viewing.ambient) / viewing.illumination)
    assert np.abs(density_of(bits, IDENTITY, viewing) - theirs).max() < 0.005


def test_densities_of_paper_without_ambient_light() -> None:
    """These dcmdspfn does not take: where the function ends is the darkest (here 3.48 OD), not an error."""
    assert density_of(8, IDENTITY, PAPER_VIEWING)[[0, 128, 255]] == pytest.approx([2.0, 0.793, 0.05], abs=2e-3)
    found = density_of(8, IDENTITY, Viewing(0.05, 4.0, 150.0, 0.0))
    assert found[0] == pytest.approx(3.477, abs=1e-3) and found[-1] == pytest.approx(0.05)


def test_linear_optical_density() -> None:
    assert np.diff(density_of(8, LIN_OD, FILM_VIEWING)) == pytest.approx(-2.8 / 255)


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_linear_optical_density_as_dcmtk_has_it(interpretation: str, tmp_path: Path) -> None:
    """The same steps; only that dcm2pnm counts densities from the lightest, whatever Photometric Interpretation says.

    Here it counts: a Presentation LUT does not change what is dark (PS3.4 H.4.9.1).
    """
    requires("dcmtk")
    [one] = phantoms.ct_series(np.zeros((1, 16, 16), np.uint16))
    ramp = phantoms.with_pixels(one, np.arange(256, dtype=np.uint8).reshape(16, 16), 8, interpretation)
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        ramp.pop(keyword, None)
    [file] = phantoms.write(tmp_path, [ramp]).iterdir()
    run(["dcm2pnm", "--lin-od-shape", "+op", file, tmp_path / "shown.pgm"]).check()
    theirs = np.frombuffer((tmp_path / "shown.pgm").read_bytes()[-256:], np.uint8).astype(float)
    indices = jnd_of(FILM_VIEWING.ambient + FILM_VIEWING.illumination * 10 ** -density_of(8, LIN_OD, FILM_VIEWING))
    ours = (indices - indices[0]) / (indices[-1] - indices[0]) * 255
    assert np.abs(theirs[::-1] - ours).max() < 1


def brute_force(value: int, bits: int, lut: PresentationLut, is_reversed: bool, viewing: Viewing) -> float:
    """Return the density that a pixel is to have, step by step as PS3.3 C.13.5 and PS3.14 have them."""
    value = (1 << bits) - 1 - value if is_reversed else value
    if lut.table:
        value = lut.table[max(0, min(value - lut.first_value, len(lut.table) - 1))]
        bits = lut.bits
    part = value / ((1 << bits) - 1)
    if lut.shape == "LIN OD":
        return viewing.density_max + part * (viewing.density_min - viewing.density_max)
    extremes = viewing.density_max, viewing.density_min
    first, last = (jnd(viewing.ambient + viewing.illumination * 10**-each) for each in extremes)
    return float(-np.log10((luminance_at(first + part * (last - first)) - viewing.ambient) / viewing.illumination))


def luminance_at(index: float) -> float:
    """Return the luminance of an index, by the formula of PS3.14 7.1 as it is printed."""
    a, b, c, d, e = -1.3011877, -2.5840191e-2, 8.0242636e-2, -1.0320229e-1, 1.3646699e-1
    f, g, h, k, m = 2.8745620e-2, -2.5468404e-2, -3.1978977e-3, 1.2992634e-4, 1.3635334e-3
    x = np.log(index)
    top, bottom = a + c * x + e * x**2 + g * x**3 + m * x**4, 1 + b * x + d * x**2 + f * x**3 + h * x**4 + k * x**5
    return float(10 ** (top / bottom))


INDICES = np.linspace(1, 1023, 4089)
LUMINANCES = [luminance_at(each) for each in INDICES]


def jnd(luminance: float) -> float:
    """Return the index of a luminance, from a table of four entries an index."""
    return float(np.interp(np.log10(luminance), np.log10(LUMINANCES), INDICES))


def table(entries: int, bits: int, seed: int) -> PresentationLut:
    """Return a table that rises and falls."""
    chance = random.Random(seed)
    return PresentationLut("", 0, bits, tuple(chance.randrange(1 << bits) for _ in range(entries)))


LUTS = {
    "identity": (8, IDENTITY), "identity of 12 bits": (12, IDENTITY), "linear density": (8, LIN_OD),
    "linear density of 12 bits": (12, LIN_OD),
    **{f"{entries} of {bits} bits": (8 if entries == 256 else 12, table(entries, bits, bits))
       for entries, bits in product((256, 4096), (10, 12, 16))},
}  # fmt: skip


@pytest.mark.parametrize("polarity", ["NORMAL", "REVERSE"])
@pytest.mark.parametrize(("bits", "lut"), LUTS.values(), ids=LUTS)
@pytest.mark.parametrize("curve", [None, MEASURED], ids=["nominal", "measured"])
def test_a_page_has_the_densities_that_brute_force_finds(
    curve: np.ndarray | None, bits: int, lut: PresentationLut, polarity: str
) -> None:
    """The level in the page is the one whose density is nearest to the one that is wanted."""
    pixels = np.linspace(0, (1 << bits) - 1, 64).astype(np.uint16 if bits > 8 else np.uint8).reshape(8, 8)
    box = ImageBox(1, ReceivedImage("1", 8, 8), polarity=polarity)
    film = Film(presentation_lut=lut, magnification_type="REPLICATE", boxes=(box,))
    page = compose(film, {1: SourceImage(pixels, bits)}, Press("F", resolution_dpi=50, curve=curve))
    shown = page.images[0].pixels
    side = shown.shape[0] / 8
    middles = ((np.arange(8) + 0.5) * side).astype(int)
    levels = shown[np.ix_(middles, middles)].ravel().tolist()
    known = nominal_curve(FILM_VIEWING) if curve is None else curve
    viewing = FILM_VIEWING if curve is None else Viewing(0.21, 2.87, 2000.0, 10.0)
    for value, level in zip(pixels.ravel().tolist(), levels, strict=True):
        wanted = brute_force(value, bits, lut, polarity == "REVERSE", viewing)
        assert abs(known[level] - wanted) <= np.abs(known - wanted).min() + 1e-3


def test_a_table_of_another_length_is_for_the_whole_range() -> None:
    rising = PresentationLut("", 0, 12, tuple(range(4096)))
    values, bits = p_values(np.array([[0, 32768, 65535]], np.uint16), 16, rising)
    assert (values.tolist(), bits) == ([[0, 2048, 4095]], 12)
    assert p_values(np.array([[0, 255]], np.uint8), 8, rising)[0].tolist() == [[0, 4095]]


def test_entries_beyond_their_bits_are_the_greatest() -> None:
    assert p_values(np.array([[0, 1]], np.uint8), 8, PresentationLut("", 0, 10, (65535,) * 256))[0].max() == 1023
    with pytest.raises(CannotRender):
        p_values(np.array([[0]], np.uint8), 8, PresentationLut("", 0, 7, (1,)))


def test_a_printer_is_asked_for_no_density_that_it_does_not_reach() -> None:
    """All P-values differ on the sheet, though the printer is lighter than 3.00: the range is its own."""
    viewing = viewing_within(FILM_VIEWING, MEASURED)
    assert (viewing.density_min, viewing.density_max) == pytest.approx((0.21, 2.87))
    levels = levels_of(density_of(8, IDENTITY, viewing), MEASURED)
    assert (levels[0], levels[-1]) == (0, 255) and (levels[:8] == 0).sum() < 3
    clipped = viewing_within(FILM_VIEWING, MEASURED, 0.05, 3.6)
    assert (clipped.density_min, clipped.density_max) == pytest.approx((0.21, 2.87))
    asked = viewing_within(FILM_VIEWING, MEASURED, 0.5, 2.5)
    assert (asked.density_min, asked.density_max) == (0.5, 2.5)
    for empty in ((2.0, 1.0), (9.0, 9.5), (1.0, 1.0)):
        assert viewing_within(FILM_VIEWING, MEASURED, *empty).density_max == pytest.approx(2.87)


@pytest.mark.parametrize(("text", "density"), [("150", 1.5), ("020", 0.21), ("999", 2.87), ("0", 0.21)])
def test_borders_have_a_density(text: str, density: float) -> None:
    assert MEASURED[level_of_density(text, MEASURED)] == pytest.approx(density, abs=0.01)


@pytest.mark.parametrize("text", ["nan", "-5", "GREY", "1e9", "1.5"])
def test_borders_of_no_density(text: str) -> None:
    with pytest.raises(CannotRender):
        level_of_density(text, MEASURED)


@pytest.mark.parametrize("light", [(0.0, 10.0), (-1.0, 0.0), (2000.0, 5000.0), (0.001, 0.0)])
def test_light_in_which_nothing_is_seen(light: tuple[float, float]) -> None:
    with pytest.raises(CannotRender):
        density_of(8, IDENTITY, Viewing(0.2, 3.0, *light))
