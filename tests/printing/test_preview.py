"""Previews: a page as a picture, made by a worker process; and what such a process refuses."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from medserver.errors import BadUsage, CannotRender
from medserver.printing.document import page_document, page_preview
from medserver.printing.film import Film, ImageBox, PresentationLut, ReceivedImage
from medserver.printing.images import RAW, GatheredImage
from tests.printing.conftest import Shop


def previewed(shop: Shop, film: Film, content: bytes, images: Sequence[GatheredImage], dpi: float = 72.0) -> np.ndarray:
    """Return how a film looks."""
    printer = shop.node.config.current.printer("FILM")
    assert printer is not None
    with (shop.folder / "images").open("w+b") as file:
        file.write(content)
        file.flush()
        with page_preview(shop.node, film, file, images, printer, dpi) as picture:
            return np.asarray(Image.open(io.BytesIO(picture.read())))


def test_a_page_as_a_picture(shop: Shop) -> None:
    film = Film(film_size_id="8INX10IN", boxes=(ImageBox(1, ReceivedImage("1", 2, 2)),), magnification_type="REPLICATE")
    picture = previewed(shop, film, bytes([0, 80, 160, 240]), [GatheredImage(1, RAW, 0, 4, 2, 2)])
    assert picture.shape == (720, 576, 3)
    assert [int(picture[y, x, 0]) for y in (250, 470) for x in (150, 430)] == [0, 80, 160, 240]


@pytest.mark.parametrize("dpi", [0, 9.9, 301, float("nan")])
def test_pictures_that_are_too_large(shop: Shop, dpi: float) -> None:
    with pytest.raises(BadUsage):
        previewed(shop, Film(), b"", [], dpi)


HOSTILE = {
    "an image that is shorter than it says": (Film(), GatheredImage(1, RAW, 0, 4, 2_000, 2_000)),
    "an image of no rows": (Film(), GatheredImage(1, RAW, 0, 4, 0, 2)),
    "a layout that is none": (Film("STANDARD\\99,99"), GatheredImage(1, RAW, 0, 4, 2, 2)),
    "a film size that is none": (Film(film_size_id="99INX99IN"), GatheredImage(1, RAW, 0, 4, 2, 2)),
    "a table of no bits": (Film(presentation_lut=PresentationLut("", 0, 3, (1,))), GatheredImage(1, RAW, 0, 4, 2, 2)),
    "light that is none": (Film(illumination=0), GatheredImage(1, RAW, 0, 4, 2, 2)),
    "pixels that are no pixels": (Film(), GatheredImage(1, RAW, 0, 4, 1, 4, pixel_aspect_ratio=(0, 1))),
    "a density that is none": (Film(border_density="GREY"), GatheredImage(1, RAW, 0, 4, 2, 2)),
}


@pytest.mark.parametrize(("film", "image"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_refused(shop: Shop, film: Film, image: GatheredImage) -> None:
    """As a film that cannot be composed: its printer has no part in it, and the worker process lives."""
    boxes = (ImageBox(1, ReceivedImage("1", image.rows, image.columns)),)
    asked = Film(**{name: getattr(film, name) for name in film.__slots__ if name != "boxes"}, boxes=boxes)
    with pytest.raises(CannotRender):
        previewed(shop, asked, bytes(4), [image])


def test_an_image_that_is_too_large(shop: Shop) -> None:
    """20,000 x 20,000 of 16 bits is not even read."""
    side = 20_000
    film = Film(boxes=(ImageBox(1, ReceivedImage("1", side, side, bits_stored=12)),))
    printer = shop.node.config.current.printer("FILM")
    assert printer is not None
    image = GatheredImage(1, RAW, 0, side * side * 2, side, side, bits=12)
    with (shop.folder / "images").open("w+b") as file:
        file.truncate(side * side * 2)  # a hole
        with pytest.raises(CannotRender, match="too large"), page_document(shop.node, film, file, [image], printer, ""):
            pass
