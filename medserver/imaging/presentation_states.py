"""Softcopy Presentation States: which image they are for, and which of their items.

References
----------
PS3.3 A.33, PS3.3 C.11.8, PS3.3 C.11.11, PS3.4 N
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.values import items, numbers, text


FOLLOWED = (
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.2",  # Color: the same without gray values
    "",
)
"""The SOP classes whose transformations are those of PS3.4 N.2.1; others map values to colours, or blend images."""


def check_state(state: Dataset, dataset: Dataset, frame_index: int) -> None:
    """Refuse what is no presentation state that can be followed, or is for other images.

    Raises
    ------
    CannotRender
        It is of another SOP class, or does not refer to the frame.
    """
    sop_class_uid = text(state, "SOPClassUID")
    if sop_class_uid not in FOLLOWED:
        raise CannotRender(f"an object of SOP class {sop_class_uid[:64]} is no presentation state that is followed")
    check_reference(state, dataset, frame_index)


def check_reference(state: Dataset, dataset: Dataset, frame_index: int) -> None:
    """Refuse a presentation state that is for other images.

    Raises
    ------
    CannotRender
        It does not refer to the image, or not to this frame of it.
    """
    referenced = [
        image
        for series in items(state, "ReferencedSeriesSequence")
        for image in items(series, "ReferencedImageSequence")
    ]
    if not any(refers_to(each, dataset, frame_index) for each in referenced):
        raise CannotRender(f"the presentation state does not refer to frame {frame_index + 1} of the image")


def refers_to(reference: Dataset, dataset: Dataset, frame_index: int) -> bool:
    """Tell whether an item of a Referenced Image Sequence is for a frame; one without frames is for all."""
    if text(reference, "ReferencedSOPInstanceUID") != text(dataset, "SOPInstanceUID"):
        return False
    frames = numbers(reference, "ReferencedFrameNumber")
    return not frames or frame_index + 1 in frames


def applicable_items(state: Dataset, key: str, dataset: Dataset, frame_index: int) -> tuple[Dataset, ...]:
    """Return the items of a sequence that are for a frame: those that refer to it, and those that refer to nothing."""
    return tuple(
        each
        for each in items(state, key)
        if not (references := items(each, "ReferencedImageSequence"))
        or any(refers_to(one, dataset, frame_index) for one in references)
    )


def voi_item(state: Dataset, dataset: Dataset, frame_index: int) -> Dataset | None:
    """Return the item of the Softcopy VOI LUT Sequence that is for a frame, None if none is."""
    return next(iter(applicable_items(state, "SoftcopyVOILUTSequence", dataset, frame_index)), None)
