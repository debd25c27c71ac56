"""When the frames of an instance were, in seconds from its Content Time (PS3.4 Y.3.2.1.3)."""

from __future__ import annotations

from datetime import datetime
from itertools import accumulate

from pydicom.dataset import Dataset

from medserver.dicom.dates import normalise_date_time

FRAME_TIME, FRAME_TIME_VECTOR = 0x00181063, 0x00181065

_MS_PER_S = 1000


def frame_times_ms(dataset: Dataset, number_of_frames: int) -> list[float] | None:
    """Return when the frames of a cine image were [ms from Content Time]; None if it does not tell.

    Parameters
    ----------
    dataset : Dataset
        Has the elements of the Cine Module, and Frame Increment Pointer.
    number_of_frames : int
        How many there are.

    References
    ----------
    PS3.3 C.7.6.5.1.1, C.7.6.5.1.2
    """
    delay = number_of(dataset, "FrameDelay") or 0.0
    vector = numbers_of(dataset, "FrameTimeVector")
    frame_time = number_of(dataset, "FrameTime")
    by_vector = len(vector) == number_of_frames
    if by_vector and (frame_time is None or FRAME_TIME not in pointers(dataset)):
        return [delay + time for time in accumulate([0.0, *vector[1:]])]
    if frame_time is not None:
        return [delay + frame_time * index for index in range(number_of_frames)]
    return None


def frame_times_s(dataset: Dataset, number_of_frames: int, date_times: list[bytes]) -> list[float] | None:
    """Return when the frames were [s from Content Time]; None if the instance does not tell.

    Parameters
    ----------
    dataset, number_of_frames
        As for `frame_times_ms`; with Content Date, Content Time and Timezone Offset From UTC.
    date_times : list of bytes
        Frame Reference DateTime of each frame, empty where there is none.
    """
    if len(date_times) == number_of_frames and all(date_times):
        date, time, zone = (
            str(dataset.get(keyword) or "").strip(" \0")
            for keyword in ("ContentDate", "ContentTime", "TimezoneOffsetFromUTC")
        )
        start = _moment(date + time, zone)
        moments = [_moment(each.decode("ascii", "replace").strip(" \0"), zone) for each in date_times]
        if date and time and start is not None and None not in moments:
            return [(moment - start).total_seconds() for moment in moments]
    times_ms = frame_times_ms(dataset, number_of_frames)
    return None if times_ms is None else [time / _MS_PER_S for time in times_ms]


def pointers(dataset: Dataset) -> list[int]:
    """Return the attributes that Frame Increment Pointer names."""
    if "FrameIncrementPointer" not in dataset or not dataset["FrameIncrementPointer"].VM:
        return []
    value = dataset.FrameIncrementPointer
    return [int(value)] if dataset["FrameIncrementPointer"].VM == 1 else [int(each) for each in value]


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """Return a value as a number, None if there is none."""
    numbers = numbers_of(dataset, keyword)
    return numbers[0] if numbers else None


def numbers_of(dataset: Dataset, keyword: str) -> list[float]:
    """Return the values of an attribute as numbers; none if it has none."""
    return [float(value) for value in values_of(dataset, keyword)]


def values_of(dataset: Dataset, keyword: str | int) -> list:
    """Return the values of an attribute; none if it is missing or empty."""
    if keyword not in dataset or not dataset[keyword].VM:
        return []
    value = dataset[keyword].value
    return [value] if dataset[keyword].VM == 1 else list(value)


def _moment(text: str, zone: str) -> datetime | None:
    """Return a moment in UTC; without an offset of its own it has that of the instance (PS3.3 C.12.1.1.8)."""
    if zone and "+" not in text and "-" not in text:
        text += zone
    normalised = normalise_date_time(text)
    if normalised is None:
        return None
    try:
        return datetime.strptime(normalised, "%Y%m%d%H%M%S.%f")
    except ValueError:  # a leap second
        return None
