"""The strip above the first image of a film on an imager: its letters are those of a page."""

from __future__ import annotations

import numpy as np
import pytest

from medserver.printing.strips import LINE_PIXELS_MIN, strip_of
from tests.peers import requires


@pytest.fixture(autouse=True)
def letters() -> None:
    requires("fonts-dejavu", "fonts-droid")


@pytest.mark.parametrize(("one", "another"), [("山田", "太郎"), ("محمد", "أحمد"), ("Иван", "Олег")])
def test_names_in_their_own_letters_are_not_boxes(one: str, another: str) -> None:
    """A font without them draws the same box for all of them."""
    first, second = (strip_of(600, [f"1 of {name}"], []) for name in (one, another))
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_a_number_behind_a_name_that_is_read_from_right_to_left_stays_there() -> None:
    name, alone = (strip_of(600, [], [text]) for text in ("\u05d0\u05d5\u05d5  7", "\u05d0\u05d5\u05d5"))
    width = np.flatnonzero(alone.any(axis=0))[-1] + 1
    assert np.array_equal(name[:, :width], alone[:, :width])
    assert name[:, width:].any()


def test_a_long_line_goes_on_in_the_next_one() -> None:
    strip = strip_of(100, ["possible reprint: this film may have been printed before"], ["name"])
    assert strip.shape[1] == 100
    assert strip.shape[0] % LINE_PIXELS_MIN == 0
    assert strip.shape[0] > 3 * LINE_PIXELS_MIN
    assert strip[0, -1] == 255
    assert strip[-1, -1] == 0
