"""A film becomes a page: each image in the size in which it is printed, as driving levels of the printer.

The order of PS3.3 C.13.5: pixels, Photometric Interpretation, Polarity, Presentation LUT, P-values, density. An image
is made as large as fits into its box (this is our "optimal filling"), in its proportions, and lies in the middle of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from medserver.errors import CannotRender
from medserver.printing.colour import to_srgb
from medserver.printing.density import (
    Viewing,
    level_of_density,
    level_table,
    nominal_curve,
    p_values,
    viewing_of,
    viewing_within,
)
from medserver.printing.film import Film, ImageBox, PresentationLut
from medserver.printing.layout import Rectangle, boxes_of, sheet_size_mm
from medserver.printing.pages import Page, PlacedFill, PlacedImage
from medserver.printing.sheet import bands_of, contrasting, scale_bar, texts_of

MM_PER_INCH = 25.4
PAGE_PIXELS_MAX = 90_000_000
"""A page of more, such as 14 x 17 inch at more than 600 dpi, is made of larger pixels; its geometry is the same."""

TOLERANCE_MM = 0.05
"""By which an image may be larger than its box."""

TRIM_MM = 0.3
"""How wide the line around an image is."""


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
    icc_profile : bytes
        Of colours; empty: they are sRGB.
    """

    pixels: np.ndarray
    bits: int = 8
    pixel_aspect_ratio: tuple[float, float] = (1.0, 1.0)
    spacing_mm: tuple[float, float] | None = None
    icc_profile: bytes = b""


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
    printed_at : str
        When that is, as the sheet says it; empty: it says nothing.
    """

    name: str
    default_film_size_id: str = "14INX17IN"
    resolution_dpi: int = 300
    is_colour: bool = True
    viewing: Viewing | None = None
    curve: np.ndarray | None = None
    printed_at: str = ""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What all images of a film have in common.

    Parameters
    ----------
    film : Film
        The film.
    press : Press
        What it is printed on.
    viewing : Viewing
        The light, and the densities of the medium.
    curve : ndarray, shape (256,), float
        The density of each driving level, measured or nominal.
    pixel_mm : float
        The side of a pixel.
    tables : dict
        Tables of driving levels that were made: images of a film mostly have the same one.
    """

    film: Film
    press: Press
    viewing: Viewing
    curve: np.ndarray
    pixel_mm: float
    tables: dict[tuple[int, str, Viewing], np.ndarray] = field(default_factory=dict)

    def levels(self, bits: int, lut: PresentationLut, viewing: Viewing) -> np.ndarray:
        """Return the driving level of each value behind the Presentation LUT."""
        key = bits, lut.shape, viewing
        if key not in self.tables:
            self.tables[key] = level_table(bits, lut, viewing, self.curve)
        return self.tables[key]


@dataclass(frozen=True, slots=True)
class _Sized:
    """An image in the size in which it is printed.

    Parameters
    ----------
    pixels : ndarray
        Its pixels.
    width_mm, height_mm : float
        Its size.
    note : str
        What is to be said of that on the sheet; empty: nothing.
    """

    pixels: np.ndarray
    width_mm: float
    height_mm: float
    note: str = ""


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
    sheet = _sheet(film, press, width_mm * height_mm)
    border = level_of_density(film.border_density, sheet.curve)
    empty = level_of_density(film.empty_image_density, sheet.curve)
    boxes = {box.image_box_position: box for box in film.boxes}
    placed: list[PlacedImage] = []
    fills: list[PlacedFill] = []
    notes: list[str] = []
    for position, rectangle in enumerate(boxes_of(film.image_display_format, width_mm, height_mm), start=1):
        box = boxes.get(position)
        if box is None or position not in images:
            if empty != border:
                fills.append(_filled(rectangle, empty))
            continue
        image, remarks = _placed(sheet, box, images[position], rectangle)
        placed.append(image)
        notes += remarks
        if film.trim == "YES":
            fills.append(_frame(image, contrasting(border)))
    true_size = [box.image_box_position for box in film.boxes if _is_true_size(box, images)]
    bar, label = scale_bar(true_size, len(placed), width_mm, height_mm, border)
    texts = texts_of(film, press, width_mm, height_mm, border, notes)
    bands = bands_of(film, press, width_mm, height_mm, border)
    texts = (*texts, *(text for band in bands for text in band.texts))
    fills += [band.fill for band in bands]
    return Page(width_mm, height_mm, border, tuple(placed), (*texts, *label), (*fills, *bar))


def _sheet(film: Film, press: Press, area_mm2: float) -> _Sheet:
    """Return what all images of a film have in common: what it says of light goes before what the medium has."""
    medium = viewing_of(film.medium_type, press.viewing)
    light = {"illumination": film.illumination, "ambient": film.reflected_ambient_light}
    viewing = replace(medium, **{name: float(value) for name, value in light.items() if value is not None})
    curve = nominal_curve(medium) if press.curve is None else press.curve
    pixel_mm = max(MM_PER_INCH / press.resolution_dpi, math.sqrt(area_mm2 / PAGE_PIXELS_MAX))
    return _Sheet(film, press, viewing, curve, pixel_mm)


def _is_true_size(box: ImageBox, images: Mapping[int, SourceImage]) -> bool:
    image = images.get(box.image_box_position)
    return box.is_true_size and image is not None and image.spacing_mm is not None


def _filled(rectangle: Rectangle, level: int) -> PlacedFill:
    return PlacedFill(rectangle.left_mm, rectangle.top_mm, rectangle.width_mm, rectangle.height_mm, level)


def _frame(image: PlacedImage, level: int) -> PlacedFill:
    """Return what is behind an image and seen around it (Trim, PS3.3 C.13.3)."""
    wider = 2 * TRIM_MM
    left, top = image.left_mm - TRIM_MM, image.top_mm - TRIM_MM
    return PlacedFill(left, top, image.width_mm + wider, image.height_mm + wider, level)


def _placed(sheet: _Sheet, box: ImageBox, image: SourceImage, rectangle: Rectangle) -> tuple[PlacedImage, list[str]]:
    """Return an image where it lies in its box, and what is to be said of it."""
    sized = _sized(sheet, box, image, rectangle)
    levels, note = _levels(sheet, box, sized.pixels, image)
    left = rectangle.left_mm + (rectangle.width_mm - sized.width_mm) / 2
    top = rectangle.top_mm + (rectangle.height_mm - sized.height_mm) / 2
    notes = [f"image {box.image_box_position} {each}" for each in (sized.note, note) if each]
    return PlacedImage(left, top, sized.width_mm, sized.height_mm, levels), notes


def _sized(sheet: _Sheet, box: ImageBox, image: SourceImage, rectangle: Rectangle) -> _Sized:
    """Return an image in the size in which it is printed."""
    rows, columns = image.pixels.shape[:2]
    magnification = box.magnification_type or sheet.film.magnification_type
    vertical, horizontal = image.pixel_aspect_ratio
    if not (min(rows, columns) > 0 and vertical > 0 and horizontal > 0):
        raise CannotRender(f"image {box.image_box_position} has no size")
    proportion = rows * vertical / (columns * horizontal)  # of height to width
    note = ""
    if box.is_true_size and image.spacing_mm is not None:
        width_mm, height_mm = columns * image.spacing_mm[1], rows * image.spacing_mm[0]
    elif box.requested_image_size_mm is not None:
        width_mm = box.requested_image_size_mm
        height_mm = width_mm * proportion
    elif magnification == "NONE":
        width_mm, height_mm = columns * sheet.pixel_mm * horizontal / vertical, rows * sheet.pixel_mm
    else:
        width_mm = min(rectangle.width_mm, rectangle.height_mm / proportion)
        height_mm = width_mm * proportion
    if box.is_true_size and image.spacing_mm is None:
        note = "not in true size: its size is not known"
    sized = _Sized(image.pixels, width_mm, height_mm, note)
    if not (0 < width_mm < math.inf and 0 < height_mm < math.inf):
        raise CannotRender(f"image {box.image_box_position} cannot be {width_mm:.4g} x {height_mm:.4g} mm large")
    if width_mm > rectangle.width_mm + TOLERANCE_MM or height_mm > rectangle.height_mm + TOLERANCE_MM:
        sized = _fitted(box, sized, rectangle)
    height, width = (max(round(side / sheet.pixel_mm), 1) for side in (sized.height_mm, sized.width_mm))
    return replace(sized, pixels=_resized(sized.pixels, (height, width), magnification))


def _fitted(box: ImageBox, sized: _Sized, rectangle: Rectangle) -> _Sized:
    """Return what is printed of an image that is larger than its box (PS3.3 C.13.5, PS3.4 H.4.3)."""
    pixels, width_mm, height_mm = sized.pixels, sized.width_mm, sized.height_mm
    if box.requested_decimate_crop_behavior == "FAIL":
        raise CannotRender(f"image {box.image_box_position} is larger than its box")
    if box.requested_decimate_crop_behavior == "CROP" or box.is_true_size:
        (top, rows, shown_height), (left, columns, shown_width) = (
            _cropped(pixels.shape[0], height_mm, rectangle.height_mm),
            _cropped(pixels.shape[1], width_mm, rectangle.width_mm),
        )
        kept = pixels[top : top + rows, left : left + columns]
        return _Sized(kept, shown_width, shown_height, "cropped: it is larger than its place")
    scale = min(rectangle.width_mm / width_mm, rectangle.height_mm / height_mm)
    return _Sized(pixels, width_mm * scale, height_mm * scale, "smaller than asked for: there is no room")


def _cropped(count: int, length_mm: float, room_mm: float) -> tuple[int, int, float]:
    """Return the first of the rows or columns that are kept, the middle ones, their number, and their length [mm]."""
    if length_mm <= room_mm:
        return 0, count, length_mm
    kept = max(int(count * room_mm / length_mm), 1)
    return (count - kept) // 2, kept, min(kept * length_mm / count, room_mm)


def _resized(pixels: np.ndarray, size: tuple[int, int], magnification_type: str) -> np.ndarray:
    """Return pixels of another size (rows, columns)."""
    if pixels.shape[:2] == size:
        return pixels
    from PIL import Image

    resampling = {"REPLICATE": Image.Resampling.NEAREST, "NONE": Image.Resampling.NEAREST,
                  "BILINEAR": Image.Resampling.BILINEAR}.get(magnification_type, Image.Resampling.BICUBIC)  # fmt: skip
    contiguous = np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint8 or resampling == Image.Resampling.NEAREST:
        return np.asarray(Image.fromarray(contiguous).resize(size[::-1], resampling))
    greatest = int(pixels.max(initial=0))
    scaled = np.array(Image.fromarray(contiguous.astype(np.float32)).resize(size[::-1], resampling))
    np.rint(scaled, out=scaled)
    return np.clip(scaled, 0, greatest, out=scaled).astype(np.uint16)


def _levels(sheet: _Sheet, box: ImageBox, pixels: np.ndarray, image: SourceImage) -> tuple[np.ndarray, str]:
    """Return the driving levels of an image, and what is to be said of that."""
    if pixels.ndim == 3:
        converted, note = to_srgb(pixels, image.icc_profile)
        shown = 255 - converted if box.polarity == "REVERSE" else converted
        return (shown if sheet.press.is_colour else _gray(shown)), note
    bits, film = image.bits, sheet.film
    if film.is_in_driving_levels:
        return pixels.astype(np.uint8), ""
    lut = box.presentation_lut or film.presentation_lut
    density_min, density_max = (
        None if value is None else value / 100
        for value in (
            film.min_density if box.min_density is None else box.min_density,
            film.max_density if box.max_density is None else box.max_density,
        )
    )
    viewing = viewing_within(sheet.viewing, sheet.curve, density_min, density_max)
    reversed_or_not = (1 << bits) - 1 - pixels if box.polarity == "REVERSE" else pixels
    values, value_bits = p_values(reversed_or_not, bits, lut)
    return sheet.levels(value_bits, lut, viewing)[values], ""


def _gray(rgb: np.ndarray) -> np.ndarray:
    """Return the gray of colours, on a printer without them (luminance of ITU-R BT.601)."""
    return np.rint(rgb @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.uint8)
