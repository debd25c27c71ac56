"""Which way the edges of a shown image point: letters as Patient Orientation has them.

References
----------
PS3.3 C.7.6.1.1.1, PS3.3 C.7.6.2.1.1
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from medserver.imaging.functional_groups import functional_group
from medserver.imaging.values import numbers, texts
from medserver.imaging.view import View

_POSITIVE, _NEGATIVE = "LPH", "RAF"
_OPPOSITE = str.maketrans("LRPAHFTB", "RLAPFHBT")  # T and B: of toes and fingers, in the letters of animals too
_COMPONENT_MIN = 0.2
"""A direction gets a letter for each axis along which it goes farther: 0.2 are 12 degrees."""


@dataclass(frozen=True, slots=True)
class Edges:
    """The letters of the four edges, empty where nothing is known."""

    left: str
    top: str
    right: str
    bottom: str


def edges_of(dataset: Dataset, frame_index: int, view: View) -> Edges | None:
    """Return the letters at the edges of what is shown of an image; None if its orientation is not known.

    Parameters
    ----------
    dataset : Dataset
        The image.
    frame_index : int
        From 0.
    view : View
        How it is shown.

    Raises
    ------
    CannotRender
        A number is none.
    """
    right, bottom = _directions(dataset, frame_index)
    if not right and not bottom:
        return None
    around = [_opposite(right), _opposite(bottom), right, bottom]  # left, top, right, bottom
    for _ in range(view.rotation // 90):  # clockwise: what was at the left is at the top
        around = [around[3], *around[:3]]
    if view.is_flipped:
        around[0], around[2] = around[2], around[0]
    return Edges(*around)


def letters(direction: tuple[float, float, float]) -> str:
    """Return the letters of a direction in the patient, the farthest component first."""
    order = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    found = [(axis, direction[axis]) for axis in order if abs(direction[axis]) >= _COMPONENT_MIN]
    return "".join(_POSITIVE[axis] if component > 0 else _NEGATIVE[axis] for axis, component in found)


def _directions(dataset: Dataset, frame_index: int) -> tuple[str, str]:
    """Return where rows and columns go: to the right edge, and to the bottom."""
    source = functional_group(dataset, frame_index, "PlaneOrientationSequence")
    cosines = numbers(source, "ImageOrientationPatient")
    if len(cosines) == 6:
        return letters(cosines[:3]), letters(cosines[3:])
    stated = texts(dataset, "PatientOrientation")
    return (stated[0], stated[1]) if len(stated) == 2 else ("", "")


def _opposite(direction: str) -> str:
    return direction.translate(_OPPOSITE)
