"""What every output is handed in the tests: a page of one image, and what is gathered of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

from medserver.printing.film import Film, ImageBox, ReceivedImage
from medserver.printing.images import RAW, GatheredImage
from medserver.printing.pages import Page
from medserver.printing.pdf import write_pdf
from medserver.printing.printers.printer import Handover

PIXELS = bytes(range(200)) * 3
IMAGE = ReceivedImage("1", 20, 30)


@contextmanager
def handover(name: str = "1.2.3", film: Film | None = None, copies: int = 1) -> Iterator[Handover]:
    """Give a film as it is handed over."""
    film = film or Film(boxes=(ImageBox(1, IMAGE),))
    gathered = tuple(GatheredImage(box.image_box_position, RAW, 0, 600, 20, 30) for box in film.boxes)
    with tempfile.TemporaryFile() as file:
        file.write(PIXELS)
        file.flush()

        @contextmanager
        def _image_boxes(
            film: Film, bits_max: int, is_colour: bool
        ) -> Iterator[tuple[IO[bytes], tuple[GatheredImage, ...]]]:
            del film, bits_max, is_colour
            yield file, gathered

        yield Handover(name, film, datetime.now(UTC), copies, "MED", "label", gathered, file, _document, _image_boxes)


@contextmanager
def _document() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        write_pdf(Page(355.6, 431.8, 0, (), ()), file, title="1.2.3")
        file.flush()
        file.seek(0)
        yield file
