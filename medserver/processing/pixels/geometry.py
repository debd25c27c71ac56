"""Stacks of slices in the patient's coordinate system: their order, spacing, and whether they are a regular grid.

References
----------
PS3.3 C.7.6.2.1.1 (position and orientation), C.7.6.3.1.2 (order of rows and columns), 10.7.1.3 (Pixel Spacing)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medserver.errors import (
    IncompleteObjectSet,
    IrregularStack,
    MixedObjectSet,
    ObjectNotReadable,
    ObjectTypeNotSupported,
)
from medserver.processing.pixels.images import Source, integer_of, numbers_of, text_of

COSINE_TOLERANCE = 1e-3
"""How far direction cosines may be off: devices write few digits."""

POSITION_TOLERANCE_MM, POSITION_TOLERANCE = 0.02, 0.02
"""How far a slice may be from where a regular stack has it: in mm, or as a part of the distance of slices."""

_SAME_POSITION = 0.01


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices that are parallel, in line and evenly spaced: a volume.

    Voxels are numbered (slice, row, column) from 0; the places of their centres are in the patient's coordinate
    system, in mm.

    Parameters
    ----------
    sources : tuple of Source
        The slices in the direction of `normal`.
    origin : ndarray, shape (3,)
        The place of voxel (0, 0, 0).
    axes : ndarray, shape (3, 3)
        Unit vectors in the direction of the next slice, the next row and the next column.
    spacing : ndarray, shape (3,)
        The distances of slices, rows and columns [mm].
    shape : tuple of int
        The numbers of slices, rows and columns.
    frame_of_reference_uid : str
        Frame of Reference UID; empty if the slices have none.
    """

    sources: tuple[Source, ...]
    origin: np.ndarray
    axes: np.ndarray
    spacing: np.ndarray
    shape: tuple[int, int, int]
    frame_of_reference_uid: str

    @property
    def normal(self) -> np.ndarray:
        """The direction in which slices follow."""
        return self.axes[0]

    def corners(self) -> np.ndarray:
        """Return the places of the centres of the eight outermost voxels, shape (8, 3)."""
        ends = [(0, count - 1) for count in self.shape]
        indices = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8).T
        return self.origin + (indices * self.spacing) @ self.axes

    def index_of(self, place: np.ndarray) -> np.ndarray:
        """Return the (fractional) index of places, shape (..., 3), as slice, row, column."""
        return (place - self.origin) @ self.axes.T / self.spacing


def stack_of(sources: Sequence[Source]) -> Stack:
    """Return slices as a stack; localizers are passed over.

    Raises
    ------
    IncompleteObjectSet
        There is one slice only, or one in between is missing.
    MixedObjectSet
        They differ in size, spacing, orientation or Frame of Reference, or two of them lie in the same place.
    IrregularStack
        They are not evenly spaced, or each lies aside of the one before it, as a tilted gantry makes them.
    ObjectNotReadable
        One does not say where it is.
    ObjectTypeNotSupported
        One has several frames.
    """
    slices = [source for source in sources if not source.is_localizer]
    if any(integer_of(source.facts, "NumberOfFrames", 1) > 1 for source in slices):
        raise ObjectTypeNotSupported("the slices are frames of a multi-frame instance, which is not taken apart")
    if len(slices) < 2:
        raise IncompleteObjectSet(f"a volume needs two slices, and there is {len(slices)}")
    positions = np.array([_required(source, "ImagePositionPatient", 3) for source in slices])
    along_row, along_column = _orientation(slices)
    row_spacing, column_spacing = _same(slices, "PixelSpacing", 2, "spacing", 1e-3)
    if min(row_spacing, column_spacing) <= 0:
        raise ObjectNotReadable(f"the Pixel Spacing of {slices[0].name} is not positive")
    shape = _same_text(slices, ("Rows", "Columns"), "size")
    frame_of_reference_uid = _same_text(slices, ("FrameOfReferenceUID",), "Frame of Reference")[0]
    normal = np.cross(along_row, along_column)
    order = np.argsort(positions @ normal, kind="stable")
    spacing = _spacing([slices[index] for index in order], positions[order], normal)
    return Stack(
        sources=tuple(slices[index] for index in order),
        origin=positions[order[0]],
        axes=np.array([normal, along_column, along_row]),
        spacing=np.array([spacing, row_spacing, column_spacing]),
        shape=(len(slices), int(shape[0]), int(shape[1])),
        frame_of_reference_uid=frame_of_reference_uid,
    )


def _required(source: Source, keyword: str, count: int) -> tuple[float, ...]:
    values = numbers_of(source.facts, keyword, count)
    if values is None:
        raise ObjectNotReadable(f"{source.name} has no {keyword}: it does not say where it is")
    return values


def _same(slices: Sequence[Source], keyword: str, count: int, what: str, tolerance: float) -> np.ndarray:
    """Return the values of all, which are the same.

    Raises
    ------
    MixedObjectSet
        They are not.
    """
    values = np.array([_required(source, keyword, count) for source in slices])
    scale = np.maximum(np.abs(values[0]), 1)
    if (np.abs(values - values[0]) > tolerance * scale).any():
        raise MixedObjectSet(f"the slices differ in {what} ({keyword})")
    return values[0]


def _same_text(slices: Sequence[Source], keywords: Sequence[str], what: str) -> list[str]:
    found = {tuple(text_of(source.facts, keyword) for keyword in keywords) for source in slices}
    if len(found) > 1:
        raise MixedObjectSet(f"the slices differ in {what}")
    return list(found.pop())


def _orientation(slices: Sequence[Source]) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors along a row and along a column, which are perpendicular."""
    cosines = _same(slices, "ImageOrientationPatient", 6, "orientation", COSINE_TOLERANCE)
    return perpendicular(cosines[:3], cosines[3:], f"the Image Orientation of {slices[0].name}")


def perpendicular(first: Sequence[float], second: Sequence[float], what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return two directions as unit vectors that are exactly perpendicular.

    Raises
    ------
    ObjectNotReadable
        They are far from it.
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    lengths = np.linalg.norm(one), np.linalg.norm(other)
    if max(abs(length - 1) for length in lengths) > 10 * COSINE_TOLERANCE or abs(one @ other) > 10 * COSINE_TOLERANCE:
        raise ObjectNotReadable(f"{what} is not two perpendicular directions")
    one = one / lengths[0]
    other = other - (other @ one) * one
    return one, other / np.linalg.norm(other)


def _spacing(slices: Sequence[Source], positions: np.ndarray, normal: np.ndarray) -> float:
    """Return the distance of slices that are in order, in line and evenly spaced."""
    places = positions @ normal
    steps = np.diff(places)
    closest = int(steps.argmin())
    spacing = float(np.median(steps))
    if steps[closest] <= _SAME_POSITION * max(spacing, POSITION_TOLERANCE_MM):
        first, second = slices[closest].name, slices[closest + 1].name
        raise MixedObjectSet(f"{first} and {second} lie in the same place: the slices are of several phases or echoes")
    aside = positions - positions[0] - np.outer(places - places[0], normal)
    tolerance = max(POSITION_TOLERANCE_MM, POSITION_TOLERANCE * spacing, COSINE_TOLERANCE * (places[-1] - places[0]))
    if np.linalg.norm(aside, axis=1).max() > tolerance:
        angle = np.degrees(np.arctan2(np.linalg.norm(aside[-1]), places[-1] - places[0]))
        raise IrregularStack(f"the slices are not in line: the stack is tilted by {angle:.1f} degrees")
    _check_even(slices, steps, spacing)
    return float((places[-1] - places[0]) / len(steps))


def _check_even(slices: Sequence[Source], steps: np.ndarray, spacing: float) -> None:
    tolerance = max(POSITION_TOLERANCE_MM, POSITION_TOLERANCE * spacing)
    uneven = np.flatnonzero(np.abs(steps - spacing) > tolerance)
    if not uneven.size:
        return
    first = int(uneven[0])
    names = f"{slices[first].name} and {slices[first + 1].name}"
    told = f"{steps[first]:.3g} mm lie between {names}, {spacing:.3g} mm between others"
    is_gap = np.abs(steps[uneven] / spacing - np.rint(steps[uneven] / spacing)) * spacing <= tolerance
    if is_gap.all() and (steps[uneven] > spacing).all():
        raise IncompleteObjectSet(f"slices are missing: {told}")
    raise IrregularStack(f"the slices are not evenly spaced: {told}")
