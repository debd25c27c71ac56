"""Display shutters: what lies outside of them is not shown.

References
----------
PS3.3 C.7.6.11, PS3.3 C.7.6.15, PS3.3 C.7.6.16.2
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.extra import need_pillow
from medserver.imaging.graphics.layers import BLACK, WHITE
from medserver.imaging.graphics.overlays import overlay_plane
from medserver.imaging.pixels import Frame
from medserver.imaging.values import integer, number, numbers, texts

VERTICES_MAX = 100_000


def shutter_mask(source: Dataset, dataset: Dataset, frame_index: int, frame: Frame, aspect: float) -> np.ndarray | None:
    """Return the pixels that the shutters hide; None if there is none.

    Parameters
    ----------
    source : Dataset
        Where the shutters are: presentation state, image or functional group.
    dataset : Dataset
        The image, which may have the overlay of a bitmap shutter.
    frame_index : int
        From 0.
    frame : Frame
        Its cells.
    aspect : float
        The height of a pixel by its width.

    Returns
    -------
    ndarray, shape (rows, columns), bool

    Raises
    ------
    CannotRender
        A shutter contradicts itself.
    """
    shape = frame.cells.shape[:2]
    hidden = None
    for name in texts(source, "ShutterShape"):
        if name == "RECTANGULAR":
            mask = _outside_rectangle(source, shape)
        elif name == "CIRCULAR":
            mask = _outside_circle(source, shape, aspect)
        elif name == "POLYGONAL":
            mask = _outside_polygon(source, shape)
        elif name == "BITMAP":
            mask = _bitmap(source, dataset, frame_index, frame)
        else:
            raise CannotRender(f"Shutter Shape is {name[:20]!r}")
        if mask is not None:
            hidden = mask if hidden is None else hidden | mask
    return hidden


def shutter_gray(source: Dataset) -> int:
    """Return the P-value of 16 bits that is shown in place of what is hidden, black if nothing says it."""
    return min(max(int(number(source, "ShutterPresentationValue", BLACK)), BLACK), WHITE)


def _outside_rectangle(source: Dataset, shape: tuple[int, int]) -> np.ndarray:
    """Hide what is beyond four edges, which are rows and columns that are shown."""
    left, right = integer(source, "ShutterLeftVerticalEdge"), integer(source, "ShutterRightVerticalEdge")
    upper, lower = integer(source, "ShutterUpperHorizontalEdge"), integer(source, "ShutterLowerHorizontalEdge")
    hidden = np.ones(shape, bool)
    hidden[max(upper - 1, 0) : max(lower, 0), max(left - 1, 0) : max(right, 0)] = False
    return hidden


def _outside_circle(source: Dataset, shape: tuple[int, int], aspect: float) -> np.ndarray:
    """Hide what is farther from the center than the radius, which is said in pixels along a row."""
    center, radius = numbers(source, "CenterOfCircularShutter"), number(source, "RadiusOfCircularShutter")
    if len(center) != 2 or radius is None:
        raise CannotRender("a circular shutter without center or radius")
    rows = (np.arange(1, shape[0] + 1)[:, np.newaxis] - center[0]) * aspect
    columns = np.arange(1, shape[1] + 1)[np.newaxis] - center[1]
    return rows**2 + columns**2 > radius**2


def _outside_polygon(source: Dataset, shape: tuple[int, int]) -> np.ndarray:
    need_pillow("a polygonal shutter")
    from PIL import Image, ImageDraw

    vertices = numbers(source, "VerticesOfThePolygonalShutter")
    if len(vertices) < 6 or len(vertices) % 2 or len(vertices) > VERTICES_MAX:
        raise CannotRender(f"a polygonal shutter of {len(vertices)} numbers")
    image = Image.new("L", (shape[1], shape[0]), 1)
    points = [(column - 1, row - 1) for row, column in zip(vertices[::2], vertices[1::2], strict=True)]
    ImageDraw.Draw(image).polygon(points, fill=0, outline=0)
    return np.asarray(image) == 1


def _bitmap(source: Dataset, dataset: Dataset, frame_index: int, frame: Frame) -> np.ndarray | None:
    group = integer(source, "ShutterOverlayGroup")
    if not 0x6000 <= group <= 0x60FF:
        raise CannotRender(f"the bitmap shutter is said to be in the group {group:04X}")
    planes = (overlay_plane(each, group, frame_index, frame) for each in (source, dataset))
    return next((plane for plane in planes if plane is not None), None)
