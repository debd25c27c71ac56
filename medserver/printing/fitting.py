"""Whether an image of a Print SCU fits into its image box, and what becomes of it if it does not.

References
----------
PS3.3 C.13.5, PS3.4 H.4.3.1.2.1.3
"""

from __future__ import annotations

from medserver.config import Printer
from medserver.errors import ImageTooLarge, InvalidAttributeValue
from medserver.printing.attributes import text_of
from medserver.printing.instances import FilmBoxInstance, ImageBoxInstance
from medserver.printing.layout import boxes_of, sheet_size_mm
from medserver.printing.remarks import Remark
from medserver.workitems.content import value

MM_PER_INCH = 25.4
DECIMATE, CROP, FAIL = "DECIMATE", "CROP", "FAIL"
SIZE_MIN_MM, SIZE_MAX_MM = 0.1, 10_000.0


def misfit_of(printer: Printer, film_box: FilmBoxInstance, box: ImageBoxInstance) -> Remark | None:
    """Return what becomes of an image that is larger than its box, None if it is not.

    Raises
    ------
    ImageTooLarge
        It must not become anything.
    """
    size_mm = _wanted_mm(printer, film_box, box)
    if size_mm is None:
        return None
    size_id = value(film_box.attributes, "FilmSizeID") or printer.media[0]
    sheet = sheet_size_mm(size_id, value(film_box.attributes, "FilmOrientation"))
    rectangle = boxes_of(display_format(film_box), *sheet)[box.position - 1]
    pixel_mm = MM_PER_INCH / printer.resolution_dpi
    if size_mm[0] <= rectangle.width_mm + pixel_mm and size_mm[1] <= rectangle.height_mm + pixel_mm:
        return None
    behavior = value(box.attributes, "RequestedDecimateCropBehavior")
    if behavior == CROP:
        return Remark.CROPPED
    if behavior == FAIL or _magnification(film_box, box) == "NONE":
        raise ImageTooLarge(f"the image is larger than image box {box.position}")
    return Remark.DECIMATED if behavior == DECIMATE else Remark.DEMAGNIFIED


def display_format(film_box: FilmBoxInstance) -> str:
    """Return the Image Display Format of a film box."""
    return text_of(film_box.attributes, "ImageDisplayFormat")


def requested_size_mm(attributes: dict) -> float | None:
    """Return the Requested Image Size of an image box, None if it has none.

    Raises
    ------
    InvalidAttributeValue
        It is no width.
    """
    text = value(attributes, "RequestedImageSize")
    if not text:
        return None
    try:
        size_mm = float(text)
    except ValueError:
        size_mm = 0.0
    if not SIZE_MIN_MM <= size_mm <= SIZE_MAX_MM:
        raise InvalidAttributeValue(f"RequestedImageSize {text[:20]!r} is no width in mm")
    return size_mm


def _magnification(film_box: FilmBoxInstance, box: ImageBoxInstance) -> str:
    return value(box.attributes, "MagnificationType") or value(film_box.attributes, "MagnificationType")


def _wanted_mm(printer: Printer, film_box: FilmBoxInstance, box: ImageBoxInstance) -> tuple[float, float] | None:
    """Return the width and height that an image is to have; None: as large as fits."""
    image = box.image
    assert image is not None
    pixel_mm = MM_PER_INCH / printer.resolution_dpi
    vertical, horizontal = image.pixel_aspect_ratio
    width_mm = requested_size_mm(box.attributes)
    if width_mm is not None:
        return width_mm, width_mm * image.rows * vertical / (image.columns * horizontal)
    if _magnification(film_box, box) == "NONE":
        return image.columns * pixel_mm, image.rows * pixel_mm
    return None
