"""Graphic annotations of a presentation state: text, and points, lines, circles, ellipses.

References
----------
PS3.3 C.10.5
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.graphics.shapes import Point, ellipse, interpolated
from medserver.imaging.graphics.text import coverage_of_text, font_size, printable_lines, text_size
from medserver.imaging.values import items, name_of, numbers, text
from medserver.imaging.view import View

POINTS_MAX = 100_000
_ALIGN = {"LEFT": "left", "CENTER": "center", "RIGHT": "right"}


def annotation_coverage(item: Dataset, view: View) -> np.ndarray:
    """Return how much of each pixel that is shown an item of the Graphic Annotation Sequence covers.

    Parameters
    ----------
    item : Dataset
        The item: graphics and texts of one layer.
    view : View
        How the image is shown: graphics in PIXEL units move with it, those in DISPLAY units lie over it.

    Returns
    -------
    ndarray, shape (rows, columns), uint8

    Raises
    ------
    CannotRender
        A graphic contradicts itself.
    """
    drawing = _Drawing(view)
    for each in items(item, "GraphicObjectSequence"):
        drawing.draw_graphic(each)
    for each in items(item, "TextObjectSequence"):
        drawing.draw_text(each)
    return drawing.coverage


class _Drawing:
    """What one item of the sequence covers."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._image = Image.new("L", (view.columns, view.rows), 0)
        self._canvas = ImageDraw.Draw(self._image)
        self._line = max(round(min(view.rows, view.columns) / 512), 1)

    @property
    def coverage(self) -> np.ndarray:
        return np.asarray(self._image)

    def draw_graphic(self, item: Dataset) -> None:
        """Draw a graphic object (PS3.3 C.10.5.1.2)."""
        kind, is_filled = text(item, "GraphicType"), text(item, "GraphicFilled") == "Y"
        points = self._points(item, "GraphicData", "GraphicAnnotationUnits")
        needed = {"POINT": 1, "POLYLINE": 2, "INTERPOLATED": 2, "CIRCLE": 2, "ELLIPSE": 4}.get(kind)
        if needed is None:
            raise CannotRender(f"Graphic Type is {kind[:20]!r}")
        if len(points) < needed:
            raise CannotRender(f"a graphic {kind} has {len(points)} points")
        if kind == "POINT":
            self._mark(points[0])
        elif kind == "POLYLINE":
            self._stroke(points, is_filled and points[0] == points[-1])
        elif kind == "INTERPOLATED":
            self._stroke(interpolated(points), is_filled and points[0] == points[-1])
        elif kind == "CIRCLE":
            (column, row), edge = points[:2]
            radius = math.dist(points[0], edge)
            self._stroke(ellipse((column, row), (radius, 0), (0, radius)), is_filled)
        else:
            self._stroke(_ellipse_between(points), is_filled)

    def draw_text(self, item: Dataset) -> None:
        """Draw a text object: in its bounding box, else at its anchor point (PS3.3 C.10.5.1.1)."""
        lines = printable_lines(text(item, "UnformattedTextValue"))
        size = font_size(self._view.rows, self._view.columns)
        box = [
            point
            for corner in ("BoundingBoxTopLeftHandCorner", "BoundingBoxBottomRightHandCorner")
            for point in self._points(item, corner, "BoundingBoxAnnotationUnits")
        ]
        anchor = self._points(item, "AnchorPoint", "AnchorPointAnnotationUnits")
        if len(box) == 2:
            left, right = sorted((box[0][0], box[1][0]))
            top, bottom = sorted((box[0][1], box[1][1]))
        elif anchor:
            width, height = text_size(lines, size)
            left, top = anchor[0][0] + size / 2, anchor[0][1] - height / 2
            right, bottom = left + width, top + height
        else:
            raise CannotRender("a text has neither a bounding box nor an anchor point")
        align = _ALIGN.get(text(item, "BoundingBoxTextHorizontalJustification"), "left")
        shape = (self._view.rows, self._view.columns)
        self._add(coverage_of_text(shape, lines, left, top, size, align=align, width=int(right - left)))
        if anchor and len(box) == 2 and text(item, "AnchorPointVisibility") == "Y":
            column, row = anchor[0]
            nearest = min(max(column, left), right), min(max(row, top), bottom)
            self._stroke([nearest, anchor[0]], False)
            self._mark(anchor[0])

    def _points(self, item: Dataset, key: str, units_key: str) -> list[Point]:
        """Return points of an item, where they are shown."""
        values = numbers(item, key)
        if len(values) % 2 or len(values) > 2 * POINTS_MAX:
            raise CannotRender(f"a graphic has {len(values)} numbers for its points")
        pairs = list(zip(values[::2], values[1::2], strict=True))
        units = text(item, units_key)
        if units not in ("PIXEL", "DISPLAY", ""):
            raise CannotRender(f"{name_of(units_key)} is {units[:20]!r}, which is not followed")
        if units == "DISPLAY":
            shown = [(column * self._view.columns, row * self._view.rows) for column, row in pairs]
        else:
            shown = [self._view.position(column, row) for column, row in pairs]
        bound = 4.0 * max(self._view.rows, self._view.columns)
        return [(min(max(column, -bound), bound), min(max(row, -bound), bound)) for column, row in shown]

    def _stroke(self, points: list[Point], is_filled: bool) -> None:
        centers = [(column - 0.5, row - 0.5) for column, row in points]  # Pillow counts from centers of pixels
        if is_filled and len(centers) > 2:
            self._canvas.polygon(centers, fill=255)
        self._canvas.line(centers, fill=255, width=self._line, joint="curve" if self._line > 2 else None)

    def _mark(self, point: Point) -> None:
        column, row = point[0] - 0.5, point[1] - 0.5
        radius = self._line
        self._canvas.ellipse((column - radius, row - radius, column + radius, row + radius), fill=255)

    def _add(self, coverage: np.ndarray) -> None:
        self._image = Image.fromarray(np.maximum(self.coverage, coverage))
        self._canvas = ImageDraw.Draw(self._image)


def _ellipse_between(points: list[Point]) -> list[Point]:
    """Return the ellipse between the ends of its axes: the first two of the major, the others of the minor."""
    (left, top), (right, bottom) = points[:2]
    center = ((left + right) / 2, (top + bottom) / 2)
    major = (right - left) / 2, (bottom - top) / 2
    minor = (points[3][0] - points[2][0]) / 2, (points[3][1] - points[2][1]) / 2
    return ellipse(center, major, minor)
