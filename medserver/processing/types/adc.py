"""Apparent diffusion coefficients of MR: how fast the signal falls with the b-value, pixel by pixel.

The logarithm of the signal, averaged over directions, is fitted with a straight line. Values are in 10^-6 mm2/s.

References
----------
PS3.3 C.8.13.5.9 (MR Diffusion), C.8.3.1.1.1 (Image Type), C.7.6.16.2.11 (Real World Value Mapping)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import IncompleteObjectSet, ObjectTypeNotSupported
from medserver.processing.codes import DIFFUSION_IMAGE_ANALYSIS, SOURCE_IMAGE, Code
from medserver.processing.pixels.frames import check_grayscale
from medserver.processing.pixels.images import Source, number_of, numbers_of, open_image, text_of, texts_of
from medserver.processing.pixels.padding import is_padding
from medserver.processing.pixels.planes import set_window
from medserver.processing.pixels.results import Derivation, code_item, derived_image, reference, set_sequence
from medserver.processing.pixels.volume import rescale_of
from medserver.processing.task import Task

UNIT = 1e-6
"""What a stored value of 1 is, in mm2/s."""

_HIGHEST = 65_535
_WINDOW = (1500.0, 3000.0)
_THRESHOLD = 0.05
"""Where the signal is less than this part of the brightest of the slice there is air."""

_PRIVATE_B_VALUES = (
    (0x0019, "SIEMENS MR HEADER", 0x0C),
    (0x0043, "GEMS_PARM_01", 0x39),
    (0x2001, "Philips Imaging DD 001", 0x03),
)
"""Group, creator and element in which vendors wrote b-values before the standard had an attribute."""

_GE_OFFSET = 1_000_000_000
"""What GE adds to b-values of some sequences."""

_OF_THE_SIGNAL = (
    "DiffusionBValue", "DiffusionGradientOrientation", "DiffusionDirectionality", "DiffusionGradientDirectionSequence",
    "MRDiffusionSequence", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept",
    "RescaleType", "RealWorldValueMappingSequence",
)  # fmt: skip
_UNITS = Code("mm2/s", "UCUM", "mm2/s")

Acquisitions = dict[float, list[Source]]
"""The images of one place, by b-value."""


def adc(task: Task) -> None:
    """Write a map for each place that was acquired with two b-values or more."""
    places = _places(task)
    b_values = sorted(places[0])
    named = ", ".join(f"{value:g}" for value in b_values)
    derivation = Derivation(
        f"Apparent diffusion coefficient, b = {named} s/mm2", (DIFFUSION_IMAGE_ANALYSIS,), "ADC 10^-6 mm2/s"
    )
    for number in task.numbers(len(places)):
        place = places[number - 1]
        values = fitted(b_values, [_logarithm(task, place[value]) for value in b_values])
        with open_image(place[b_values[0]][0], task.outputs) as image:
            values[_background(image.frame(0), image.dataset)] = 0
            dataset = derived_image(task, number, image, derivation)
        _describe(dataset, number)
        sources = [reference(source, SOURCE_IMAGE, keeps_grid=True) for value in b_values for source in place[value]]
        set_sequence(dataset, "SourceImageSequence", sources)
        set_window(dataset, task.parameters.get("window", _WINDOW))
        task.write(number, dataset, np.clip(np.rint(values / UNIT), 0, _HIGHEST).astype(np.uint16))


def fitted(b_values: Sequence[float], logarithms: Sequence[np.ndarray]) -> np.ndarray:
    """Return the slope of the line that fits best, with its sign changed.

    Parameters
    ----------
    b_values : sequence of float
        In s/mm2.
    logarithms : sequence of ndarray
        Natural logarithms of the signal at each.
    """
    offsets = np.asarray(b_values) - np.mean(b_values)
    slope = sum(offset * values for offset, values in zip(offsets, logarithms, strict=True)) / (offsets @ offsets)
    return -slope


def b_value_of(dataset: Dataset) -> float | None:
    """Return the b-value of an image [s/mm2], as the standard or a vendor says it; None if nobody does."""
    if "DiffusionBValue" in dataset:
        return number_of(dataset, "DiffusionBValue", 0)
    for item in dataset.get("MRDiffusionSequence") or ():
        return number_of(item, "DiffusionBValue", 0)
    for group, creator, element in _PRIVATE_B_VALUES:
        try:
            value = dataset.private_block(group, creator)[element].value
        except KeyError:
            continue
        first = _first_number(value)
        if first is not None:
            return first % _GE_OFFSET if group == 0x0043 else first
    return None


def _first_number(value: object) -> float | None:
    """Return the first number of a private value, which may not have been decoded (VR UN)."""
    if isinstance(value, bytes):
        try:
            return float(value.decode("ascii").strip(" \0").split("\\")[0])
        except (ValueError, UnicodeDecodeError):
            return float(np.frombuffer(value, "<f4", 1)[0]) if len(value) == 4 else None
    try:
        return float(value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value)
    except (TypeError, ValueError, IndexError):
        return None


def _places(task: Task) -> list[Acquisitions]:
    """Return what was acquired at each place, in the order of places.

    Raises
    ------
    IncompleteObjectSet
        There are less than two b-values, or not the same ones everywhere.
    ObjectTypeNotSupported
        No image says its b-value.
    """
    places: dict[tuple[float, ...], Acquisitions] = {}
    for source in task.sources:
        with open_image(source, task.outputs) as image:
            if image.shape[0] > 1:
                raise ObjectTypeNotSupported(f"{source.name} has several frames")
            check_grayscale(image, task.kind.name)
            if "ADC" in texts_of(image.dataset, "ImageType"):
                continue
            b_value = b_value_of(image.dataset)
        if b_value is None:
            raise ObjectTypeNotSupported(f"{source.name} does not say its b-value")
        position = numbers_of(source.facts, "ImagePositionPatient", 3) or (0.0, 0.0, 0.0)
        orientation = numbers_of(source.facts, "ImageOrientationPatient", 6) or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        along = float(np.dot(np.cross(orientation[:3], orientation[3:]), position))
        size = text_of(source.facts, "Rows"), text_of(source.facts, "Columns")
        key = (round(along, 2), *(round(value, 2) for value in (*position, *orientation)), *map(float, size))
        places.setdefault(key, {}).setdefault(b_value, []).append(source)
    known = {tuple(sorted(place)) for place in places.values()}
    if len(known) > 1:
        raise IncompleteObjectSet("not every slice was acquired with the same b-values")
    if not known or len(next(iter(known))) < 2:
        raise IncompleteObjectSet("a coefficient needs images with two b-values")
    return [places[key] for key in sorted(places)]


def _logarithm(task: Task, sources: Sequence[Source]) -> np.ndarray:
    """Return the mean of the logarithms of what was acquired in several directions."""
    total: np.ndarray | float = 0.0
    for source in sources:
        with open_image(source, task.outputs) as image:
            rescale = rescale_of(image.dataset)
            signal = image.frame(0).astype(np.float64) * rescale.slope + rescale.intercept
            total = total + np.log(np.maximum(signal, rescale.slope))
    return np.asarray(total) / len(sources)


def _background(frame: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return where there is no signal worth the name, or padding."""
    padded = is_padding(dataset, frame)
    low = frame < _THRESHOLD * np.percentile(frame, 99.5)
    return low if padded is None else low | padded


def _describe(dataset: Dataset, number: int) -> None:
    for tag in [tag for tag in dataset.keys() if tag.is_private]:
        del dataset[tag]
    for keyword in _OF_THE_SIGNAL:
        if keyword in dataset:
            del dataset[keyword]
    dataset.ImageType = ["DERIVED", "SECONDARY", "DIFFUSION MAP", "ADC"]
    dataset.InstanceNumber = number
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    mapping = Dataset()
    mapping.LUTExplanation, mapping.LUTLabel = "Apparent diffusion coefficient", "ADC"
    mapping.add_new("RealWorldValueFirstValueMapped", "US", 0)
    mapping.add_new("RealWorldValueLastValueMapped", "US", _HIGHEST)
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, UNIT
    set_sequence(mapping, "MeasurementUnitsCodeSequence", [code_item(_UNITS)])
    dataset.RealWorldValueMappingSequence = [mapping]
