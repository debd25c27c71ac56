"""A page as a PDF: true size, images without loss, text that can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from medserver.printing.fonts import Run, cleaned, from_left_to_right, runs_of
from medserver.printing.layout import MARGIN_MM
from medserver.printing.pages import Page, PlacedFill, PlacedImage, PlacedText

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

POINTS_PER_MM = 72 / 25.4

CREATOR = "medserver"


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
    canvas.setCreator(CREATOR)
    _gray(canvas, page.background)
    canvas.rect(0, 0, *size, stroke=0, fill=1)
    for fill in page.fills:
        _fill(canvas, fill, size[1])
    for image in page.images:
        _draw(canvas, image, size[1])
    for text in page.texts:
        _write(canvas, text, page)
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


def _fill(canvas: Canvas, fill: PlacedFill, height: float) -> None:
    _gray(canvas, fill.level)
    size = fill.width_mm * POINTS_PER_MM, fill.height_mm * POINTS_PER_MM
    canvas.rect(fill.left_mm * POINTS_PER_MM, height - fill.top_mm * POINTS_PER_MM - size[1], *size, stroke=0, fill=1)


def _write(canvas: Canvas, text: PlacedText, page: Page) -> None:
    """Write a line; where boxes stand for letters that no font has, the text is beside it (ISO 32000 14.9.4)."""
    # What is read from right to left is in the PDF as it is drawn: all readers expect that, and turn it back.
    read, runs = from_left_to_right(cleaned(text.text)), runs_of(text.text)
    if not runs:
        return
    size = _fitting(canvas, runs, text, page) * POINTS_PER_MM
    is_as_read = "".join(run.text for run in runs) == read
    _gray(canvas, text.gray)
    if not is_as_read:
        canvas._code.append(f"/Span <</ActualText <FEFF{read.encode('utf-16-be').hex().upper()}>>> BDC")
    left, baseline = text.left_mm * POINTS_PER_MM, (page.height_mm - text.baseline_mm) * POINTS_PER_MM
    for run in runs:
        canvas.setFont(run.font, size)
        canvas.drawString(left, baseline, run.text)
        left += canvas.stringWidth(run.text, run.font, size)
    if not is_as_read:
        canvas._code.append("EMC")


def _fitting(canvas: Canvas, runs: Sequence[Run], text: PlacedText, page: Page) -> float:
    """Return the size in which a line has room [mm]: no part of a name is left out."""
    room_mm = text.width_max_mm or page.width_mm - text.left_mm - MARGIN_MM
    width_mm = sum(canvas.stringWidth(run.text, run.font, text.size_mm) for run in runs)
    return text.size_mm * min(1.0, room_mm / width_mm) if width_mm else text.size_mm
