"""Fonts: the one that Pillow brings, which has the letters of ASCII, and those of the machine for all others."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

SIZE_MIN, SIZE_MAX = 8, 200

FILES = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/opentype/ipafont-gothic/ipag.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
)
"""Where Debian's fonts-dejavu-core, fonts-noto-core, fonts-liberation, fonts-noto-cjk, fonts-ipafont-gothic,
fonts-wqy-microhei and fonts-nanum are."""

_NO_CHARACTER = "\uffff"
_SIZE = 16


@lru_cache(maxsize=64)
def font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font that has the letters of a text; if none has them all, the one that lacks the fewest.

    Parameters
    ----------
    text : str
        What is to be written.
    size : int
        Height in pixels.
    """
    letters = {letter for letter in text if not letter.isspace()}
    found = ["", *(file for file in FILES if Path(file).exists())]
    best = min(found, key=lambda file: sum(not _has(file, letter) for letter in letters))
    return _opened(best, min(max(size, SIZE_MIN), SIZE_MAX))


@lru_cache(maxsize=32)
def _opened(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _has(file: str, letter: str) -> bool:
    """Tell whether a font has a letter: it does not look like what the font draws for none."""
    if not file:
        return letter.isascii()
    one = _opened(file, _SIZE)
    drawn, none = one.getmask(letter), one.getmask(_NO_CHARACTER)
    return drawn.size != none.size or bytes(drawn) != bytes(none)
