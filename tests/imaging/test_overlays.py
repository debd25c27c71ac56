"""Overlay planes."""

from __future__ import annotations

import numpy as np
import pytest

from medserver.errors import CannotRender
from medserver.imaging import Rendering, render
from tests.imaging.images import add_overlay, image

BLANK = np.full((5, 6), 50, "u1")


def drawn(dataset, frame_index: int = 0) -> list[tuple[int, int]]:
    """Return row and column of the pixels that are white."""
    pixels = render(dataset, frame_index).pixels
    return [tuple(map(int, place)) for place in np.argwhere(pixels == 255)]


def test_an_overlay_is_white_whatever_the_polarity() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1, 2] = mask[4, 5] = True
    for photometric_interpretation in ("MONOCHROME2", "MONOCHROME1"):
        dataset = image(BLANK, photometric_interpretation)
        add_overlay(dataset, mask)
        assert drawn(dataset) == [(1, 2), (4, 5)]
    assert (render(dataset, 0, Rendering(overlays=False)).pixels == 205).all()
    assert (render(dataset, 0, Rendering(bits=16)).pixels[mask] == 65535).all()


@pytest.mark.parametrize(
    ("origin", "places"),
    [((1, 1), [(0, 0), (1, 1)]), ((4, 6), [(3, 5)]), ((0, 0), [(0, 0)]), ((-5, 1), []), ((6, 1), [])],
)
def test_the_origin_of_an_overlay(origin: tuple[int, int], places: list[tuple[int, int]]) -> None:
    dataset = image(BLANK)
    add_overlay(dataset, np.eye(2, dtype=bool), origin=origin)
    assert drawn(dataset) == places


def test_an_overlay_of_some_frames() -> None:
    dataset = image(np.stack([BLANK] * 4))
    masks = np.zeros((2, 5, 6), bool)
    masks[0, 0, 0] = masks[1, 4, 5] = True
    add_overlay(dataset, masks, frame_origin=2)
    assert [drawn(dataset, index) for index in range(4)] == [[], [(0, 0)], [(4, 5)], []]


def test_an_overlay_without_frames_is_for_all() -> None:
    dataset = image(np.stack([BLANK] * 2))
    add_overlay(dataset, np.eye(2, dtype=bool))
    assert [drawn(dataset, index) for index in range(2)] == [[(0, 0), (1, 1)]] * 2


def test_a_region_of_interest_is_an_outline() -> None:
    mask = np.zeros((5, 6), bool)
    mask[0:4, 1:5] = True
    dataset = image(BLANK)
    add_overlay(dataset, mask, kind="R")
    inside = {(1, 2), (1, 3), (2, 2), (2, 3)}
    assert set(drawn(dataset)) == {(int(r), int(c)) for r, c in np.argwhere(mask)} - inside


def test_overlays_over_colours() -> None:
    dataset = image(np.full((2, 2, 3), 9, "u1"), "RGB")
    add_overlay(dataset, np.eye(2, dtype=bool))
    assert render(dataset).pixels.tolist() == [[[255] * 3, [9] * 3], [[9] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("element", "vr", "value", "complaint"),
    [
        (0x0010, "US", 6000, "shorter"),
        (0x0011, "US", 0, "0 columns"),
        (0x3000, "OW", b"\0\0", "shorter"),
        (0x0050, "SS", [-32768, 32767], ""),
    ],
)
def test_an_overlay_that_lies(element: int, vr: str, value: object, complaint: str) -> None:
    dataset = image(BLANK)
    add_overlay(dataset, np.ones((5, 6), bool))
    dataset.add_new((0x6000, element), vr, value)
    if not complaint:
        assert drawn(dataset) == []
        return
    with pytest.raises(CannotRender, match=complaint):
        render(dataset)


def test_an_overlay_in_a_bit_that_is_none() -> None:
    dataset = image(BLANK)
    dataset.add_new((0x6000, 0x0010), "US", 5)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    with pytest.raises(CannotRender, match="bit 12"):
        render(dataset)
