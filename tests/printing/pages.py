"""Pages as they are seen: rendered by PDFium, or taken apart by Poppler."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pypdfium2

from medserver.printing.composition import Press, SourceImage, compose
from medserver.printing.film import Film, ImageBox, ReceivedImage
from medserver.printing.pages import Page
from medserver.printing.pdf import write_pdf

DPI = 300
PIXEL_MM = 25.4 / DPI
PRESS = Press("FILM", curve=None)


def film_of_boxes(image_display_format: str, count: int, **more: object) -> Film:
    """Return a film with an image in each box."""
    boxes = tuple(ImageBox(position, ReceivedImage(str(position), 1, 1)) for position in range(1, count + 1))
    return Film(image_display_format, boxes=boxes, **more)


def composed(film: Film, image: SourceImage, press: Press = PRESS) -> Page:
    """Return a page that shows one image in all boxes of a film."""
    return compose(film, {box.image_box_position: image for box in film.boxes}, press)


def as_pdf(page: Page) -> bytes:
    """Return a page as a PDF."""
    file = io.BytesIO()
    write_pdf(page, file, title="a film")
    return file.getvalue()


def seen(pdf: bytes, dpi: float = DPI) -> np.ndarray:
    """Return how a page of a PDF looks, in gray."""
    with pypdfium2.PdfDocument(pdf) as document:
        bitmap = document[0].render(scale=dpi / 72, grayscale=True).to_numpy()
        return np.array(bitmap.reshape(bitmap.shape[:2]))


def text_of(pdf: bytes) -> str:
    """Return the text of a page, as PDFium finds it."""
    with pypdfium2.PdfDocument(pdf) as document:
        return document[0].get_textpage().get_text_bounded()


def written(pdf: bytes, folder: Path) -> Path:
    """Write a PDF to a file."""
    path = folder / "page.pdf"
    path.write_bytes(pdf)
    return path
