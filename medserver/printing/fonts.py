"""Letters on a sheet: which font of the machine has them, and in which order they are drawn.

A font is embedded into the PDF, so that a printer needs none. That takes TrueType outlines, which is why the list is
not the one of `imaging.graphics.fonts`. Arabic letters are drawn in the forms that they have in a word, and what is
written from right to left in that order; the PDF says the text itself beside what is drawn (see `pdf`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reportlab.pdfbase.ttfonts import TTFont

FILES = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
)
"""Where Debian's fonts-dejavu-core, fonts-ipafont-gothic (Japanese), fonts-droid-fallback (Chinese, Japanese),
fonts-wqy-microhei, fonts-nanum, fonts-noto-core and fonts-liberation are; the first that has a letter is taken."""

ALWAYS_THERE = "Vera.ttf"
"""Comes with reportlab, has the letters of Western Europe."""

NO_LETTER = "\u25a1"
"""Drawn for a letter that no font has: a box. Without that letter, a question mark."""

_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN"))

_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]"
_READ_FROM_THE_RIGHT = re.compile(rf"{_LETTER}(?:(?:{_LETTER}|[\d.'’־-]| (?! ))*{_LETTER})?")
"""Words of Hebrew, Arabic and the like and what is between them; brackets, commas and two spaces part fields."""


@dataclass(frozen=True, slots=True)
class Run:
    """Letters that are drawn with one font.

    Parameters
    ----------
    font : str
        Its name for reportlab, registered there.
    text : str
        From left to right.
    """

    font: str
    text: str


def runs_of(text: str) -> tuple[Run, ...]:
    """Return how a line is drawn, from left to right.

    Parameters
    ----------
    text : str
        As it is read; a letter that no font has becomes a box.
    """
    fonts = _fonts()
    first = fonts[0]
    drawn = from_left_to_right(cleaned(text))
    runs: list[Run] = []
    for is_in_first, letters in groupby(drawn, lambda letter: _has(first, letter)):
        part = "".join(letters)
        if is_in_first:
            runs.append(Run(first.fontName, part))
        else:
            runs.extend(_runs_of_others(part, fonts))
    return tuple(runs)


def file_of(font: str) -> str:
    """Return the file of the font of a run."""
    from reportlab.pdfbase.pdfmetrics import getFont

    return str(getFont(font).face.filename)


def length_of(text: str) -> float:
    """Return how long a line is, in sizes of the font."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    return sum(stringWidth(run.text, run.font, 1.0) for run in runs_of(text))


def missing_letters(text: str) -> str:
    """Return the letters of a text that no font has, each once."""
    fonts = _fonts()
    drawn = from_left_to_right(cleaned(text))
    return "".join(dict.fromkeys(letter for letter in drawn if not any(_has(font, letter) for font in fonts)))


def cleaned(text: str) -> str:
    """Return a text as one line: what is no letter, sign or space is a space."""
    return "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text).strip()


def from_left_to_right(text: str) -> str:
    """Return the letters of a line in the order and form in which they are seen, from left to right."""
    if not any(unicodedata.bidirectional(letter) in _RIGHT_TO_LEFT for letter in text):
        return text
    from bidi import get_display

    shaped = str(_shaper().reshape(text))
    if not any(unicodedata.bidirectional(letter) == "L" for letter in text) and "  " not in text:
        return str(get_display(shaped))
    # A line of a sheet is made of fields: a number belongs to its own, and does not change places with another one.
    return _READ_FROM_THE_RIGHT.sub(lambda found: str(get_display(found[0])), shaped)


@lru_cache(maxsize=1)
def _shaper():  # noqa: ANN202 - a type of a library that has none
    from arabic_reshaper import ArabicReshaper

    # Marks stay where they are. Of ligatures only lam with alef, which must be; few fonts have those of whole words.
    return ArabicReshaper(configuration={"delete_harakat": False, "ARABIC LIGATURE ALLAH": False})


def _runs_of_others(part: str, fonts: tuple[TTFont, ...]) -> Iterator[Run]:
    """Give the runs of letters that the first font lacks: in one font where one has them all."""
    whole = next((font for font in fonts[1:] if all(_has(font, letter) for letter in part)), None)
    if whole is not None:
        yield Run(whole.fontName, part)
        return
    for letter in part:
        font = next((font for font in fonts[1:] if _has(font, letter)), None)
        box = NO_LETTER if _has(fonts[0], NO_LETTER) else "?"
        yield Run(fonts[0].fontName, box) if font is None else Run(font.fontName, letter)


def _has(font: TTFont, letter: str) -> bool:
    return ord(letter) in font.face.charToGlyph


@lru_cache(maxsize=1)
def _fonts() -> tuple[TTFont, ...]:
    """Return the fonts of this machine, read once in a process."""
    return tuple(_font(file) for file in FILES if Path(file).exists()) or (_font(ALWAYS_THERE),)


def _font(file: str) -> TTFont:
    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.pdfbase.ttfonts import TTFont

    font = TTFont(Path(file).stem, file)
    registerFont(font)
    return font
