"""Planes through a volume: axial, coronal, sagittal or oblique, thin or as slabs (mean, maximum, minimum)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import UnusableParameters
from medserver.processing.codes import (
    MAXIMUM_INTENSITY_PROJECTION,
    MINIMUM_INTENSITY_PROJECTION,
    MULTIPLANAR_REFORMATTING,
    PIXEL_MEAN,
    Code,
)
from medserver.processing.geometry import Stack, perpendicular, stack_of
from medserver.processing.parameters import Values
from medserver.processing.results import Derivation, derived_series, numbered
from medserver.processing.task import Task
from medserver.processing.volume import (
    VOXELS_MAX,
    Planes,
    Series,
    Volume,
    planes_through,
    read_series,
    sampler,
    slab,
)

POSITRON_EMISSION_TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.128"

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

_OF_OTHER_PLANES = ("PatientOrientation", "PixelAspectRatio", "PixelPaddingValue", "PixelPaddingRangeLimit")
_OF_OTHER_WINDOWS = ("WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence")


@dataclass(frozen=True, slots=True)
class Cut:
    """How planes are laid through a stack.

    Parameters
    ----------
    planes : Planes
        Where they are.
    offsets : tuple of float
        Where planes are sampled that become one, in distances of planes from it.
    thickness_mm : float
        What Slice Thickness says.
    """

    planes: Planes
    offsets: tuple[float, ...]
    thickness_mm: float


def reformat(task: Task) -> None:
    """Write the planes that are wanted; no others are computed, and only the rows that they need are read."""
    axes = _axes(task.parameters)
    stack = stack_of(task.sources)
    cut = _cut(stack, axes, task.parameters)
    numbers = task.numbers(cut.planes.shape[0])
    if not numbers:
        return
    series = read_series(stack, task.outputs)
    derivation, image_type = _derivation(task.parameters, cut)
    header = derived_series(task, _header(task, stack, series, cut, image_type), derivation, stack.sources)
    for block in blocks(stack, cut, numbers):
        first, last = block[0] - 1 + cut.offsets[0], block[-1] - 1 + cut.offsets[-1]
        volume = Volume(stack, series, *cut.planes.voxels_around(stack, first, last), task.outputs)
        sample = sampler(volume, cut.planes, str(task.parameters["interpolation"]))
        projection = str(task.parameters["projection"])
        for number in block:
            values = slab(sample, [number - 1 + offset for offset in cut.offsets], projection)
            dataset = numbered(task, header, number)
            _place(dataset, cut, number)
            task.write(number, dataset, series.stored(values))


def blocks(stack: Stack, cut: Cut, numbers: list[int]) -> list[list[int]]:
    """Return numbers of planes in as few parts as possible, each of which needs no more voxels than fit in memory."""
    low, high = cut.planes.voxels_around(stack, numbers[0] - 1 + cut.offsets[0], numbers[-1] - 1 + cut.offsets[-1])
    needed = int(np.prod(high[:2] - low[:2])) * stack.shape[2]
    if needed <= VOXELS_MAX or len(numbers) == 1:
        return [numbers]
    middle = len(numbers) // 2
    return [*blocks(stack, cut, numbers[:middle]), *blocks(stack, cut, numbers[middle:])]


def _axes(parameters: dict[str, Values]) -> np.ndarray:
    """Return the axes of the planes: normal, along columns, along rows.

    Raises
    ------
    UnusableParameters
        They are no two perpendicular directions, or were given where they are known.
    """
    plane, directions = parameters["plane"], parameters.get("directions")
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
    plane, interval = parameters["plane"], cut.planes.spacing[0]
    if len(cut.offsets) == 1 and not parameters.get("thickness"):
        description = f"Multiplanar reformatting: {plane}, every {interval:.4g} mm"
        return Derivation(description, (MULTIPLANAR_REFORMATTING,), f"{plane} {interval:.3g} mm"), "REFORMATTED"
    name, image_type, codes = _PROJECTIONS[str(parameters["projection"])]
    slabs = f"{cut.thickness_mm:.4g} mm every {interval:.4g} mm"
    description = f"Multiplanar reformatting: {plane}, {name} of slabs of {slabs}"
    return Derivation(description, codes, f"{plane} {name} {cut.thickness_mm:.3g}/{interval:.3g} mm"), image_type


def _header(task: Task, stack: Stack, series: Series, cut: Cut, image_type: str) -> Dataset:
    """Return what all outputs have in common, but for their provenance."""
    header = series.header
    for keyword in _OF_OTHER_PLANES:
        if keyword in header:
            del header[keyword]
    is_pet = header.SOPClassUID == POSITRON_EMISSION_TOMOGRAPHY
    header.ImageType = ["DERIVED", "PRIMARY" if is_pet else "SECONDARY", image_type]  # PS3.3 C.8.9.4.1.3
    header.FrameOfReferenceUID = stack.frame_of_reference_uid or task.uid(
        "frame of reference", stack.sources[0].series_instance_uid
    )
    header.Rows, header.Columns = cut.planes.shape[1:]
    along_column, along_row = cut.planes.axes[1:]
    header.ImageOrientationPatient = [decimal(value) for value in (*along_row, *along_column)]
    header.PixelSpacing = [decimal(value) for value in cut.planes.spacing[1:]]
    header.SliceThickness = decimal(cut.thickness_mm)
    header.SpacingBetweenSlices = decimal(cut.planes.spacing[0])
    if is_pet:
        header.NumberOfSlices = cut.planes.shape[0]
    window = task.parameters.get("window") or series.window
    if window:
        header.WindowCenter, header.WindowWidth = (decimal(value) for value in window)
    if "window" in task.parameters:
        for keyword in _OF_OTHER_WINDOWS:
            if keyword in header:
                del header[keyword]
    return header


def _place(dataset: Dataset, cut: Cut, number: int) -> None:
    dataset.ImagePositionPatient = [decimal(value) for value in cut.planes.place_of(number - 1)]
    if "ImageIndex" in dataset or dataset.SOPClassUID == POSITRON_EMISSION_TOMOGRAPHY:
        dataset.ImageIndex = number  # PS3.3 C.8.9.4: Type 1


def decimal(value: float) -> str:
    """Return a number as a Decimal String, in at most 16 characters (PS3.5 6.2)."""
    rounded = round(float(value), 6) + 0.0
    text = f"{rounded:.6f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.9e}"
