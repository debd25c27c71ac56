"""The attributes of one frame: in the functional groups of an enhanced object, or in its data set.

References
----------
PS3.3 C.7.6.16
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.imaging.values import items


def functional_group(dataset: Dataset, frame_index: int, keyword: str) -> Dataset:
    """Return the item of a functional group macro for a frame: its own, else that of all frames, else the data set.

    Parameters
    ----------
    dataset : Dataset
        An image.
    frame_index : int
        From 0.
    keyword : str
        Of the macro's sequence, such as ``FrameVOILUTSequence``.
    """
    own = items(dataset, "PerFrameFunctionalGroupsSequence")
    groups = [*own[frame_index : frame_index + 1], *items(dataset, "SharedFunctionalGroupsSequence")]
    return next((found[0] for each in groups if (found := items(each, keyword))), dataset)
