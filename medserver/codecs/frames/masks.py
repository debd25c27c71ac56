"""The subtraction masks of a multi-frame image (PS3.3 C.7.6.10)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.codecs.frames.attributes import drop, put
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.times import values_of

_MASKS, _MODE = "MaskSubtractionSequence", "RecommendedViewingMode"
_RANGE, _NUMBERS = "ApplicableFrameRange", "MaskFrameNumbers"
_FIXED, _NONE = "AVG_SUB", "NONE"

WANTED = (_MASKS, _MODE)
"""What `reduce` reads."""


def reduce(dataset: Dataset, chosen: Chosen) -> None:
    """Keep the mask operations that can still be done; without any, subtraction is not recommended either.

    A mask of frames needs all of these. One that is counted back from each frame (TID, REV_TID) needs neighbours.
    """
    if _MASKS not in dataset:
        return
    kept = [item for item in dataset[_MASKS].value or () if _is_kept(item, chosen)]
    if kept:
        dataset[_MASKS].value = kept
    else:
        drop(dataset, _MASKS, _MODE)


def _is_kept(item: Dataset, chosen: Chosen) -> bool:
    """Tell whether a mask operation can be done with the chosen frames; then renumber it."""
    operation = str(item.get("MaskOperation") or "").strip()
    numbers = list(map(int, values_of(item, _NUMBERS)))
    new = chosen.renumbered(numbers)
    if len(new) != len(numbers) or (operation not in (_FIXED, _NONE) and chosen.step != 1):
        return False
    limits = list(map(int, values_of(item, _RANGE)))
    ranges = [chosen.within(first, last) for first, last in zip(limits[::2], limits[1::2], strict=False)]
    if ranges and not any(ranges):
        return False
    if _NUMBERS in item:
        put(item, _NUMBERS, new)
    if ranges:
        put(item, _RANGE, [number for each in ranges if each for number in each])
    return True
