"""A page as a PDF: true size, images without loss, text that can be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from medserver.printing.pages import Page, PlacedImage

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

POINTS_PER_MM = 72 / 25.4


def write_pdf(page: Page, file: BinaryIO, *, title: str = "", subject: str = "") -> None:
    """Write a page as a PDF of one page.

    Parameters
    ----------
    page : Page
        What is written.
    file : binary file
        Where to.
    title, subject : str
        What readers of PDF show.
    """
    from reportlab import rl_config
    from reportlab.pdfgen.canvas import Canvas

    rl_config.useA85 = 0  # binary streams, a quarter shorter
    size = page.width_mm * POINTS_PER_MM, page.height_mm * POINTS_PER_MM
    canvas = Canvas(file, pagesize=size, pageCompression=0, invariant=1)
    canvas.setTitle(title)
    canvas.setSubject(subject)
    canvas.setCreator("medserver")
    _gray(canvas, page.background)
    canvas.rect(0, 0, *size, stroke=0, fill=1)
    for image in page.images:
        _draw(canvas, image, size[1])
    for text in page.texts:
        _gray(canvas, text.gray)
        canvas.setFont(_font(text.text), text.size_mm * POINTS_PER_MM)
        canvas.drawString(text.left_mm * POINTS_PER_MM, size[1] - text.baseline_mm * POINTS_PER_MM, text.text)
    canvas.showPage()
    canvas.save()


def _gray(canvas: Canvas, level: int) -> None:
    canvas.setFillGray(level / 255)


def _draw(canvas: Canvas, image: PlacedImage, height: float) -> None:
    from PIL import Image
    from reportlab.lib.utils import ImageReader

    width, tall = image.width_mm * POINTS_PER_MM, image.height_mm * POINTS_PER_MM
    left, bottom = image.left_mm * POINTS_PER_MM, height - image.top_mm * POINTS_PER_MM - tall
    canvas.drawImage(ImageReader(Image.fromarray(image.pixels)), left, bottom, width, tall)


def _font(text: str) -> str:
    del text
    return "Helvetica"
