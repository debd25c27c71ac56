"""The Grayscale Standard Display Function, against numbers of PS3.14 and against DCMTK's dcmdspfn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medserver.errors import CannotRender
from medserver.imaging.gsdf import densities, driving_levels, jnd_of, luminance_of, luminances
from tests.peers import requires
from tests.peers.process import run

# PS3.14 table B-1
TABLE = {1: 0.0500, 2: 0.0547, 3: 0.0594, 512: 130.0652, 1023: 3993.4040}


@pytest.mark.parametrize("jnd", TABLE)
def test_the_luminance_of_an_index(jnd: int) -> None:
    assert luminance_of(jnd) == pytest.approx(TABLE[jnd], rel=2e-3)


def test_there_and_back() -> None:
    indices = np.linspace(1.5, 1022.5, 5000)
    assert np.abs(jnd_of(luminance_of(indices)) - indices).max() < 1e-6


def curve(folder: Path, *options: str | Path) -> np.ndarray:
    """Return the columns that dcmdspfn writes, without the first."""
    run(["dcmdspfn", *options, "+Og", folder / "curve.txt"]).check()
    lines = [line.split("\t") for line in (folder / "curve.txt").read_text().splitlines() if line[:1].isdigit()]
    return np.array(lines, float)[:, 1:]


@pytest.mark.parametrize("count", [256, 4096])
@pytest.mark.parametrize("device", [(0.2, 3.0, 2000, 10), (0.05, 2.0, 150, 0.5), (0.3, 2.5, 4000, 1)])
def test_densities_as_dcmtk_has_them(device: tuple[float, ...], count: int, tmp_path: Path) -> None:
    requires("dcmtk")
    least, greatest, illumination, ambient = device
    options = ["+Io", str(least), str(greatest), "+Ci", str(illumination), "+Ca", str(ambient), "+Cd", str(count)]
    theirs = -np.log10((curve(tmp_path, *options)[:, 0] - ambient) / illumination)
    assert np.abs(densities(count, least, greatest, illumination, ambient) - theirs).max() < 0.005


def test_the_levels_of_a_monitor_as_dcmtk_has_them(tmp_path: Path) -> None:
    requires("dcmtk")
    measured = 0.05 + 300 * (np.arange(256) / 255) ** 2.2
    lines = [f"{level} {luminance:.6f}" for level, luminance in enumerate(measured)]
    (tmp_path / "monitor.lut").write_text("max 255\namb 1.0\n" + "\n".join(lines) + "\n")
    theirs = curve(tmp_path, "+Im", tmp_path / "monitor.lut")
    wanted, shown = theirs[:, 1], theirs[:, 2]
    assert np.abs(luminances(256, 1.05, 301.05) / wanted - 1).max() < 1e-3
    ours = (measured + 1)[driving_levels(256, measured + 1)]
    # Where two levels are about as near, the choice differs: no luminance is farther from the wanted one than theirs.
    assert (np.abs(ours - wanted) <= np.abs(shown - wanted) + 0.002 * wanted).all()
    assert (ours == pytest.approx(shown, rel=1e-4)) or np.mean(np.abs(ours - shown) < 1e-3) > 0.95


def test_film_and_paper() -> None:
    places = [0, 64, 128, 192, 255]
    assert densities(256, 0.2, 3.0, 2000, 10)[places] == pytest.approx([3.0, 1.699, 1.122, 0.642, 0.2], abs=2e-3)
    assert densities(256, 0.05, 2.0, 150, 0)[places] == pytest.approx([2.0, 1.280, 0.793, 0.397, 0.05], abs=2e-3)


def test_levels_of_a_device_that_is_as_the_function_wants_it() -> None:
    assert driving_levels(256, luminances(256, 0.5, 400)).tolist() == list(range(256))
    assert driving_levels(5, [1.0, 400.0]).tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "measured", [[5.0, 4.0], [1.0], [0.001, 100.0], [1.0, 5000.0], [7.0, 7.0], [float("nan"), 1.0]]
)
def test_devices_that_cannot_be(measured: list[float]) -> None:
    with pytest.raises(CannotRender):
        driving_levels(256, measured)
