"""Overlay planes: the groups 60xx, in elements of their own or in the unused bits of the pixels.

References
----------
PS3.3 C.9.2, PS3.3 C.9.3, PS3.5 8.1.2
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.pixels import Frame
from medserver.imaging.values import integer, numbers, text, value_of

GROUPS = range(0x6000, 0x6020, 2)
_ROWS, _COLUMNS, _FRAMES, _TYPE, _ORIGIN, _FRAME_ORIGIN = 0x0010, 0x0011, 0x0015, 0x0040, 0x0050, 0x0051
_BITS_ALLOCATED, _BIT_POSITION, _ACTIVATION_LAYER, _DATA = 0x0100, 0x0102, 0x1001, 0x3000


def overlay_mask(dataset: Dataset, frame_index: int, frame: Frame) -> np.ndarray | None:
    """Return the pixels that the overlays of an image cover; None if it has no overlay.

    Returns
    -------
    ndarray, shape (rows, columns), bool

    Raises
    ------
    CannotRender
        An overlay contradicts itself.
    """
    planes = [plane for group in GROUPS if (plane := overlay_plane(dataset, group, frame_index, frame)) is not None]
    return np.logical_or.reduce(planes) if planes else None


def activated_groups(state: Dataset) -> tuple[tuple[int, str], ...]:
    """Return the groups of the overlays that a presentation state shows, each with its graphic layer (PS3.3 C.11.7).

    The overlay of a bitmap shutter is none of them.
    """
    shutter = integer(state, "ShutterOverlayGroup", 0)
    found = ((group, text(state, (group, _ACTIVATION_LAYER))) for group in GROUPS if group != shutter)
    return tuple((group, layer) for group, layer in found if layer)


def activated_plane(
    state: Dataset, dataset: Dataset, group: int, frame_index: int, frame: Frame
) -> np.ndarray | None:
    """Return an overlay that a presentation state shows: its own, else that of the image; None if there is none."""
    source = state if value_of(state, (group, _DATA)) is not None else dataset
    return overlay_plane(source, group, frame_index, frame)


def overlay_plane(dataset: Dataset, group: int, frame_index: int, frame: Frame) -> np.ndarray | None:
    """Return the pixels of the image that an overlay covers; None if there is none for this frame.

    A region of interest is drawn as its outline.

    Raises
    ------
    CannotRender
        Its elements contradict each other, or its data are too short.
    """
    rows, columns = frame.cells.shape[:2]
    bits_allocated = integer(dataset, (group, _BITS_ALLOCATED), 1)
    if value_of(dataset, (group, _DATA)) is not None:
        plane = _stored_plane(dataset, group, frame_index, (rows, columns))
    elif bits_allocated > 1 and value_of(dataset, (group, _ROWS)) is not None:
        plane = _embedded_plane(dataset, group, frame)
    else:
        return None
    return _outline(plane) if plane is not None and text(dataset, (group, _TYPE)) == "R" else plane


def _stored_plane(dataset: Dataset, group: int, frame_index: int, shape: tuple[int, int]) -> np.ndarray | None:
    overlay_rows, overlay_columns = integer(dataset, (group, _ROWS)), integer(dataset, (group, _COLUMNS))
    if overlay_rows < 1 or overlay_columns < 1:
        raise CannotRender(f"the overlay {group:04X} has {overlay_rows} rows and {overlay_columns} columns")
    index = _frame_of_overlay(dataset, group, frame_index)
    if index is None:
        return None
    data = value_of(dataset, (group, _DATA))
    first = index * overlay_rows * overlay_columns
    last = first + overlay_rows * overlay_columns
    if not isinstance(data, bytes) or 8 * len(data) < last:
        raise CannotRender(f"the data of the overlay {group:04X} are shorter than its {overlay_rows} rows")
    bits = np.unpackbits(np.frombuffer(data[first // 8 : (last + 7) // 8], "u1"), bitorder="little")
    bits = bits[first % 8 : first % 8 + last - first].reshape(overlay_rows, overlay_columns)
    row, column = (numbers(dataset, (group, _ORIGIN)) or (1, 1))[:2]
    return _placed(bits.astype(bool), int(row) - 1, int(column) - 1, shape)


def _frame_of_overlay(dataset: Dataset, group: int, frame_index: int) -> int | None:
    """Return which frame of an overlay is for a frame of the image (PS3.3 C.9.3): without numbers the only one."""
    keys = ((group, _FRAMES), (group, _FRAME_ORIGIN))
    if all(value_of(dataset, key) is None for key in keys):
        return 0
    count, origin = integer(dataset, keys[0], 1), integer(dataset, keys[1], 1)
    index = frame_index + 1 - origin
    return index if 0 <= index < count else None


def _placed(bits: np.ndarray, row: int, column: int, shape: tuple[int, int]) -> np.ndarray:
    """Return a plane of the image's size in which an overlay lies whose first pixel is at a row and column."""
    plane = np.zeros(shape, bool)
    top, left = max(row, 0), max(column, 0)
    part = bits[top - row :, left - column :][: max(shape[0] - top, 0), : max(shape[1] - left, 0)]
    plane[top : top + part.shape[0], left : left + part.shape[1]] = part
    return plane


def _embedded_plane(dataset: Dataset, group: int, frame: Frame) -> np.ndarray:
    """Return a plane that lies in a bit of the pixels that they do not use (PS3.5 8.1.2, retired)."""
    position = integer(dataset, (group, _BIT_POSITION), 0)
    if not 0 <= position < 8 * frame.words.dtype.itemsize or frame.cells.ndim != 2:
        raise CannotRender(f"the overlay {group:04X} is said to lie in bit {position} of the pixels")
    return (frame.words >> position) & 1 == 1


def _outline(plane: np.ndarray) -> np.ndarray:
    """Return the pixels of a region that have a neighbour outside."""
    inner = np.pad(plane, 1)
    inside = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return plane & ~inside
