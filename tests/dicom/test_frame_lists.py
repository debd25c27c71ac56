"""Frame Range Keys: every list of a small instance, the examples of the standard, and what is refused."""

from __future__ import annotations

from itertools import product

import pytest
from pydicom.dataset import Dataset

from medserver.dicom.frame_lists import TO_THE_END, FrameKeys, frame_keys_of, parse_frames
from medserver.errors import InvalidFrameRequest, NoFrameTimes, NoSuchFrames


def identifier(**keys: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("numbers", [numbers for count in (1, 2, 3) for numbers in product(range(5), repeat=count)])
def test_every_simple_list_of_three_frames(numbers: tuple[int, ...]) -> None:
    if list(numbers) != sorted(set(numbers)) or 0 in numbers:
        with pytest.raises(InvalidFrameRequest):
            frame_keys_of(identifier(SimpleFrameList=list(numbers)))
        return
    keys = frame_keys_of(identifier(SimpleFrameList=list(numbers)))
    found = [number for number in numbers if number <= 3]
    if not found:
        with pytest.raises(NoSuchFrames):
            keys.numbers(3)
        return
    assert keys.numbers(3) == found


@pytest.mark.parametrize("triplet", list(product(range(5), range(6), range(4))))
def test_every_sub_range(triplet: tuple[int, int, int]) -> None:
    first, last, increment = triplet
    if not 1 <= first <= last or not increment:
        with pytest.raises(InvalidFrameRequest):
            FrameKeys("CalculatedFrameList", triplet)
        return
    expected = [n for n in range(1, 4) if first <= n <= last and (n - first) % increment == 0]
    keys = FrameKeys("CalculatedFrameList", triplet)
    if expected:
        assert keys.numbers(3) == expected
        return
    with pytest.raises(NoSuchFrames):
        keys.numbers(3)


@pytest.mark.parametrize("first", list(product(range(1, 4), range(1, 5), range(1, 3))))
@pytest.mark.parametrize("second", [(2, 2, 1), (3, 5, 1), (4, TO_THE_END, 2), (6, 7, 1)])
def test_sub_ranges_follow_each_other(first: tuple, second: tuple) -> None:
    """Concatenated, they have no duplicates and increase (PS3.4 Y.3.2.1.2)."""
    if first[1] < first[0]:
        return
    listed = [*range(first[0], first[1] + 1, first[2]), *range(second[0], min(second[1], 9) + 1, second[2])]
    if listed != sorted(set(listed)):
        with pytest.raises(InvalidFrameRequest):
            FrameKeys("CalculatedFrameList", (*first, *second))
        return
    assert FrameKeys("CalculatedFrameList", (*first, *second)).numbers(9) == listed


def test_example_of_the_standard() -> None:
    keys = frame_keys_of(identifier(CalculatedFrameList=[2, 9, 3, 12, TO_THE_END, 5]))
    assert keys.numbers(25) == [2, 5, 8, 12, 17, 22]


def test_a_sub_range_behind_the_last_frame_is_ignored() -> None:
    assert FrameKeys("CalculatedFrameList", (1, 2, 1, 30, 40, 1)).numbers(25) == [1, 2]


def test_end_of_the_list_can_only_be_in_the_last_triplet() -> None:
    with pytest.raises(InvalidFrameRequest):
        FrameKeys("CalculatedFrameList", (1, TO_THE_END, 1, 30, 40, 1))


def test_time_range_has_its_ends() -> None:
    keys = frame_keys_of(identifier(TimeRange=[0.1, 0.3]))
    assert keys.numbers(5, [0.0, 0.1, 0.2, 0.1 + 0.2, 0.4]) == [2, 3, 4]
    with pytest.raises(NoSuchFrames):
        keys.numbers(2, [0.0, 0.5])
    with pytest.raises(NoFrameTimes):
        keys.numbers(2, None)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"SimpleFrameList": None},
        {"SimpleFrameList": [1], "CalculatedFrameList": [1, 2, 1]},
        {"SimpleFrameList": [1], "TimeRange": [0.0, 1.0]},
        {"CalculatedFrameList": [1, 2, 1], "TimeRange": [0.0, 1.0]},
        {"CalculatedFrameList": [1, 2]},
        {"CalculatedFrameList": [1, 2, 1, 4]},
        {"TimeRange": [1.0]},
        {"TimeRange": [1.0, 2.0, 3.0]},
        {"TimeRange": [2.0, 1.0]},
        {"TimeRange": [float("nan"), 1.0]},
        {"TimeRange": [0.0, float("inf")]},
    ],
)
def test_refused(keys: dict) -> None:
    with pytest.raises(InvalidFrameRequest):
        frame_keys_of(identifier(**keys))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1", [1]), ("1,3, 5", [1, 3, 5]), ("1,5-9", [1, 5, 6, 7, 8, 9]), ("8-", [8, 9, 10]), ("2-3,10", [2, 3, 10])],
)
def test_as_people_write_them(text: str, numbers: list[int]) -> None:
    assert parse_frames(text).numbers(10) == numbers


@pytest.mark.parametrize("text", ["", "0", "a", "-3", "3-1", "3,2", "1-4,4", "5-,7", "1;2", "1,,2", "1.5"])
def test_not_as_people_write_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_frames(text)
