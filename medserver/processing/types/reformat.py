"""Planes through a volume: axial, coronal, sagittal or oblique, thin or as slabs (mean, maximum, minimum)."""

from __future__ import annotations

import numpy as np

from medserver.errors import UnusableParameters
from medserver.processing.codes import (
    MAXIMUM_INTENSITY_PROJECTION,
    MINIMUM_INTENSITY_PROJECTION,
    MULTIPLANAR_REFORMATTING,
    PIXEL_MEAN,
    Code,
)
from medserver.processing.parameters import Values
from medserver.processing.pixels.geometry import Stack, perpendicular, stack_of
from medserver.processing.pixels.planes import Cut, write_planes
from medserver.processing.pixels.results import Derivation
from medserver.processing.pixels.volume import planes_through
from medserver.processing.task import Task

PLANES = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
}
"""The directions of rows and columns: patients are looked at from their feet, from the front, from their left."""

_PROJECTIONS: dict[str, tuple[str, str, tuple[Code, ...]]] = {
    "mean": ("mean", "MEAN", (MULTIPLANAR_REFORMATTING, PIXEL_MEAN)),
    "max": ("MIP", "MAX_IP", (MULTIPLANAR_REFORMATTING, MAXIMUM_INTENSITY_PROJECTION)),
    "min": ("MinIP", "MIN_IP", (MULTIPLANAR_REFORMATTING, MINIMUM_INTENSITY_PROJECTION)),
}
"""The name of a projection for people, in Image Type, and as codes."""


def reformat(task: Task) -> None:
    """Write the planes that are wanted; no others are computed, and only the rows that they need are read."""
    axes = _axes(task.parameters)
    stack = stack_of(task.sources)
    cut = _cut(stack, axes, task.parameters)
    write_planes(task, stack, cut, *_derivation(task.parameters, cut))


def _axes(parameters: dict[str, Values]) -> np.ndarray:
    """Return the axes of the planes: normal, along columns, along rows.

    Raises
    ------
    UnusableParameters
        They are no two perpendicular directions, or were given where they are known.
    """
    plane, directions = parameters["orientation"], parameters.get("directions")
    if (plane == "oblique") != (directions is not None):
        raise UnusableParameters("directions are those of an oblique plane: give both or neither")
    along_row, along_column = (directions[:3], directions[3:]) if directions else PLANES[plane]
    try:
        along_row, along_column = perpendicular(along_row, along_column, "directions")
    except Exception as error:
        raise UnusableParameters(str(error)) from None
    return np.array([np.cross(along_row, along_column), along_column, along_row])


def _cut(stack: Stack, axes: np.ndarray, parameters: dict[str, Values]) -> Cut:
    spacing = float(parameters.get("pixel_spacing") or stack.spacing[1:].min())
    interval = float(parameters.get("interval") or spacing)
    planes = planes_through(stack, axes, (interval, spacing, spacing))
    voxel_mm = float(np.abs(axes[0] @ stack.axes.T) @ stack.spacing)
    thickness = float(parameters.get("thickness") or 0)
    if not thickness:
        return Cut(planes, (0.0,), voxel_mm)
    count = max(int(np.ceil(thickness / voxel_mm - 1e-4)), 1)
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * thickness / interval
    return Cut(planes, tuple(float(offset) for offset in offsets), thickness)


def _derivation(parameters: dict[str, Values], cut: Cut) -> tuple[Derivation, str]:
    """Return what is said of the planes, and value 3 of their Image Type."""
    plane, interval = parameters["orientation"], cut.planes.spacing[0]
    if len(cut.offsets) == 1 and not parameters.get("thickness"):
        description = f"Multiplanar reformatting: {plane}, every {interval:.4g} mm"
        return Derivation(description, (MULTIPLANAR_REFORMATTING,), f"{plane} {interval:.3g} mm"), "REFORMATTED"
    name, image_type, codes = _PROJECTIONS[str(parameters["projection"])]
    slabs = f"{cut.thickness_mm:.4g} mm every {interval:.4g} mm"
    description = f"Multiplanar reformatting: {plane}, {name} of slabs of {slabs}"
    return Derivation(description, codes, f"{plane} {name} {cut.thickness_mm:.3g}/{interval:.3g} mm"), image_type
