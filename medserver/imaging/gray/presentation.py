"""From what is visible to P-values: polarity, and the Presentation LUT.

References
----------
PS3.3 C.7.6.3.1.2, PS3.3 C.11.4, PS3.3 C.11.6
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.gray.lut import lut_of
from medserver.imaging.gray.modality import Stage
from medserver.imaging.values import items, text

_SHAPES = ("IDENTITY", "INVERSE")


def is_inverse(dataset: Dataset) -> bool:
    """Tell whether an image without a presentation state is rendered with its least value white.

    Presentation LUT Shape says it, where it is: INVERSE comes with MONOCHROME1, and does not invert once more. It is
    MONOCHROME1 that says it else.
    """
    shape = text(dataset, "PresentationLUTShape")
    return shape == "INVERSE" if shape in _SHAPES else text(dataset, "PhotometricInterpretation") == "MONOCHROME1"


def has_p_values(dataset: Dataset) -> bool:
    """Tell whether an image says that its values are P-values, where it has no VOI LUT.

    References
    ----------
    PS3.3 C.7.6.1
    """
    return text(dataset, "PresentationLUTShape") in _SHAPES


def presentation_stage(state: Dataset) -> Stage:
    """Return the function that the Presentation LUT of a presentation state is, from 0 to 1 and to that.

    Raises
    ------
    CannotRender
        It lies, or its shape is none of the standard's.
    """
    tables = items(state, "PresentationLUTSequence")
    if tables:
        lut = lut_of(tables[0], is_signed=False)
        # The entry at or below, as DCMTK takes it; what is one but for the last bit of a float is one.
        return lambda shades: lut.map(shades * (len(lut.entries) - 1) + 1e-6) / lut.highest
    shape = text(state, "PresentationLUTShape") or "IDENTITY"
    if shape not in _SHAPES:
        raise CannotRender(f"Presentation LUT Shape is {shape[:20]!r}")
    return inverted if shape == "INVERSE" else lambda shades: shades


def inverted(shades):
    """Return the shades with their polarity reversed."""
    return 1 - shades
