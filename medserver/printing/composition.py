"""A film becomes a page: each image in the size in which it is printed, as driving levels of the printer.

The order of PS3.3 C.13.5: pixels, Photometric Interpretation, Polarity, Presentation LUT, P-values, density. An image
is made as large as fits into its box (this is our "optimal filling"), in its proportions, and lies in the middle of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from medserver.errors import CannotRender
from medserver.printing.density import (
    Viewing,
    level_of_density,
    level_table,
    p_values,
    viewing_of,
)
from medserver.printing.film import Film, ImageBox
from medserver.printing.layout import Rectangle, boxes_of, sheet_size_mm
from medserver.printing.pages import Page, PlacedImage
from medserver.printing.sheet import texts_of

MM_PER_INCH = 25.4
PIXELS_MAX = 1 << 28
"""Of one image on a page."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """What an image box shows.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3), uint8 or uint16
        Gray values, 0 the darkest (what was MONOCHROME1 is reversed before), or red, green and blue of 8 bits.
    bits : int
        Those that are used of a gray value.
    pixel_aspect_ratio : tuple of float, (vertical, horizontal)
        Of a pixel.
    spacing_mm : tuple of float, (row, column), or None
        The distance between rows and between columns in what is shown; None if nobody knows.
    """

    pixels: np.ndarray
    bits: int = 8
    pixel_aspect_ratio: tuple[float, float] = (1.0, 1.0)
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Press:
    """What composition has to know of a printer.

    Parameters
    ----------
    name : str
        Of the printer.
    default_film_size_id : str
        The medium if the film does not say one.
    resolution_dpi : int
        What images are made for.
    is_colour : bool
        Whether it prints colours.
    viewing : Viewing or None
        Densities and light; None: those of the medium.
    curve : ndarray, shape (256,), float, or None
        Its characteristics curve; None: it is not calibrated.
    """

    name: str
    default_film_size_id: str = "14INX17IN"
    resolution_dpi: int = 300
    is_colour: bool = True
    viewing: Viewing | None = None
    curve: np.ndarray | None = None


def compose(film: Film, images: Mapping[int, SourceImage], press: Press) -> Page:
    """Compose a page.

    Parameters
    ----------
    film : Film
        What is to be printed.
    images : mapping of int to SourceImage
        What its image boxes show, by their position.
    press : Press
        On what.

    Raises
    ------
    CannotRender
        An image cannot be shown so.
    InvalidAttributeValue
        The film has a format or size that there is not.
    """
    width_mm, height_mm = sheet_size_mm(film.film_size_id or press.default_film_size_id, film.film_orientation)
    viewing = _viewing(film, press)
    rectangles = boxes_of(film.image_display_format, width_mm, height_mm)
    border = level_of_density(film.border_density, viewing, press.curve)
    empty = level_of_density(film.empty_image_density, viewing, press.curve)
    boxes = {box.image_box_position: box for box in film.boxes}
    placed: list[PlacedImage] = []
    for position, rectangle in enumerate(rectangles, start=1):
        box = boxes.get(position)
        if box is None or position not in images:
            if empty != border:
                placed.append(_filled(rectangle, empty))
            continue
        placed.append(_placed(film, box, images[position], rectangle, press, viewing))
    return Page(width_mm, height_mm, border, tuple(placed), texts_of(film, press, width_mm, height_mm, border))


def _viewing(film: Film, press: Press) -> Viewing:
    """Return the densities and the light of a film: what it says itself goes before what the medium has."""
    viewing = viewing_of(film.medium_type, press.viewing)
    changes = {
        "density_min": None if film.min_density is None else film.min_density / 100,
        "density_max": None if film.max_density is None else film.max_density / 100,
        "illumination": film.illumination,
        "ambient": film.reflected_ambient_light,
    }
    return replace(viewing, **{name: float(value) for name, value in changes.items() if value is not None})


def _filled(rectangle: Rectangle, level: int) -> PlacedImage:
    pixels = np.full((1, 1), level, np.uint8)
    return PlacedImage(rectangle.left_mm, rectangle.top_mm, rectangle.width_mm, rectangle.height_mm, pixels)


def _placed(
    film: Film, box: ImageBox, image: SourceImage, rectangle: Rectangle, press: Press, viewing: Viewing
) -> PlacedImage:
    """Return an image where it lies in its box."""
    pixels, width_mm, height_mm = _sized(film, box, image, rectangle, press)
    levels = _levels(film, box, pixels, image.bits, press, viewing)
    left = rectangle.left_mm + (rectangle.width_mm - width_mm) / 2
    top = rectangle.top_mm + (rectangle.height_mm - height_mm) / 2
    return PlacedImage(left, top, width_mm, height_mm, levels)


def _sized(
    film: Film, box: ImageBox, image: SourceImage, rectangle: Rectangle, press: Press
) -> tuple[np.ndarray, float, float]:
    """Return the pixels of an image in the size in which they are printed, and that size [mm]."""
    pixels = image.pixels
    rows, columns = pixels.shape[:2]
    magnification = box.magnification_type or film.magnification_type
    vertical, horizontal = image.pixel_aspect_ratio
    proportion = rows * vertical / (columns * horizontal)  # of height to width
    pixel_mm = MM_PER_INCH / press.resolution_dpi
    if box.is_true_size and image.spacing_mm is not None:
        width_mm, height_mm = columns * image.spacing_mm[1], rows * image.spacing_mm[0]
    elif box.requested_image_size_mm is not None:
        width_mm = box.requested_image_size_mm
        height_mm = width_mm * proportion
    elif magnification == "NONE":
        width_mm, height_mm = columns * pixel_mm, rows * pixel_mm
    else:
        width_mm = min(rectangle.width_mm, rectangle.height_mm / proportion)
        height_mm = width_mm * proportion
    if width_mm > rectangle.width_mm + pixel_mm or height_mm > rectangle.height_mm + pixel_mm:
        pixels, width_mm, height_mm = _fitted(box, pixels, (width_mm, height_mm), rectangle)
    size = max(round(height_mm / pixel_mm), 1), max(round(width_mm / pixel_mm), 1)
    return _resized(pixels, size, magnification), width_mm, height_mm


def _fitted(
    box: ImageBox, pixels: np.ndarray, size_mm: tuple[float, float], rectangle: Rectangle
) -> tuple[np.ndarray, float, float]:
    """Return what is printed of an image that is larger than its box (PS3.3 C.13.5, PS3.4 H.4.3)."""
    width_mm, height_mm = size_mm
    if box.requested_decimate_crop_behavior == "FAIL":
        raise CannotRender(f"image {box.image_box_position} is larger than its box")
    if box.requested_decimate_crop_behavior == "CROP" or box.is_true_size:
        rows, columns = pixels.shape[:2]
        shown_width, shown_height = min(width_mm, rectangle.width_mm), min(height_mm, rectangle.height_mm)
        kept = max(round(rows * shown_height / height_mm), 1), max(round(columns * shown_width / width_mm), 1)
        top, left = (rows - kept[0]) // 2, (columns - kept[1]) // 2
        return pixels[top : top + kept[0], left : left + kept[1]], shown_width, shown_height
    scale = min(rectangle.width_mm / width_mm, rectangle.height_mm / height_mm)
    return pixels, width_mm * scale, height_mm * scale


def _resized(pixels: np.ndarray, size: tuple[int, int], magnification_type: str) -> np.ndarray:
    """Return pixels of another size (rows, columns)."""
    if size[0] * size[1] > PIXELS_MAX:
        raise CannotRender(f"an image of {size[0]} rows and {size[1]} columns is too large to be printed")
    if pixels.shape[:2] == size:
        return pixels
    from PIL import Image

    resampling = {"REPLICATE": Image.Resampling.NEAREST, "BILINEAR": Image.Resampling.BILINEAR}.get(
        magnification_type, Image.Resampling.BICUBIC
    )
    contiguous = np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(contiguous).resize(size[::-1], resampling))
    scaled = np.asarray(Image.fromarray(contiguous.astype(np.float32)).resize(size[::-1], resampling))
    return np.clip(np.rint(scaled), 0, int(pixels.max(initial=0))).astype(np.uint16)


def _levels(
    film: Film, box: ImageBox, pixels: np.ndarray, bits: int, press: Press, viewing: Viewing
) -> np.ndarray:
    """Return the driving levels of an image."""
    if pixels.ndim == 3:
        shown = 255 - pixels if box.polarity == "REVERSE" else pixels
        return shown if press.is_colour else _gray(shown)
    lut = box.presentation_lut or film.presentation_lut
    own = {
        "density_min": None if box.min_density is None else box.min_density / 100,
        "density_max": None if box.max_density is None else box.max_density / 100,
    }
    viewing = replace(viewing, **{name: value for name, value in own.items() if value is not None})
    reversed_or_not = (1 << bits) - 1 - pixels if box.polarity == "REVERSE" else pixels
    values, value_bits = p_values(reversed_or_not, bits, lut)
    return level_table(value_bits, lut, viewing, press.curve)[values]


def _gray(rgb: np.ndarray) -> np.ndarray:
    """Return the gray of colours, on a printer without them (luminance of ITU-R BT.601)."""
    return np.rint(rgb @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
