"""From stored values to those of the modality: Rescale Slope and Intercept, or a table.

References
----------
PS3.3 C.11.1, PS3.3 C.7.6.16.2.9
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.gray.lut import lut_of
from medserver.imaging.values import items, number

Stage = Callable[[np.ndarray], np.ndarray]


def modality_stage(source: Dataset, is_signed: bool) -> Stage:
    """Return the function from stored values to those of the modality, such as HU.

    Parameters
    ----------
    source : Dataset
        Where the Modality LUT Module or the Pixel Value Transformation is: image, functional group, presentation state.
    is_signed : bool
        Whether stored values can be negative.

    Raises
    ------
    CannotRender
        The table lies, or the slope is 0.
    """
    tables = items(source, "ModalityLUTSequence")
    if tables:
        lut = lut_of(tables[0], is_signed)
        return lambda values: lut.map(values).astype(np.float64)
    slope, intercept = number(source, "RescaleSlope", 1.0), number(source, "RescaleIntercept", 0.0)
    if slope == 0:
        raise CannotRender("Rescale Slope is 0")
    if (slope, intercept) == (1.0, 0.0):
        return lambda values: values
    return lambda values: values * slope + intercept
