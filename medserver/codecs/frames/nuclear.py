"""What NM images and doses say of their frames (PS3.3 C.8.4, C.8.8.3)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.codecs.frames.attributes import put, text_of
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.times import number_of, numbers_of, values_of
from medserver.errors import CannotTranscode

_COUNTS = (
    # the sequence, the number in its items, the vector that says to which item a frame belongs, and what is counted
    ("PhaseInformationSequence", "NumberOfFramesInPhase", "PhaseVector", "TimeSliceVector"),
    ("RotationInformationSequence", "NumberOfFramesInRotation", "RotationVector", "AngularViewVector"),
)
_NUMBERS = (
    # the vector, how many of them there are, and the sequence that describes each, if there is one
    ("EnergyWindowVector", "NumberOfEnergyWindows", "EnergyWindowInformationSequence"),
    ("DetectorVector", "NumberOfDetectors", "DetectorInformationSequence"),
    ("PhaseVector", "NumberOfPhases", "PhaseInformationSequence"),
    ("RotationVector", "NumberOfRotations", "RotationInformationSequence"),
    ("RRIntervalVector", "NumberOfRRIntervals", ""),
    ("TimeSlotVector", "NumberOfTimeSlots", ""),
    ("SliceVector", "NumberOfSlices", ""),
)
_OFFSETS = "GridFrameOffsetVector"
_ALONG_Z = ([1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0])

WANTED = (
    *(keyword for row in (*_COUNTS, *_NUMBERS) for keyword in row if keyword),
    _OFFSETS, "ImagePositionPatient", "ImageOrientationPatient",
)  # fmt: skip
"""What is read here."""


def reduce_counts(dataset: Dataset, chosen: Chosen) -> None:
    """Count the frames in each phase and rotation: different time slices, or angular views; after the vectors."""
    for sequence, count, belongs, counted in _COUNTS:
        if sequence not in dataset:
            continue
        numbers = list(map(int, values_of(dataset, belongs))) or [1] * chosen.count
        inner = list(map(int, values_of(dataset, counted))) or list(range(chosen.count))
        if len(numbers) != len(inner):
            raise CannotTranscode(f"{belongs} and {counted} have a different number of values")
        for number, item in enumerate(dataset[sequence].value or (), 1):
            if count in item:
                put(item, count, [len({each for of, each in zip(numbers, inner, strict=True) if of == number})])


def reduce_numbers(dataset: Dataset) -> None:
    """Count windows, detectors, phases and so on no further than the chosen frames go; after the vectors.

    They keep their numbers, by which positions and angles are computed. So those in front stay, with or without frames,
    and those behind the last go (PS3.3 C.8.4.8).
    """
    for vector, count, sequence in _NUMBERS:
        used = max(map(int, values_of(dataset, vector)), default=0)
        if not used or used >= (number_of(dataset, count) or 0):
            continue
        put(dataset, count, [used])
        if sequence and sequence in dataset:
            dataset[sequence].value = (dataset[sequence].value or [])[:used]


def reduce_offsets(dataset: Dataset, chosen: Chosen) -> None:
    """Have the planes of a dose keep their positions: they are offsets from Image Position, that of the first plane.

    Raises
    ------
    CannotTranscode
        They are not planes along z, of which alone the direction of the offsets is clear (PS3.3 C.8.8.3.2).
    """
    offsets = numbers_of(dataset, _OFFSETS)
    if not offsets:
        return
    if len(offsets) != chosen.of:
        raise CannotTranscode(f"{_OFFSETS} has {len(offsets)} values for {chosen.of} frames")
    position = numbers_of(dataset, "ImagePositionPatient")
    orientation = numbers_of(dataset, "ImageOrientationPatient")
    if len(position) != 3 or orientation not in _ALONG_Z:
        raise CannotTranscode("the planes of the dose are not perpendicular to the axis of the patient")
    kept = chosen.pick(offsets)
    is_relative = offsets[0] == 0
    if chosen.numbers[0] != 1:
        position[2] = position[2] + kept[0] if is_relative else kept[0]
        put(dataset, "ImagePositionPatient", list(map(text_of, position)))
    put(dataset, _OFFSETS, [text_of(each - kept[0] if is_relative else each) for each in kept])
