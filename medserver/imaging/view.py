"""From the pixels of an image to those that are shown: displayed area, rotation, flip, scale.

References
----------
PS3.3 C.10.4, PS3.3 C.10.6, PS3.3 C.7.6.3.1.7, PS3.4 N.2.3.3
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.extra import need_pillow
from medserver.imaging.functional_groups import functional_group
from medserver.imaging.options import Interpolation, Rendering
from medserver.imaging.presentation_states import applicable_items
from medserver.imaging.values import integer, number, numbers, text, value_of

PIXELS_MAX = 1 << 29
LENGTH_MAX = 65535

_ROTATIONS = (0, 90, 180, 270)
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of pixels, which may lie beyond the image.

    Parameters
    ----------
    top, left, bottom, right : int
        Edges, in pixels from those of the image; the last row is the one before `bottom`.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.bottom - self.top

    @property
    def columns(self) -> int:
        """The number of columns."""
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class View:
    """What is shown, and how large.

    Parameters
    ----------
    area : Area
        What of the image.
    rotation : int
        Clockwise, in degrees: 0, 90, 180 or 270.
    is_flipped : bool
        Whether left and right are exchanged after that.
    rows, columns : int
        Of the result.
    """

    area: Area
    rotation: int
    is_flipped: bool
    rows: int
    columns: int

    def apply(self, pixels: np.ndarray, interpolation: Interpolation) -> np.ndarray:
        """Return the pixels that are shown; those beyond the image are 0.

        Parameters
        ----------
        pixels : ndarray, shape (rows, columns) or (rows, columns, 3), uint8 or uint16
            Those of the image.
        interpolation : str
            How they are scaled.
        """
        turned = np.rot90(_cut(pixels, self.area), -self.rotation // 90)
        if self.is_flipped:
            turned = turned[:, ::-1]
        return np.ascontiguousarray(_resized(turned, self.rows, self.columns, interpolation))

    def position(self, column: float, row: float) -> tuple[float, float]:
        """Return where a point of the image is shown.

        Parameters
        ----------
        column, row : float
            From the top left corner of the image's first pixel; the center of that is (0.5, 0.5).

        Returns
        -------
        tuple of float, (column, row)
            From the top left corner of the result.
        """
        x, y = (column - self.area.left) / self.area.columns, (row - self.area.top) / self.area.rows
        x, y = {0: (x, y), 90: (1 - y, x), 180: (1 - x, 1 - y), 270: (y, 1 - x)}[self.rotation]
        return (1 - x if self.is_flipped else x) * self.columns, y * self.rows


def view_of(dataset: Dataset, frame_index: int, shape: tuple[int, ...], options: Rendering) -> View:
    """Return what a presentation state shows of an image, without one all, in the size that is asked for.

    Parameters
    ----------
    dataset : Dataset
        The image.
    frame_index : int
        From 0.
    shape : tuple of int, (rows, columns, ...)
        Of its pixels.
    options : Rendering
        What is asked for.

    Raises
    ------
    CannotRender
        The area or the size is empty or huge, the rotation is no right angle, or a number is none.
    """
    state = options.presentation_state
    area, aspect, magnification, rotation, is_flipped = Area(0, 0, *shape[:2]), None, 1.0, 0, False
    if state is not None:
        rotation = integer(state, "ImageRotation", 0) % 360
        is_flipped = text(state, "ImageHorizontalFlip") == "Y"
        shown = next(iter(applicable_items(state, "DisplayedAreaSelectionSequence", dataset, frame_index)), None)
        if shown is not None:
            is_tiled = value_of(dataset, "TotalPixelMatrixColumns") is not None  # highdicom says VOLUME of all images
            if is_tiled and text(shown, "PixelOriginInterpretation") == "VOLUME":
                raise CannotRender("a Displayed Area of the Total Pixel Matrix is not followed")
            area = _displayed_area(shown)
            aspect = _ratio(shown, ("PresentationPixelSpacing", "PresentationPixelAspectRatio"))
            if text(shown, "PresentationSizeMode") == "MAGNIFY":
                magnification = number(shown, "PresentationPixelMagnificationRatio", 1.0)
    if rotation not in _ROTATIONS:
        raise CannotRender(f"Image Rotation is {rotation}, and no right angle")
    _check_size(area.rows, area.columns)
    if aspect is None:
        aspect = pixel_aspect_ratio(dataset, frame_index)
    height, width = area.rows * magnification, area.columns * magnification
    if options.square_pixels:
        height, width = height * max(aspect, 1.0), width * max(1 / aspect, 1.0)
    if rotation % 180:
        height, width = width, height
    if options.size is not None:
        scale = min(options.size[0] / height, options.size[1] / width)
        height, width = height * scale, width * scale
    rows, columns = max(round(height), 1), max(round(width), 1)
    _check_size(rows, columns)
    return View(area, rotation, is_flipped, rows, columns)


def pixel_aspect_ratio(dataset: Dataset, frame_index: int) -> float:
    """Return the height of a pixel of an image by its width, 1 if nothing says it.

    Raises
    ------
    CannotRender
        A number is none.
    """
    return _ratio(functional_group(dataset, frame_index, "PixelMeasuresSequence"), _SPACINGS) or 1.0


def _ratio(source: Dataset, keywords: tuple[str, ...]) -> float | None:
    """Return vertical by horizontal, of the first attribute that has two numbers above 0."""
    for keyword in keywords:
        pair = numbers(source, keyword)
        if len(pair) >= 2 and min(pair[:2]) > 0:
            ratio = pair[0] / pair[1]
            return 1.0 if abs(ratio - 1) < 1e-4 else ratio
    return None


def _displayed_area(item: Dataset) -> Area:
    """Return the area between two pixels, of which the first is shown top left: rotated, it may have the last row."""
    corners = numbers(item, "DisplayedAreaTopLeftHandCorner"), numbers(item, "DisplayedAreaBottomRightHandCorner")
    if any(len(corner) != 2 for corner in corners):
        raise CannotRender("a Displayed Area without its two corners")
    (left, right), (top, bottom) = (sorted(map(int, pair)) for pair in zip(*corners, strict=True))
    return Area(top - 1, left - 1, bottom, right)


def _check_size(rows: int, columns: int) -> None:
    if not (0 < rows <= LENGTH_MAX and 0 < columns <= LENGTH_MAX and rows * columns <= PIXELS_MAX):
        raise CannotRender(f"{rows} rows and {columns} columns are too many to be shown")


def _cut(pixels: np.ndarray, area: Area) -> np.ndarray:
    """Return the pixels of an area."""
    rows, columns = pixels.shape[:2]
    if area == Area(0, 0, rows, columns):
        return pixels
    cut = np.zeros((area.rows, area.columns, *pixels.shape[2:]), pixels.dtype)
    top, left = max(area.top, 0), max(area.left, 0)
    part = pixels[top : max(area.bottom, 0), left : max(area.right, 0)]
    cut[top - area.top : top - area.top + part.shape[0], left - area.left : left - area.left + part.shape[1]] = part
    return cut


def _resized(pixels: np.ndarray, rows: int, columns: int, interpolation: Interpolation) -> np.ndarray:
    if pixels.shape[:2] == (rows, columns):
        return pixels
    need_pillow("scaling")
    from PIL import Image

    resampling = {
        "nearest": Image.Resampling.NEAREST,
        "linear": Image.Resampling.BILINEAR,
        "cubic": Image.Resampling.BICUBIC,
    }[interpolation]
    contiguous = np.ascontiguousarray(pixels)
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(contiguous).resize((columns, rows), resampling))
    planes = contiguous[..., np.newaxis] if pixels.ndim == 2 else contiguous
    scaled = [  # Pillow scales no colours of 16 bits
        np.asarray(Image.fromarray(planes[..., index].astype(np.float32)).resize((columns, rows), resampling))
        for index in range(planes.shape[2])
    ]
    rounded = np.clip(np.rint(np.stack(scaled, axis=2)), 0, 0xFFFF).astype(np.uint16)
    return rounded[..., 0] if pixels.ndim == 2 else rounded
