"""What is new against a mask: frames of an angiography, or a phase of a scan minus another one.

References
----------
PS3.3 C.7.6.10 (Mask Module: what is subtracted for display only; here it is done)
"""

from __future__ import annotations

import numpy as np

from medserver.errors import IncompleteObjectSet, MixedObjectSet, UnusableParameters
from medserver.processing.codes import MASK_IMAGE, PIXEL_SUBTRACTION, SOURCE_IMAGE
from medserver.processing.pixels.frames import check_grayscale
from medserver.processing.pixels.geometry import Stack, stack_of
from medserver.processing.pixels.images import Image, Source, integer_of, open_image, text_of
from medserver.processing.pixels.padding import is_padding
from medserver.processing.pixels.planes import set_window
from medserver.processing.pixels.results import Derivation, derived_image, reference, set_sequence
from medserver.processing.pixels.volume import rescale_of
from medserver.processing.task import Task

_SAME_PLACE_MM = 0.05
_SIGNED_16 = (-32768, 32767)
_NOT_OF_DIFFERENCES = (
    "MaskSubtractionSequence", "RecommendedViewingMode", "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip


def subtract(task: Task) -> None:
    """Write frames without their mask, or the slices of a phase without those of another one."""
    if any(integer_of(source.facts, "NumberOfFrames", 1) > 1 for source in task.sources):
        _subtract_frames(task)
    else:
        _subtract_phases(task)


def _subtract_frames(task: Task) -> None:
    wanted = task.parameters["mask_frames"]
    for number in task.numbers(len(task.sources)):
        source = task.sources[number - 1]
        with open_image(source, task.outputs) as image:
            check_grayscale(image, task.kind.name)
            frames = image.shape[0]
            beyond = [frame for frame in wanted if frame > frames]
            if beyond:
                raise IncompleteObjectSet(f"{source.name} has {frames} frames, and no mask frame {beyond[0]}")
            is_linear = text_of(image.dataset, "PixelIntensityRelationship") == "LIN"
            pixels, middle = _without_mask(image, [frame - 1 for frame in wanted], is_linear)
            named = ", ".join(map(str, wanted))
            dataset = derived_image(task, number, image, _derivation(f"of frame {named}", is_linear))
            masks = [reference(source, MASK_IMAGE, keeps_grid=True, frame_number=frame) for frame in wanted]
            items = [reference(source, SOURCE_IMAGE, keeps_grid=True), *masks]
            set_sequence(dataset, "SourceImageSequence", items)
            for keyword in _NOT_OF_DIFFERENCES:
                if keyword in dataset:
                    del dataset[keyword]
            set_window(dataset, task.parameters.get("window", (middle, (image.limits[1] + 1) / 4)))
            task.write(number, dataset, pixels)


def _without_mask(image: Image, mask_indices: list[int], is_linear: bool) -> tuple[np.ndarray, float]:
    """Return frames minus the mean of the mask frames, and the value that stands for no difference."""
    low, high = image.limits
    middle = (low + high + 1) / 2

    def measured(index: int) -> np.ndarray:
        values = image.frame(index).astype(np.float32)
        return np.log(values - low + 1) * np.float32((high - low) / np.log(high - low + 1)) if is_linear else values

    mask = np.mean([measured(index) for index in mask_indices], axis=0)
    pixels = np.empty(image.shape[:3], image.dtype)
    for index in range(image.shape[0]):
        difference = measured(index) - mask + np.float32(middle)
        pixels[index] = np.clip(np.rint(difference), low, high).astype(image.dtype)
    return pixels, middle


def _subtract_phases(task: Task) -> None:
    with_agent, mask = _phases(task)
    numbers = task.numbers(len(with_agent.sources))
    name = text_of(mask.sources[0].facts, "SeriesNumber") or mask.sources[0].series_instance_uid
    derivation = _derivation(f"of series {name}", is_linear=False)
    for number in numbers:
        source, other = with_agent.sources[number - 1], mask.sources[number - 1]
        with open_image(source, task.outputs) as image, open_image(other, task.outputs) as before:
            for one in (image, before):
                check_grayscale(one, task.kind.name)
            rescale = rescale_of(image.dataset)
            difference = _values(image) - _values(before)
            unknown = [is_padding(one.dataset, one.frame(0)) for one in (image, before)]
            for padded in unknown:
                if padded is not None:
                    difference[padded] = 0
            stored = np.clip(np.rint(difference / rescale.slope), *_SIGNED_16).astype(np.int16)
            dataset = derived_image(task, number, image, derivation)
            items = [reference(source, SOURCE_IMAGE, keeps_grid=True), reference(other, MASK_IMAGE, keeps_grid=True)]
            set_sequence(dataset, "SourceImageSequence", items)
            for keyword in _NOT_OF_DIFFERENCES:
                if keyword in dataset:
                    del dataset[keyword]
            dataset.BitsAllocated = dataset.BitsStored = 16
            dataset.HighBit, dataset.PixelRepresentation = 15, 1
            if "RescaleIntercept" in dataset:
                dataset.RescaleIntercept = "0"
            set_window(dataset, task.parameters.get("window"))
            task.write(number, dataset, stored)


def _phases(task: Task) -> tuple[Stack, Stack]:
    """Return the phase and its mask, whose slices lie in the same places.

    Raises
    ------
    IncompleteObjectSet, MixedObjectSet, UnusableParameters
        There are no two series, of which one is the mask, or they do not lie in the same places.
    """
    series: dict[str, list[Source]] = {}
    for source in task.sources:
        if not source.is_localizer:
            series.setdefault(source.series_instance_uid, []).append(source)
    if len(series) != 2:
        raise (IncompleteObjectSet if len(series) < 2 else MixedObjectSet)(
            f"two series are subtracted, and there are {len(series)}"
        )
    first = min(series, key=lambda uid: _moment(series[uid][0]))
    mask_uid = str(task.parameters.get("mask", first))
    if mask_uid not in series:
        raise UnusableParameters(f"the mask {mask_uid} is none of the two series")
    mask = stack_of(series.pop(mask_uid))
    with_agent = stack_of(next(iter(series.values())))
    apart = np.abs(with_agent.corners() - mask.corners()).max() if with_agent.shape == mask.shape else np.inf
    if with_agent.shape != mask.shape or apart > _SAME_PLACE_MM or len({one.modality for one in task.sources}) > 1:
        raise MixedObjectSet("the slices of the two series do not lie in the same places")
    return with_agent, mask


def _moment(source: Source) -> tuple[str, str, int]:
    moments = (text_of(source.facts, keyword) for keyword in ("AcquisitionDate", "AcquisitionTime"))
    return (*moments, integer_of(source.facts, "SeriesNumber", 0))


def _values(image: Image) -> np.ndarray:
    rescale = rescale_of(image.dataset)
    return image.frame(0).astype(np.float32) * np.float32(rescale.slope) + np.float32(rescale.intercept)


def _derivation(mask: str, is_linear: bool) -> Derivation:
    how = " of logarithms" if is_linear else ""
    return Derivation(f"Subtraction{how}: minus the mask {mask}", (PIXEL_SUBTRACTION,), "subtracted")
