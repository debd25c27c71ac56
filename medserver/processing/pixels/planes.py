"""A series of planes through a stack: its headers and pixels, of which only what is wanted is read and computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.processing.pixels.geometry import Stack
from medserver.processing.pixels.results import Derivation, derived_series, numbered, set_text
from medserver.processing.pixels.volume import (
    VOXELS_MAX,
    Planes,
    Series,
    Volume,
    read_series,
    sampler,
    slab,
)
from medserver.processing.task import Task

POSITRON_EMISSION_TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.128"

_OF_OTHER_PLANES = ("PatientOrientation", "PixelAspectRatio", "PixelPaddingValue", "PixelPaddingRangeLimit")
_OF_OTHER_WINDOWS = (
    "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
)  # fmt: skip


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


def write_planes(task: Task, stack: Stack, cut: Cut, derivation: Derivation, image_type: str) -> None:
    """Write the planes that are wanted; no others are computed, and only the rows that they need are read.

    The parameters ``interpolation``, ``projection`` and ``window`` count, if the type has them.

    Parameters
    ----------
    task : Task
        The task.
    stack : Stack
        The slices.
    cut : Cut
        The planes.
    derivation : Derivation
        What is said of them.
    image_type : str
        Value 3 of their Image Type.
    """
    numbers = task.numbers(cut.planes.shape[0])
    if not numbers:
        return
    interpolation = str(task.parameters.get("interpolation", "linear"))
    projection = str(task.parameters.get("projection", "mean"))
    series = read_series(stack, task.outputs)
    header = derived_series(task, header_of(task, stack, series, cut, image_type), derivation, stack.sources)
    for block in blocks(stack, cut, numbers):
        first, last = block[0] - 1 + cut.offsets[0], block[-1] - 1 + cut.offsets[-1]
        volume = Volume(stack, series, *cut.planes.voxels_around(stack, first, last), task.outputs)
        sample = sampler(volume, cut.planes, interpolation)
        for number in block:
            values = slab(sample, [number - 1 + offset for offset in cut.offsets], projection)
            dataset = numbered(task, header, number)
            place(dataset, cut, number)
            task.write(number, dataset, series.stored(values))


def blocks(stack: Stack, cut: Cut, numbers: list[int]) -> list[list[int]]:
    """Return numbers of planes in as few parts as possible, each of which needs no more voxels than fit in memory."""
    low, high = cut.planes.voxels_around(stack, numbers[0] - 1 + cut.offsets[0], numbers[-1] - 1 + cut.offsets[-1])
    needed = int(np.prod(high[:2] - low[:2])) * stack.shape[2]
    if needed <= VOXELS_MAX or len(numbers) == 1:
        return [numbers]
    middle = len(numbers) // 2
    return [*blocks(stack, cut, numbers[:middle]), *blocks(stack, cut, numbers[middle:])]


def header_of(task: Task, stack: Stack, series: Series, cut: Cut, image_type: str) -> Dataset:
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
    if "window" in task.parameters:
        set_window(header, task.parameters["window"])
    elif series.window:
        header.WindowCenter, header.WindowWidth = (decimal(value) for value in series.window)
    return header


def set_window(dataset: Dataset, window: Sequence[float] | None) -> None:
    """Give an image one window, in the units of its Modality LUT, in the place of those that it had; None: none."""
    for keyword in _OF_OTHER_WINDOWS:
        if keyword in dataset:
            del dataset[keyword]
    if window:
        dataset.WindowCenter, dataset.WindowWidth = (decimal(value) for value in window)


def place(dataset: Dataset, cut: Cut, number: int) -> None:
    """Say where a plane is, by its number from 1."""
    position = "\\".join(decimal(value) for value in cut.planes.place_of(number - 1))
    set_text(dataset, "ImagePositionPatient", position)
    if "ImageIndex" in dataset or dataset.SOPClassUID == POSITRON_EMISSION_TOMOGRAPHY:
        dataset.ImageIndex = number  # PS3.3 C.8.9.4: Type 1


def decimal(value: float) -> str:
    """Return a number as a Decimal String, in at most 16 characters (PS3.5 6.2)."""
    rounded = round(float(value), 6) + 0.0
    text = f"{rounded:.6f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.9e}"
