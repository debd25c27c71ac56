"""The times and the movement of frames that were chosen out of a loop (PS3.3 C.7.6.5, C.8.7.4, C.8.7.5)."""

from __future__ import annotations

from itertools import pairwise

from pydicom.dataset import Dataset

from medserver.codecs.frames.attributes import drop, put, text_of
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.times import (
    FRAME_TIME,
    FRAME_TIME_VECTOR,
    frame_times_ms,
    number_of,
    numbers_of,
    pointers,
    values_of,
)
from medserver.errors import CannotTranscode

_ANGLES = {
    "PositionerPrimaryAngleIncrement": "PositionerPrimaryAngle",
    "PositionerSecondaryAngleIncrement": "PositionerSecondaryAngle",
}
_TABLE = ("TableVerticalIncrement", "TableLongitudinalIncrement", "TableLateralIncrement")
_MOTIONS = {"PositionerMotion": (*_ANGLES,), "TableMotion": _TABLE}
_RATES = ("CineRate", "RecommendedDisplayFrameRate", "RecommendedDisplayFrameRateInFloat")

WANTED = (
    "FrameTime", "FrameTimeVector", "FrameDelay", "ImageTriggerDelay", "RWaveTimeVector", *_RATES, *_MOTIONS, *_ANGLES,
    *_ANGLES.values(), *_TABLE,
)  # fmt: skip
"""What `reduce` reads, with Frame Increment Pointer."""


def reduce(dataset: Dataset, chosen: Chosen) -> None:
    """Have each frame keep its time, and its position.

    Raises
    ------
    CannotTranscode
        A vector does not have one value for each frame.
    """
    _reduce_times(dataset, chosen)
    for motion, increments in _MOTIONS.items():
        for keyword in increments:
            _reduce_increment(dataset, keyword, chosen)
        if chosen.count == 1 and values_of(dataset, motion):
            put(dataset, motion, ["STATIC"])  # PS3.3 C.8.7.4.1.1, C.8.7.5.1.1: of a single frame


def _reduce_times(dataset: Dataset, chosen: Chosen) -> None:
    if chosen.count > 1 and chosen.step != 1:
        drop(dataset, *_RATES)  # Type 3, and whole numbers
    if chosen.numbers[0] != 1:
        drop(dataset, "RWaveTimeVector")  # Type 3: times from the first frame
    vector = values_of(dataset, "FrameTimeVector")
    if vector and len(vector) != chosen.of and FRAME_TIME_VECTOR in pointers(dataset):
        raise CannotTranscode(f"Frame Time Vector has {len(vector)} values for {chosen.of} frames")
    times = frame_times_ms(dataset, chosen.of)
    if times is None:
        drop(dataset, "FrameTimeVector")
        return
    kept = chosen.pick(times)
    shift = kept[0] - times[0]
    if shift:
        put(dataset, "FrameDelay", [text_of(kept[0])])
        if (trigger := number_of(dataset, "ImageTriggerDelay")) is not None:
            put(dataset, "ImageTriggerDelay", [text_of(trigger + shift)])
    frame_time = number_of(dataset, "FrameTime")
    increments = [text_of(later - earlier) for earlier, later in pairwise(kept)]
    if vector:
        put(dataset, "FrameTimeVector", ["0", *increments] if len(vector) == chosen.of else [])
    if frame_time is None or chosen.count == 1 or chosen.step == 1:
        return
    if chosen.step is not None:
        put(dataset, "FrameTime", [text_of(frame_time * chosen.step)])
        return
    drop(dataset, "FrameTime")
    named = pointers(dataset)
    if FRAME_TIME in named:
        put(dataset, "FrameTimeVector", ["0", *increments])
        others = (tag for tag in named if tag != FRAME_TIME_VECTOR)
        put(dataset, "FrameIncrementPointer", [FRAME_TIME_VECTOR if tag == FRAME_TIME else tag for tag in others])


def _reduce_increment(dataset: Dataset, keyword: str, chosen: Chosen) -> None:
    """Keep the offsets of the chosen frames from the initial position, which stays: one value a frame.

    A single value was the average change from frame to frame (PS3.3 C.8.7.5.1.3).
    """
    values = numbers_of(dataset, keyword)
    if len(values) == 1 and chosen.of > 1:
        values = [values[0] * index for index in range(chosen.of)]
    if len(values) != chosen.of:
        if values:
            drop(dataset, keyword)  # nobody can tell of which frames they are
        return
    offsets = chosen.pick(values)
    if chosen.count > 1:
        put(dataset, keyword, list(map(text_of, offsets)))
        return
    drop(dataset, keyword)
    angle = _ANGLES.get(keyword)
    if angle and (initial := number_of(dataset, angle)) is not None:
        put(dataset, angle, [text_of(initial + offsets[0])])
