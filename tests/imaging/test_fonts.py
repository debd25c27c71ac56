"""Names in other letters than those of ASCII."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medserver.imaging import Rendering, Text, render
from medserver.imaging.graphics import fonts
from tests.imaging.images import image

DEJAVU = fonts.FILES[0]


@pytest.fixture
def dejavu() -> str:
    if not Path(DEJAVU).exists():
        pytest.skip("missing: the Debian package fonts-dejavu-core")
    return DEJAVU


def test_ascii_is_written_with_the_font_that_is_always_there() -> None:
    assert fonts.font("Doe^Jane 1965-01-01", 20).getname() == fonts._opened("", 20).getname()


@pytest.mark.parametrize(
    "name", ["Müller^Jörg", "Šťastný", "Ødegård", "Παπαδόπουλος", "Люксембург", "قباني^لنزار", "37 °C, µ"]
)
def test_a_font_that_has_the_letters_is_taken(dejavu: str, name: str) -> None:
    assert fonts.font(name, 20).path == dejavu
    assert all(fonts._has(dejavu, letter) for letter in name if not letter.isspace())


def test_what_no_font_has_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FILES", ())
    fonts.font.cache_clear()
    dataset = image(np.full((200, 300), 100, "u1"))
    assert (render(dataset, 0, Rendering(texts=(Text("top left", ("山田^太郎",)),))).pixels != 100).any()
    fonts.font.cache_clear()


def test_letters_differ(dejavu: str) -> None:
    dataset = image(np.full((200, 300), 100, "u1"))
    shown = [render(dataset, 0, Rendering(texts=(Text("top left", (name,)),))).pixels for name in ("ЖЖ", "ЩЩ", "ÄÄ")]
    assert not any(np.array_equal(one, other) for index, one in enumerate(shown) for other in shown[:index])


def test_a_letter_that_a_font_does_not_have(dejavu: str) -> None:
    assert not fonts._has(dejavu, "山") and not fonts._has("", "ä")
    assert fonts._has("", "a") and fonts._has(dejavu, "a")


@pytest.mark.parametrize("size", [-5, 0, 10**6])
def test_sizes_have_bounds(size: int) -> None:
    assert fonts.SIZE_MIN <= fonts.font("a", size).size <= fonts.SIZE_MAX
