"""What an instance says of its frames, changed to what is true of those that were chosen (PS3.4 Y.3.3).

The tables say what becomes of which attribute; what more than one of them depends on is in `cine`, `nuclear`, `masks`
and `overlays`. What they do not name stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.times import pointers, values_of
from medserver.errors import CannotTranscode

VECTORS = (
    # NM (PS3.3 C.8.4.8); the numbers in them stay, for steps and angles are counted by them
    "EnergyWindowVector", "DetectorVector", "PhaseVector", "RotationVector", "RRIntervalVector", "TimeSlotVector",
    "SliceVector", "AngularViewVector", "TimeSliceVector",
    # multi-frame SC (PS3.3 C.8.6.4)
    "PageNumberVector", "FrameLabelVector", "FramePrimaryAngleVector", "FrameSecondaryAngleVector",
    "SliceLocationVector", "DisplayWindowLabelVector",
)  # fmt: skip
"""One value for each frame: those of the chosen ones are kept, also of what else Frame Increment Pointer names."""

FRAME_NUMBERS = (
    # PS3.3 C.7.6.9, C.7.6.6, C.8.4.8
    "RepresentativeFrameNumber", "RWavePointer",
)  # fmt: skip
"""One value for each frame: those of the chosen ones are kept, also of what else Frame Increment Pointer has."""

FRAMES_OF_INTEREST = ("FrameNumbersOfInterest", "FrameOfInterestDescription", "FrameOfInterestType")
"""Numbers of frames, with what is said of each (PS3.3 C.7.6.9)."""

RANGES = (
    # PS3.3 C.7.6.5, C.8.5.6 (IVUS)
    ("StartTrim", "StopTrim"),
    ("IVUSPullbackStartFrameNumber", "IVUSPullbackStopFrameNumber"),
)  # fmt: skip
"""The first and the last frame of something: of the chosen ones, the first and the last of the range."""

ITEMS_OF_FRAMES = {
    # PS3.3 C.7.6.14, C.8.8.2
    "AcquisitionContextSequence": "ReferencedFrameNumbers",
    "ExposureSequence": "ReferencedFrameNumber",
}
"""Sequence -> the numbers of the frames that an item is about: those without any are left out."""

_ELSEWHERE = ("FrameTime", "FrameTimeVector", "GridFrameOffsetVector")  # in `cine` and `nuclear`
_TYPE_2 = "AcquisitionContextSequence"  # in which there need be no item

CONCATENATION = (
    "ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber", "ConcatenationFrameOffsetNumber",
    "SOPInstanceUIDOfConcatenationSource",
)  # fmt: skip
"""The new instance is in none (PS3.4 Y.3.3, PS3.3 C.7.6.16)."""

LEFT_OUT = (
    *CONCATENATION,
    "PixelDataProviderURL",  # PS3.4 Y.3.3
    # of the frames together, or of the instance that was created before; Type 3
    "InstanceCreationDate", "InstanceCreationTime", "InstanceCreatorUID", "EffectiveDuration", "IconImageSequence",
    # what is signed has changed
    "DigitalSignaturesSequence", "MACParametersSequence", "DataSetTrailingPadding",
)  # fmt: skip
"""What would not be true of the new instance."""

SECONDARY_CAPTURES = frozenset(f"1.2.840.10008.5.1.4.1.1.7.{number}" for number in range(1, 5))
"""Of a single frame they have no Frame Increment Pointer (PS3.3 C.8.6.3), and nothing that it would name."""

NO_NEW_INSTANCE = {
    "SelectedFrameFunctionalGroupsSequence": "functional groups of selected frames",
}
"""What says of frames what is not taken apart -> in words."""

WANTED = (
    "NumberOfFrames", "FrameIncrementPointer", *VECTORS, *FRAME_NUMBERS, *FRAMES_OF_INTEREST,
    *(keyword for pair in RANGES for keyword in pair), *ITEMS_OF_FRAMES, *NO_NEW_INSTANCE,
)  # fmt: skip
"""What `reduce` reads."""


def reduce(dataset: Dataset, chosen: Chosen) -> None:
    """Change the attributes of the tables, and Number of Frames.

    Raises
    ------
    CannotTranscode
        A vector does not have one value for each frame.
    """
    for keyword, meaning in NO_NEW_INSTANCE.items():
        if keyword in dataset:
            raise CannotTranscode(f"the object has {meaning}, which are not taken apart")
    put(dataset, "NumberOfFrames", [chosen.count])
    for keyword in VECTORS:
        _pick(dataset, tag_for_keyword(keyword), chosen)
    for tag in _other_vectors(dataset):
        if len(values_of(dataset, tag)) > 1:
            _pick(dataset, tag, chosen)
    if chosen.count == 1 and dataset.get("SOPClassUID") in SECONDARY_CAPTURES:
        drop(dataset, "FrameIncrementPointer", "FrameTime", "FrameTimeVector", *VECTORS)
    for keyword in FRAME_NUMBERS:
        if keyword in dataset:
            put(dataset, keyword, chosen.renumbered(map(int, values_of(dataset, keyword))))
    _reduce_frames_of_interest(dataset, chosen)
    for first, last in RANGES:
        _reduce_range(dataset, first, last, chosen)
    for keyword, numbers in ITEMS_OF_FRAMES.items():
        reduce_items(dataset, keyword, numbers, chosen)


def put(dataset: Dataset, keyword: str | int, values: list) -> None:
    """Give an attribute other values; without any it goes. Values that were wrong before stay so."""
    tag = tag_for_keyword(keyword) if isinstance(keyword, str) else keyword
    vr = dataset[tag].VR if tag in dataset else dictionary_VR(tag)
    if not values:
        drop(dataset, tag)
        return
    value = values if len(values) > 1 else values[0]
    dataset[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)


def drop(dataset: Dataset, *keywords: str | int) -> None:
    """Remove attributes, which may be missing."""
    for keyword in keywords:
        if keyword in dataset:
            del dataset[keyword]


def reduce_items(dataset: Dataset, keyword: str, numbers: str, chosen: Chosen) -> None:
    """Renumber the frames of the items of a sequence; those of none of the chosen frames go.

    An item that names no frame is about all of them. Without any item the sequence goes, unless it may be empty.
    """
    if keyword not in dataset:
        return
    items = []
    for item in dataset[keyword].value or ():
        named = list(map(int, values_of(item, numbers)))
        new = chosen.renumbered(named)
        if named and not new:
            continue
        if named:
            put(item, numbers, new)
        items.append(item)
    if items or keyword == _TYPE_2:
        dataset[keyword].value = items
    else:
        drop(dataset, keyword)


def text_of(number: float) -> str:
    """Return a number as a decimal string of at most 16 characters (PS3.5 6.2)."""
    return f"{number:.10g}"[:16]


def _other_vectors(dataset: Dataset) -> Iterator[int]:
    """Yield what Frame Increment Pointer names and no other function knows."""
    known = {tag_for_keyword(keyword) for keyword in (*VECTORS, *_ELSEWHERE)}
    for tag in pointers(dataset):
        if tag not in known and tag in dataset and dataset[tag].VR != "SQ":
            yield tag


def _pick(dataset: Dataset, tag: int, chosen: Chosen) -> None:
    values = values_of(dataset, tag)
    if len(values) == chosen.of:
        put(dataset, tag, chosen.pick(values))
    elif values and tag in pointers(dataset):
        raise CannotTranscode(
            f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has {len(values)} values for {chosen.of} frames"
        )
    elif values:
        drop(dataset, tag)  # nobody can tell of which frames they are


def _reduce_frames_of_interest(dataset: Dataset, chosen: Chosen) -> None:
    numbers = list(map(int, values_of(dataset, FRAMES_OF_INTEREST[0])))
    is_kept = [number in chosen.numbers for number in numbers]
    for keyword in FRAMES_OF_INTEREST[1:]:
        values = values_of(dataset, keyword)
        kept = [value for value, keep in zip(values, is_kept, strict=False) if keep]
        if keyword in dataset:
            put(dataset, keyword, kept if len(values) == len(numbers) else [])
    if FRAMES_OF_INTEREST[0] in dataset:
        put(dataset, FRAMES_OF_INTEREST[0], chosen.renumbered(numbers))


def _reduce_range(dataset: Dataset, first: str, last: str, chosen: Chosen) -> None:
    start, stop = values_of(dataset, first), values_of(dataset, last)
    if not start and not stop:
        return
    inside = chosen.within(int(start[0]) if start else 1, int(stop[0]) if stop else chosen.of)
    for keyword, present, number in zip((first, last), (start, stop), inside or (None, None), strict=True):
        if present:
            put(dataset, keyword, [] if number is None else [number])
