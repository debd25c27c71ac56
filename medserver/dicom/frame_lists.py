"""Which frames of an instance are asked for: the Frame Range Keys of a retrieve at the level FRAME (PS3.4 Y.3.2).

Here they are read, checked, and turned into frame numbers. The times of frames, for a Time Range, are found by who has
the instance; the new instance is made in `codecs.frames`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from medserver.errors import InvalidFrameRequest, NoFrameTimes, NoSuchFrames

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SIMPLE, CALCULATED, TIME_RANGE = "SimpleFrameList", "CalculatedFrameList", "TimeRange"
FRAME_RANGE_KEYS = (SIMPLE, CALCULATED, TIME_RANGE)
"""Of these an identifier has one (PS3.4 Y.4.1.1.3.1)."""

TO_THE_END = 0xFFFFFFFF
"""The upper limit of a last sub-range that goes to the last frame (PS3.4 Y.3.2.1.2)."""

TIME_TOLERANCE_S = 1e-6
"""Times of frames are decimal strings or have six digits, and are compared with binary numbers."""

_TRIPLET = 3
_RANGE = re.compile(r"(\d{1,10})(?:(-)(\d{1,10})?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FrameKeys:
    """The frames that are asked for.

    Parameters
    ----------
    keyword : str
        One of `FRAME_RANGE_KEYS`.
    values : tuple of int or float
        Its values as they were given: frame numbers, 3-tuples one after the other, or two times in seconds.

    Raises
    ------
    InvalidFrameRequest
        The values break the rules of the key.
    """

    keyword: str
    values: tuple[int, ...] | tuple[float, float]

    def __post_init__(self) -> None:
        if self.keyword == TIME_RANGE:
            self._check_times()
            return
        last = 0
        for first, upper_limit, increment in self._sub_ranges():
            if increment < 1 or upper_limit < first:
                raise InvalidFrameRequest(f"the sub-range {first}, {upper_limit}, {increment} is none")
            if first <= last:
                raise InvalidFrameRequest(f"frame {first} follows frame {last}: frame numbers begin at 1 and increase")
            last = upper_limit - (upper_limit - first) % increment

    @property
    def is_by_time(self) -> bool:
        """Whether the times of the frames have to be known."""
        return self.keyword == TIME_RANGE

    def numbers(self, number_of_frames: int, times_s: Sequence[float] | None = None) -> list[int]:
        """Return the numbers of the frames, in their order.

        Parameters
        ----------
        number_of_frames : int
            How many the instance has. What lies behind them is left out, as Y.3.2.1.2 says of sub-ranges.
        times_s : sequence of float, optional
            When each of them was, in seconds from the Content Time of the instance; None if that is not known.

        Raises
        ------
        NoSuchFrames
            The instance has none of them.
        NoFrameTimes
            They are asked for by time, and the times are not known.
        """
        if self.is_by_time:
            numbers = self._within(times_s)
        else:
            numbers = [
                number
                for first, upper_limit, increment in self._sub_ranges()
                for number in range(first, min(upper_limit, number_of_frames) + 1, increment)
            ]
        if not numbers:
            raise NoSuchFrames(f"none of the frames is among the {number_of_frames} of the instance")
        return numbers

    def _sub_ranges(self) -> Iterator[tuple[int, int, int]]:
        if self.keyword == SIMPLE:
            yield from ((number, number, 1) for number in self.values)
            return
        if len(self.values) % _TRIPLET:
            raise InvalidFrameRequest(f"{self.keyword} has {len(self.values)} values, which are no 3-tuples")
        yield from zip(*[iter(self.values)] * _TRIPLET, strict=True)

    def _check_times(self) -> None:
        if len(self.values) != 2 or not all(map(math.isfinite, self.values)):
            raise InvalidFrameRequest(f"{self.keyword} must have two values, its start and its end")
        if self.values[1] < self.values[0]:
            raise InvalidFrameRequest(f"{self.keyword} ends before it starts")

    def _within(self, times_s: Sequence[float] | None) -> list[int]:
        if times_s is None:
            raise NoFrameTimes("the instance does not tell when its frames were")
        start, end = self.values
        return [
            number
            for number, time_s in enumerate(times_s, 1)
            if start - TIME_TOLERANCE_S <= time_s <= end + TIME_TOLERANCE_S
        ]


def frame_keys_of(identifier: Dataset) -> FrameKeys:
    """Return what an identifier says of the frames.

    Raises
    ------
    InvalidFrameRequest
        It has none of the keys or several, or one that breaks its rules.
    """
    given = [keyword for keyword in FRAME_RANGE_KEYS if keyword in identifier and identifier[keyword].VM]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise InvalidFrameRequest(f"one of {', '.join(FRAME_RANGE_KEYS)} is needed, and {found} is there")
    [keyword] = given
    value = identifier[keyword].value
    values = [value] if identifier[keyword].VM == 1 else value
    number = float if keyword == TIME_RANGE else int
    try:
        return FrameKeys(keyword, tuple(number(each) for each in values))
    except (TypeError, ValueError, OverflowError):
        raise InvalidFrameRequest(f"{keyword} has a value that is no number") from None


def parse_frames(text: str) -> FrameKeys:
    """Read frame numbers and ranges as people write them: ``1,5-9,20-``, where the last one goes to the end.

    Raises
    ------
    ValueError
        The text is not that.
    """
    found = [_RANGE.fullmatch(part.strip()) for part in text.split(",")]
    if not all(found):
        raise ValueError(f"'{text}' is not like 1,5-9,20-")
    try:
        if not any(match.group(2) for match in found):
            return FrameKeys(SIMPLE, tuple(int(match.group(1)) for match in found))
        triplets = [
            (int(first), int(last or TO_THE_END) if dash else int(first), 1)
            for first, dash, last in (match.groups() for match in found)
        ]
        return FrameKeys(CALCULATED, tuple(number for triplet in triplets for number in triplet))
    except InvalidFrameRequest as error:
        raise ValueError(str(error)) from None
