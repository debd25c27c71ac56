"""Calibration: a wedge is printed in driving levels, and what is measured on it becomes the curve of the printer."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from medserver.errors import BadUsage
from medserver.imaging.gsdf import jnd_of
from medserver.printing.calibration import print_wedge, wedge_levels
from medserver.printing.changing import cancel_film, retry_film
from medserver.printing.curves import read_curve
from medserver.printing.density import (
    FILM_VIEWING,
    PAPER_VIEWING,
    Viewing,
    density_of,
    levels_of,
    viewing_within,
)
from medserver.printing.film import Film, ImageBox, PresentationLut, ReceivedImage
from tests.peers import command_line
from tests.printing.conftest import CONFIGURATION, Shop
from tests.printing.pages import seen, text_of

CURVE = CONFIGURATION.replace("folder = films\n", "folder = films\ncurve = film.curve\n")
MEASURED = [3.05, 2.81, 2.6, 2.4, 2.21, 2.03, 1.86, 1.69, 1.53, 1.38, 1.23, 1.09, 0.95, 0.82, 0.68, 0.54, 0.39, 0.21]


@pytest.fixture
def calibrated(make_shop: Callable[..., Shop], tmp_path: Path) -> tuple[Shop, Callable[..., command_line.Invoked]]:
    """Give a node whose first printer has a curve, and ``medserver printer calibrate`` there."""
    shop = make_shop(CURVE)
    return shop, partial(command_line.invoke, "--config", tmp_path / "config.ini", "printer", "calibrate")


def test_a_wedge_is_printed_measured_and_counts(calibrated: tuple) -> None:
    shop, calibrate = calibrated
    (shop.folder / "film.curve").write_text("0 2.9\n128 0.9\n255 0.2\n")
    printer = shop.node.config.current.printer("FILM")
    assert printer is not None
    print_wedge(shop.node, printer, 18)
    shop.work()
    [path] = shop.pages()
    sheet = seen(path.read_bytes(), 50)
    rows, columns = (np.linspace(0, 1, 2 * count + 1)[1::2] for count in (6, 3))
    found = [int(sheet[int(y * sheet.shape[0]), int(x * sheet.shape[1])]) for y in rows for x in columns]
    assert found == list(wedge_levels(18))  # driving levels, though the printer has a curve
    assert "0 15 30" in text_of(path.read_bytes())

    told = calibrate("FILM", "--densities", " ".join(map(str, MEASURED)))
    assert told.exit_code == 0 and "0.21 to 3.05 OD" in told.output
    curve = np.array(read_curve(shop.folder / "film.curve"))
    assert curve[wedge_levels(18), ] == pytest.approx(MEASURED)

    box = ImageBox(1, ReceivedImage("1", 20, 30))
    shop.request("1.2.4", Film(boxes=(box,), magnification_type="REPLICATE"))
    shop.work()
    [page] = [each.read_bytes() for each in shop.pages() if each != path]
    assert "not calibrated" not in text_of(page)
    wanted = density_of(8, PresentationLut(), Viewing(0.21, 3.05, FILM_VIEWING.illumination, FILM_VIEWING.ambient))
    shown = seen(page, 72)
    middle = shown[shown.shape[0] // 2, shown.shape[1] // 2]
    assert middle in levels_of(wanted[[28, 29, 58, 59]], curve)  # the four pixels around the middle


def test_a_wedge_is_printed_on_no_other_printer(shop: Shop) -> None:
    """Neither on the substitute nor for somebody who asks: it would calibrate the wrong one."""
    (shop.folder / "films").write_text("no folder: the printer does not print")
    printer, other = map(shop.node.config.current.printer, ("FILM", "PAPER"))
    assert printer is not None
    uid = print_wedge(shop.node, printer, 6)
    shop.request()
    shop.work()
    assert (shop.row().state, shop.row().printed_by) == ("DONE", "PAPER")
    assert (shop.row(uid).state, shop.row(uid).status_info) == ("PENDING", "CHECK PRINTER")
    cancel_film(shop.node, uid)
    with pytest.raises(BadUsage, match="the step wedge of printer FILM, and calibrates no other"):
        retry_film(shop.node, uid, other)
    (shop.folder / "films").unlink()
    retry_film(shop.node, uid)
    shop.work()
    assert (shop.row(uid).state, shop.row(uid).printed_by) == ("DONE", "FILM")


def test_the_command_queues_a_wedge(calibrated: tuple) -> None:
    shop, calibrate = calibrated
    answer = json.loads(calibrate("FILM", "--steps", "6", "--json").output)
    assert answer["levels"] == [0, 51, 102, 153, 204, 255]
    assert shop.row(answer["uid"]).printer == "FILM"
    assert "measure them from left to right" in calibrate("PAPER").output


@pytest.mark.parametrize(
    ("densities", "message"),
    [
        ("1 2", "2 densities"),
        (" ".join(map(str, MEASURED[::-1])), "the density rises from level 0 to level 15"),
        (" ".join(map(str, [*MEASURED[:5], 2.5, *MEASURED[6:]])), "the density rises from level 60 to level 75"),
        ("3 2 1 x 0.5 0.2", "'x' is no optical density"),
        ("3 2 1 nan 0.5 0.2", "'nan' is no optical density"),
        ("300 200 100 80 50 20", "'300' is no optical density"),
        ("1 1 1 1 1 1", "span 0.00 OD only"),
    ],
)
def test_what_cannot_have_been_measured(calibrated: tuple, densities: str, message: str) -> None:
    shop, calibrate = calibrated
    told = calibrate("FILM", "--densities", densities)
    assert told.exit_code != 0 and message in told.output
    assert not list(shop.folder.glob("*film.curve*"))


def test_densities_from_a_file_and_a_curve_elsewhere(calibrated: tuple, tmp_path: Path) -> None:
    _, calibrate = calibrated
    (tmp_path / "measured.txt").write_text("# by hand\n" + "\n".join(f"{each}, # OD" for each in MEASURED))
    assert "give -o FILE" in calibrate("PAPER", "--densities-from", tmp_path / "measured.txt").output
    told = calibrate("PAPER", "--densities-from", tmp_path / "measured.txt", "-o", tmp_path / "paper.curve")
    assert f"curve = {tmp_path / 'paper.curve'}" in told.output
    assert len(read_curve(tmp_path / "paper.curve")) == 256
    assert "no [printer X]" in calibrate("X").output


def test_what_a_paper_printer_prints_after_calibration() -> None:
    """Equal steps of P-values look equal: JND steps within 1 % of the range, by the densities that it really has."""
    curve = 0.06 + 1.83 * (1 - np.arange(256) / 255) ** 0.8
    viewing = viewing_within(PAPER_VIEWING, curve)
    densities = curve[levels_of(density_of(8, PresentationLut(), viewing), curve)]
    indices = jnd_of(viewing.ambient + viewing.illumination * 10**-densities)
    ideal = np.linspace(indices[0], indices[-1], 256)
    assert np.abs(indices - ideal).max() < 0.01 * (ideal[-1] - ideal[0])
