"""Mask subtraction of a presentation state: what a frame has more than the average of others.

References
----------
PS3.3 C.7.6.10, PS3.3 C.11.13, PS3.4 N.2.1.2
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.gray.modality import Stage
from medserver.imaging.pixels import Frame, read_frame
from medserver.imaging.values import integer, items, numbers, text

FRAMES_MAX = 1000


def subtract_mask(state: Dataset, dataset: Dataset, frame_index: int, frame: Frame, modality: Stage) -> Frame | None:
    """Return a frame without its mask, in values of the modality; None if the state subtracts none.

    Parameters
    ----------
    state : Dataset
        A presentation state.
    dataset : Dataset
        The image.
    frame_index : int
        From 0.
    frame : Frame
        Its cells.
    modality : callable
        The modality LUT.

    Raises
    ------
    CannotRender
        It is another operation than the average of frames, or these are shifted.
    """
    operation = next((each for each in items(state, "MaskSubtractionSequence") if _applies(each, frame_index)), None)
    if operation is None or text(operation, "MaskOperation") == "NONE":
        return None
    if text(operation, "MaskOperation") != "AVG_SUB":
        raise CannotRender(f"Mask Operation is {text(operation, 'MaskOperation')[:20]!r}, which is not followed")
    if any(numbers(operation, "MaskSubPixelShift")):
        raise CannotRender("a mask with a Mask Sub-pixel Shift is not followed")
    if integer(operation, "ContrastFrameAveraging", 1) != 1:
        raise CannotRender("a mask with Contrast Frame Averaging is not followed")
    frame_numbers = numbers(operation, "MaskFrameNumbers")
    if not 1 <= len(frame_numbers) <= FRAMES_MAX:
        raise CannotRender(f"a mask of {len(frame_numbers)} frames")
    total = np.zeros(frame.cells.shape)
    for number in frame_numbers:
        total += modality(read_frame(dataset, int(number) - 1).cells.astype(np.float64))
    difference = modality(frame.cells.astype(np.float64)) - total / len(frame_numbers)
    bounds = modality(np.array([frame.low, frame.high], np.float64))
    span = int(abs(bounds[1] - bounds[0]))
    return Frame(difference, -span, span, frame.words)


def _applies(operation: Dataset, frame_index: int) -> bool:
    """Tell whether an operation is for a frame: its ranges are pairs of first and last number (PS3.3 C.7.6.10)."""
    ranges = numbers(operation, "ApplicableFrameRange")
    pairs = zip(ranges[::2], ranges[1::2], strict=False)
    return not ranges or any(first <= frame_index + 1 <= last for first, last in pairs)
