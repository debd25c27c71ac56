"""The pixels of a stack, read as far as they are needed, and planes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medserver.dicom.type_2 import TYPE_2
from medserver.errors import MixedObjectSet, ObjectTypeNotSupported, TooLargeToProcess
from medserver.processing.pixels.geometry import Stack
from medserver.processing.pixels.images import Image, copied, number_of, open_image, reopen_image, texts_of
from medserver.processing.pixels.padding import is_padding

VOXELS_MAX = 320_000_000
"""The most voxels that are in memory at once: 640 MB where they have 16 bits."""

SIDE_MAX = 8192
"""The most rows or columns of an image that is made."""

_OF_THE_FIRST = ("FrameReferenceTime", "ActualFrameDuration", "DecayFactor")
"""What the slices of a PET differ in, and what has to have a value in each (PS3.3 C.8.9.4): that of the first stays."""

_ALIGNED = 1e-5
"""How far the axes of a volume and of planes may differ to be taken for the same: a hundredth of a pixel in 1,000."""


@dataclass(frozen=True, slots=True)
class Rescale:
    """From stored values to those of a modality (PS3.3 C.11.1.1.2)."""

    slope: float
    intercept: float

    def stored(self, value: float) -> float:
        """Return what stands for a value."""
        return (value - self.intercept) / self.slope


@dataclass(frozen=True, slots=True)
class Series:
    """What all slices of a stack have in common, besides their geometry.

    Parameters
    ----------
    header : Dataset
        The elements that all slices have, with the same value; without any that would have to be another one in what
        is made of several.
    dtype : numpy.dtype
        Of the stored values.
    rescale : Rescale
        Of all slices, or where they differ (as those of PET do) one with which all values can be stored.
    is_uniform : bool
        All slices have the same rescale. Where they differ, voxels are in the units of the modality.
    limits : tuple of int
        The least and the greatest value that Bits Stored hold.
    fill : float
        What stands for nothing, as voxels are: air in CT, 0 elsewhere. In the place of padding, and where there is no
        volume.
    window : tuple of float or None
        Window Center and Window Width, of the slice in the middle where they differ.
    images : tuple of Image
        The slices in the order of the stack, closed: see `reopen_image`.
    """

    header: Dataset
    dtype: np.dtype
    rescale: Rescale
    is_uniform: bool
    limits: tuple[int, int]
    fill: float
    window: tuple[float, float] | None
    images: tuple[Image, ...]

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Return voxels as they are stored: whole numbers within Bits Stored, `fill` in the place of NaN.

        The array that is given may be used for it.
        """
        is_nothing = np.isnan(values)
        if is_nothing.any():
            values = np.where(is_nothing, np.float32(self.fill), values)
        if not self.is_uniform:
            values = (values - np.float32(self.rescale.intercept)) / np.float32(self.rescale.slope)
        return np.clip(np.rint(values, out=values), *self.limits, out=values).astype(self.dtype)


def read_series(stack: Stack, directory: Path) -> Series:
    """Read all headers of a stack.

    Raises
    ------
    MixedObjectSet
        The slices have pixels of different kinds.
    ObjectTypeNotSupported
        They are not grayscale.
    """
    header, kinds, rescales, window, images = None, set(), set(), None, []
    if len({source.sop_class_uid for source in stack.sources}) > 1:
        raise MixedObjectSet("the slices are of several SOP Classes")
    for index, source in enumerate(stack.sources):
        with open_image(source, directory) as image:
            kinds.add((image.dtype, image.bits_stored, str(image.dataset.get("PhotometricInterpretation", ""))))
            rescales.add(rescale_of(image.dataset))
            if index == len(stack.sources) // 2:
                window = _window(image.dataset)
            header = copied(image.dataset) if header is None else _common(header, image.dataset)
            limits = image.limits
            images.append(image)
    if len(kinds) > 1:
        raise MixedObjectSet("the slices have pixels of different kinds")
    dtype, _, interpretation = kinds.pop()
    if image.shape[3] != 1 or interpretation.strip() not in ("MONOCHROME1", "MONOCHROME2"):
        raise ObjectTypeNotSupported(f"the slices are {interpretation}, and not grayscale")
    fill = -1000.0 if stack.sources[0].modality == "CT" else 0.0
    if len(rescales) == 1:
        rescale = rescales.pop()
        in_stored = float(np.clip(np.rint(rescale.stored(fill)), *limits))
        return Series(header, dtype, rescale, True, limits, in_stored, window, tuple(images))
    rescale = _common_rescale(stack, limits, directory)
    header.RescaleSlope, header.RescaleIntercept = f"{rescale.slope:.10g}", f"{rescale.intercept:.10g}"
    return Series(header, dtype, rescale, False, limits, fill, window, tuple(images))


def _common_rescale(stack: Stack, limits: tuple[int, int], directory: Path) -> Rescale:
    """Return a rescale with which the values of all slices can be stored, as finely as their bits allow."""
    low, high = 0.0, 0.0
    for source in stack.sources:
        with open_image(source, directory) as image:
            values, rescale = image.pixels(), rescale_of(image.dataset)
            padded = is_padding(image.dataset, values)
            values = values if padded is None else values[~padded]
            if values.size:
                ends = [float(end) * rescale.slope + rescale.intercept for end in (values.min(), values.max())]
                low, high = min(low, *ends), max(high, *ends)
    if limits[0] < 0:
        return Rescale(_rounded_up(max(high / limits[1], low / limits[0])), 0.0)
    return Rescale(_rounded_up((high - low) / limits[1]), low)


def _rounded_up(slope: float) -> float:
    """Return a slope that a Decimal String can hold, and with which the greatest value still fits."""
    return float(f"{slope * (1 + 1e-9):.10g}") or 1.0


class Volume:
    """A part of the voxels of a stack.

    Parameters
    ----------
    stack : Stack
        The stack.
    series : Series
        What its slices have in common.
    first, last : sequence of int
        Which slices, rows and columns, the last ones excluded. All columns are read anyway.
    directory : Path
        Where pixels are decoded that are compressed.

    Attributes
    ----------
    voxels : ndarray, shape (slices, rows, columns)
        Stored values, or float32 in the units of the modality where slices have a rescale of their own.
    first : ndarray of int, shape (3,)
        The index of its first voxel in the stack.
    """

    def __init__(
        self, stack: Stack, series: Series, first: Sequence[int], last: Sequence[int], directory: Path
    ) -> None:
        self.stack, self.series = stack, series
        self.first = np.array([first[0], first[1], 0])
        shape = (last[0] - first[0], last[1] - first[1], stack.shape[2])
        if np.prod(shape) > VOXELS_MAX:
            raise TooLargeToProcess(f"{np.prod(shape)} voxels are needed at once, more than {VOXELS_MAX}")
        self.voxels = np.empty(shape, series.dtype if series.is_uniform else np.float32)
        for index, closed in enumerate(series.images[first[0] : last[0]]):
            with reopen_image(closed, directory) as image:
                self.voxels[index] = self._read(image, first[1], last[1])

    def _read(self, image: Image, first_row: int, last_row: int) -> np.ndarray:
        stored = image.rows(0, 1, first_row, last_row)[0]
        padded = is_padding(image.dataset, stored)
        values = stored
        if not self.series.is_uniform:
            rescale = rescale_of(image.dataset)
            values = stored.astype(np.float32) * np.float32(rescale.slope) + np.float32(rescale.intercept)
        return values if padded is None else np.where(padded, values.dtype.type(self.series.fill), values)


@dataclass(frozen=True, slots=True)
class Planes:
    """Parallel planes of pixels in the patient's coordinate system.

    Parameters
    ----------
    origin : ndarray, shape (3,)
        The place of the centre of the first pixel of the first plane.
    axes : ndarray, shape (3, 3)
        Unit vectors in the direction of the next plane, the next row and the next column.
    spacing : ndarray, shape (3,)
        The distances of planes, rows and columns [mm].
    shape : tuple of int
        The numbers of planes, rows and columns.
    """

    origin: np.ndarray
    axes: np.ndarray
    spacing: np.ndarray
    shape: tuple[int, int, int]

    def place_of(self, plane: float) -> np.ndarray:
        """Return the place of the centre of the first pixel of a plane, which may be between two."""
        return self.origin + plane * self.spacing[0] * self.axes[0]

    def voxels_around(self, stack: Stack, first: float, last: float) -> tuple[np.ndarray, np.ndarray]:
        """Return which voxels are needed for the planes `first` to `last`: the first and, excluded, the last ones."""
        ends = [(first, last), (0, self.shape[1] - 1), (0, self.shape[2] - 1)]
        indices = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, 8).T
        around = stack.index_of(self.origin + (indices * self.spacing) @ self.axes)
        shape = np.array(stack.shape)
        low = np.clip(np.floor(around.min(0) + _ALIGNED).astype(int), 0, shape - 1)
        high = np.clip(np.ceil(around.max(0) - _ALIGNED).astype(int) + 1, low + 1, shape)
        return low, high


def planes_through(stack: Stack, axes: np.ndarray, spacing: Sequence[float]) -> Planes:
    """Return the planes with the given axes and spacing that hold the centres of all voxels.

    Raises
    ------
    TooLargeToProcess
        They would have more than `SIDE_MAX` rows or columns.
    """
    along = (stack.corners() - stack.origin) @ axes.T
    low, high = along.min(0), along.max(0)
    counts = np.floor((high - low) / spacing + 1e-4).astype(int) + 1
    if counts[1:].max() > SIDE_MAX:
        raise TooLargeToProcess(f"images of {counts[1]} rows and {counts[2]} columns: more than {SIDE_MAX}")
    return Planes(stack.origin + low @ axes, axes, np.asarray(spacing, float), tuple(int(count) for count in counts))


Sampler = Callable[[float], np.ndarray]
"""From the number of a plane, which may be between two, to its values: float32, NaN where there is no volume."""


def sampler(volume: Volume, planes: Planes, interpolation: str = "linear") -> Sampler:
    """Return what samples planes of a volume."""
    turns = planes.axes @ volume.stack.axes.T
    is_aligned = (np.abs(np.abs(turns) - np.rint(np.abs(turns))) < _ALIGNED).all()
    if is_aligned and interpolation == "linear":
        return _Aligned(volume, planes, np.rint(turns).astype(int))
    return _Oblique(volume, planes, 0 if interpolation == "nearest" else 1)


class _Aligned:
    """Planes with the axes of the volume: one axis is interpolated after the other."""

    def __init__(self, volume: Volume, planes: Planes, turns: np.ndarray) -> None:
        self._planes, self._volume = planes, volume
        self._axis, rows_axis, columns_axis = (int(np.flatnonzero(turn)[0]) for turn in turns)
        self._is_turned = rows_axis > columns_axis
        self._rows = self._indices(1, rows_axis)
        self._columns = self._indices(2, columns_axis)

    def __call__(self, plane: float) -> np.ndarray:
        stack = self._volume.stack
        at = stack.index_of(self._planes.place_of(plane))[self._axis]
        if not -0.5 - _ALIGNED <= at <= stack.shape[self._axis] - 0.5 + _ALIGNED:
            return np.full(self._planes.shape[1:], np.nan, np.float32)
        at = float(np.clip(at - self._volume.first[self._axis], 0, self._volume.voxels.shape[self._axis] - 1))
        low = int(at)
        weight = at - low
        layer = self._layer(low)
        if weight > _ALIGNED:
            layer = layer + np.float32(weight) * (self._layer(low + 1) - layer)
        if self._is_turned:
            layer = layer.T
        return interpolated(interpolated(layer, 0, *self._rows), 1, *self._columns)

    def _layer(self, index: int) -> np.ndarray:
        index = min(index, self._volume.voxels.shape[self._axis] - 1)
        return self._volume.voxels.take(index, self._axis).astype(np.float32)

    def _indices(self, axis: int, volume_axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Return for each row (or column) of the planes the voxel before it, and how far behind that it is."""
        planes, volume = self._planes, self._volume
        steps = np.arange(planes.shape[axis]) * planes.spacing[axis]
        at = volume.stack.index_of(planes.origin + steps[:, None] * planes.axes[axis])[:, volume_axis]
        at = np.clip(at - volume.first[volume_axis], 0, volume.voxels.shape[volume_axis] - 1)
        near = np.rint(at)
        at = np.where(np.abs(at - near) < _ALIGNED, near, at)
        low = np.floor(at).astype(int)
        return low, (at - low).astype(np.float32)


def interpolated(values: np.ndarray, axis: int, low: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return values between those of rows (axis 0) or columns (axis 1).

    Parameters
    ----------
    values : ndarray, shape (rows, columns), float32
        What there is.
    low : ndarray of int
        For each row or column that is wanted the one before it.
    weights : ndarray of float32
        How far behind that it is.
    """
    if not weights.any() and len(low) == values.shape[axis] and (np.diff(low) == 1).all():
        return values
    before = values.take(low, axis)
    if not weights.any():
        return before
    after = values.take(np.minimum(low + 1, values.shape[axis] - 1), axis)
    after -= before
    after *= weights[:, None] if axis == 0 else weights
    after += before
    return after


class _Oblique:
    """Planes in any direction."""

    def __init__(self, volume: Volume, planes: Planes, order: int) -> None:
        self._volume, self._planes, self._order = volume, planes, order
        stack = volume.stack
        steps = (planes.axes[1:] * planes.spacing[1:, None]) @ stack.axes.T / stack.spacing
        self._steps = steps.T  # from row and column to the index of a voxel
        rows, columns = (np.arange(count, dtype=np.float32) for count in planes.shape[1:])
        self._along = [
            np.float32(steps[0, axis]) * rows[:, None] + np.float32(steps[1, axis]) * columns for axis in range(3)
        ]

    def __call__(self, plane: float) -> np.ndarray:
        from scipy import ndimage

        stack, volume = self._volume.stack, self._volume
        start = stack.index_of(self._planes.place_of(plane))
        values = np.empty(self._planes.shape[1:], np.float32)
        ndimage.affine_transform(  # a plane is the first slice of a volume that is one slice thick
            volume.voxels,
            np.column_stack([np.zeros(3), self._steps]),
            start - volume.first,
            output=values[None],
            output_shape=(1, *values.shape),
            order=self._order,
            mode="nearest",
            prefilter=False,
        )
        outside = np.zeros(values.shape, bool)
        for axis, along in enumerate(self._along):
            outside |= along < np.float32(-0.5 - 1e-3 - start[axis])
            outside |= along > np.float32(stack.shape[axis] - 0.5 + 1e-3 - start[axis])
        values[outside] = np.nan
        return values


def slab(sample: Sampler, offsets: Iterable[float], projection: str) -> np.ndarray:
    """Return what planes become that are projected into one: ``mean``, ``max`` or ``min`` of those that exist."""
    offsets = tuple(offsets)
    if len(offsets) == 1:
        return sample(offsets[0])
    total, counts = None, None
    for offset in offsets:
        values = sample(offset)
        if total is None:
            total = values
            counts = np.isfinite(values).astype(np.float32) if projection == "mean" else None
        elif projection == "max":
            np.fmax(total, values, out=total)
        elif projection == "min":
            np.fmin(total, values, out=total)
        else:
            there = np.isfinite(values)
            total = np.where(np.isfinite(total), total, 0) + np.where(there, values, 0)
            counts += there
    if counts is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            total = total / counts
    return total


def rescale_of(dataset: Dataset) -> Rescale:
    """Return the linear Modality LUT of an image.

    Raises
    ------
    ObjectTypeNotSupported
        It has another one.
    """
    if "ModalityLUTSequence" in dataset:
        raise ObjectTypeNotSupported("the Modality LUT is not linear")
    slope = number_of(dataset, "RescaleSlope", 1.0)
    return Rescale(slope or 1.0, number_of(dataset, "RescaleIntercept", 0.0))


def _window(dataset: Dataset) -> tuple[float, float] | None:
    centers, widths = texts_of(dataset, "WindowCenter"), texts_of(dataset, "WindowWidth")
    try:
        return float(centers[0]), float(widths[0])
    except (IndexError, ValueError):
        return None


def _common(header: Dataset, other: Dataset) -> Dataset:
    """Return the elements of a header that are in another one too; what has to be there stays without a value."""
    present = dict(other.items())
    for tag, element in list(header.items()):
        same = present.get(tag)
        if same is not None and element.value == same.value:
            continue
        keyword = "" if tag.is_private else header[tag].keyword
        if keyword in _OF_THE_FIRST:
            continue
        if keyword in TYPE_2:
            if element.value:
                header[tag].value = None
        else:
            del header[tag]
    return header


