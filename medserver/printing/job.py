"""Compose a page of a film and write it. The job that worker processes do: what peers have sent is read here."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from medserver.errors import CannotRender, MedserverError
from medserver.printing.box_pixels import box_pixels, with_strip, write_pixels
from medserver.printing.composition import Press, SourceImage, compose
from medserver.printing.film import Film, film_of
from medserver.printing.pages import Page
from medserver.printing.pdf import write_pdf

PIXELS_MAX = 1 << 27
"""Of an image that is read: what a worker process has memory for."""

POINTS_PER_INCH = 72


def write_page(
    images_descriptor: int, output_descriptor: int, film: str, images: list[dict[str, Any]], press: dict[str, Any],
    title: str,
) -> list[float]:  # fmt: skip
    """Compose a page and write it as a PDF.

    Parameters
    ----------
    images_descriptor, output_descriptor : int
        Open files.
    film : str
        What `Film.as_text` gives.
    images : list of dict
        What `images.GatheredImage.as_json` gives, of each.
    press : dict
        The fields of a `Press`; its curve as a list.
    title : str
        Of the PDF.

    Returns
    -------
    list of float
        Width and height of the page [mm].

    Raises
    ------
    CannotRender
        The film cannot be composed.
    """
    asked, page = _composed(images_descriptor, film, images, press)
    with os.fdopen(output_descriptor, "wb", closefd=False) as output:
        write_pdf(page, output, title=title, subject="; ".join(asked.heading))
    return [page.width_mm, page.height_mm]


def write_preview(
    images_descriptor: int, output_descriptor: int, film: str, images: list[dict[str, Any]], press: dict[str, Any],
    dpi: float,
) -> list[int]:  # fmt: skip
    """Compose a page and write how it looks, as a PNG: what PDFium makes of the PDF.

    Parameters
    ----------
    images_descriptor, output_descriptor, film, images, press
        As for `write_page`.
    dpi : float
        The resolution of the picture.

    Returns
    -------
    list of int
        Rows and columns of the picture.

    Raises
    ------
    CannotRender
        The film cannot be composed.
    """
    import pypdfium2

    _, page = _composed(images_descriptor, film, images, press | {"resolution_dpi": min(dpi, press["resolution_dpi"])})
    content = io.BytesIO()
    write_pdf(page, content)
    with pypdfium2.PdfDocument(content.getvalue()) as document:
        picture = document[0].render(scale=dpi / POINTS_PER_INCH).to_pil()
    with os.fdopen(output_descriptor, "wb", closefd=False) as output:
        picture.convert("RGB").save(output, "PNG")
    return [picture.height, picture.width]


def _composed(
    images_descriptor: int, film: str, images: list[dict[str, Any]], press: dict[str, Any]
) -> tuple[Film, Page]:
    """Return a film and its page.

    Raises
    ------
    CannotRender
        It cannot be composed.
    """
    try:
        asked = film_of(film)
        return asked, compose(asked, read_images(images_descriptor, images), press_of(press))
    except CannotRender:
        raise
    except MedserverError as error:
        raise CannotRender(str(error)) from error


def press_of(values: Mapping[str, Any]) -> Press:
    """Return what `Press` was made a dictionary of, with its curve as a list."""
    curve = values["curve"]
    return Press(**values | {"curve": None if curve is None else np.asarray(curve, np.float64)})


def read_images(descriptor: int, images: list[dict[str, Any]]) -> dict[int, SourceImage]:
    """Read the images of a film.

    Raises
    ------
    CannotRender
        One is not what it is said to be.
    """
    return {each["image_box_position"]: _source_image(descriptor, each) for each in images}


def _source_image(descriptor: int, image: Mapping[str, Any]) -> SourceImage:
    if image["rows"] * image["columns"] > PIXELS_MAX:
        raise CannotRender(
            f"image {image['image_box_position']} of {image['rows']} rows and {image['columns']} columns is too large"
        )
    content = os.pread(descriptor, image["size_bytes"], image["offset"])
    spacing = image["spacing_mm"]
    pixels = _png(content) if image["form"] == "png" else _raw(content, image)
    bits = 16 if pixels.dtype == np.uint16 and image["form"] == "png" else image["bits"]
    profile = os.pread(descriptor, image.get("icc_size_bytes", 0), image.get("icc_offset", 0))
    aspect = tuple(image["pixel_aspect_ratio"])
    return SourceImage(pixels, bits, aspect, None if spacing is None else tuple(spacing), profile)


def _png(content: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        pixels = np.asarray(picture)
    return pixels.astype(np.uint16) if pixels.dtype == np.int32 else pixels


def _raw(content: bytes, image: Mapping[str, Any]) -> np.ndarray:
    """Return the pixels of an image box, 0 the darkest."""
    rows, columns, samples, bits = (image[name] for name in ("rows", "columns", "samples_per_pixel", "bits"))
    dtype = np.dtype(np.uint8 if bits == 8 else "<u2")
    count = rows * columns * samples
    if count <= 0 or len(content) < count * dtype.itemsize:
        raise CannotRender(f"image {image['image_box_position']} has not the size that it is said to have")
    pixels = np.frombuffer(content, dtype, count)
    if samples == 3:
        return pixels.reshape(rows, columns, 3)
    greatest = (1 << bits) - 1
    pixels = np.minimum(pixels, dtype.type(greatest)).reshape(rows, columns)
    return dtype.type(greatest) - pixels if image["is_reversed"] else pixels


def write_image_boxes(
    images_descriptor: int, output_descriptor: int, film: str, images: list[dict[str, Any]], bits_max: int,
    is_colour: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """Write the pixels of the image boxes of a film, as an imager gets them.

    Parameters
    ----------
    images_descriptor, output_descriptor, film, images
        As for `write_page`.
    bits_max, is_colour
        As for `image_boxes.image_boxes`.

    Returns
    -------
    list of dict
        What `images.GatheredImage` is made of, of each.

    Raises
    ------
    CannotRender
        An image is not what it is said to be.
    """
    wanted = film_of(film)
    boxes = {box.image_box_position: box for box in wanted.boxes}
    lines, offset, written = (wanted.warnings, wanted.heading), 0, []
    for each in sorted(images, key=lambda each: each["image_box_position"]):
        position = each["image_box_position"]
        source = _source_image(images_descriptor, each)
        made = with_strip(box_pixels(wanted, boxes[position], source, bits_max, is_colour), *lines)
        lines = ((), ())
        size = write_pixels(output_descriptor, made)
        rows, columns = made.pixels.shape[:2]
        written.append({
            "image_box_position": position, "form": "raw", "offset": offset, "size_bytes": size,
            "rows": rows, "columns": columns, "samples_per_pixel": 3 if made.pixels.ndim == 3 else 1, "bits": made.bits,
            "pixel_aspect_ratio": list(source.pixel_aspect_ratio), "spacing_mm": each["spacing_mm"],
        })  # fmt: skip
        offset += size
    return written
