"""The page of a film as a PDF, or as a picture of it, made by a worker process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from medserver.config import Printer
from medserver.errors import BadUsage
from medserver.node import Node
from medserver.printing.composing import composed
from medserver.printing.curves import curve_of
from medserver.printing.film import Film
from medserver.printing.images import GatheredImage

PREVIEW_DPI_MAX = 300


@contextmanager
def page_document(
    node: Node, film: Film, images_file: IO[bytes], images: Sequence[GatheredImage], printer: Printer, title: str
) -> Iterator[IO[bytes]]:
    """Compose a film and give the PDF, in a file without a name that is at its beginning.

    Parameters
    ----------
    node : Node
        Whose worker processes do it.
    film : Film
        What is printed.
    images_file, images
        As `images.gathered_images` gives them.
    printer : Printer
        On what.
    title : str
        Of the PDF.

    Raises
    ------
    CannotRender, CannotTranscode, OutOfResources
        It cannot be composed.
    """
    with composed(node, "write_page", film, images_file, images, _press(node, printer), title) as (output, _):
        yield output


@contextmanager
def page_preview(
    node: Node, film: Film, images_file: IO[bytes], images: Sequence[GatheredImage], printer: Printer, dpi: float = 72.0
) -> Iterator[IO[bytes]]:
    """Compose a film and give a picture of the page (PNG), in a file without a name that is at its beginning.

    Parameters
    ----------
    node, film, images_file, images, printer
        As for `page_document`.
    dpi : float
        The resolution of the picture.

    Raises
    ------
    CannotRender, CannotTranscode, OutOfResources
        It cannot be composed.
    BadUsage
        The picture would be too large.
    """
    if not 10 <= dpi <= PREVIEW_DPI_MAX:
        raise BadUsage(f"a preview has 10 to {PREVIEW_DPI_MAX} dpi")
    with composed(node, "write_preview", film, images_file, images, _press(node, printer), dpi) as (output, _):
        yield output


def _press(node: Node, printer: Printer) -> dict[str, object]:
    """Return what the worker process has to know of a printer."""
    return {
        "name": printer.name,
        "default_film_size_id": printer.media[0],
        "resolution_dpi": printer.resolution_dpi,
        "is_colour": printer.colour,
        "viewing": None,
        "curve": curve_of(printer),
        "printed_at": f"{node.clock().astimezone():%Y-%m-%d %H:%M}",
    }
