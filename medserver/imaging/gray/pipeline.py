"""The grayscale transformations one after the other: from the cells of a frame to P-values.

The result is a function of the stored value alone, so it is computed once for each value that Bits Stored can hold,
and looked up for each pixel.

References
----------
PS3.4 N.2.1
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.functional_groups import functional_group
from medserver.imaging.gray.mask import subtract_mask
from medserver.imaging.gray.modality import Stage, modality_stage
from medserver.imaging.gray.padding import padding_mask
from medserver.imaging.gray.presentation import has_p_values, inverted, is_inverse, presentation_stage
from medserver.imaging.gray.voi import range_stage, stored_stage, window_stage
from medserver.imaging.options import PixelRange, Rendering, Window
from medserver.imaging.pixels import Frame
from medserver.imaging.presentation_states import voi_item

TABLE_SIZE_MAX = 1 << 16
BLOCK_PIXELS = 1 << 20
"""Pixels that are computed at a time: the steps between need eight bytes for each."""

_IDENTITY_BITS = 8
"""Images of no more bits and without any VOI LUT are shown as they are: secondary captures, ultrasound."""


@dataclass(frozen=True, slots=True)
class Grays:
    """The gray values of a frame.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns), uint8 or uint16
        P-values, which use all bits.
    padding : ndarray, shape (rows, columns), bool, optional
        Which pixels are no part of the image. They are black.
    """

    pixels: np.ndarray
    padding: np.ndarray | None


def render_grays(dataset: Dataset, frame_index: int, frame: Frame, options: Rendering) -> Grays:
    """Return the P-values of a frame of one sample per pixel.

    Parameters
    ----------
    dataset : Dataset
        The image.
    frame_index : int
        From 0.
    frame : Frame
        Its cells.
    options : Rendering
        What is asked for.

    Raises
    ------
    CannotRender
        A window, table or number cannot be used.
    """
    state = options.presentation_state
    source = functional_group(dataset, frame_index, "PixelValueTransformationSequence") if state is None else state
    modality = modality_stage(source, frame.low < 0)
    padding = padding_mask(dataset, frame)
    difference = None if state is None else subtract_mask(state, dataset, frame_index, frame, modality)
    if difference is not None:
        frame, modality = difference, _same
    visible = _voi(dataset, frame_index, frame, options, modality, padding)
    shown = _presentation(dataset, options)
    greatest = (1 << options.bits) - 1

    def transform(values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers that no image has
            shades = shown(visible(modality(values.astype(np.float64))))
        return np.rint(np.nan_to_num(shades) * greatest).astype(f"u{options.bits // 8}")

    pixels = _applied(frame, transform)
    if padding is not None:
        pixels[padding] = 0
    return Grays(pixels, padding)


def _applied(frame: Frame, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the function of all cells, by a table if they can have few values."""
    if frame.is_integer and frame.high - frame.low < TABLE_SIZE_MAX:
        table = transform(np.arange(frame.low, frame.high + 1))

        def of(cells: np.ndarray) -> np.ndarray:
            return table[cells.astype(np.int32) - frame.low]
    else:

        def of(cells: np.ndarray) -> np.ndarray:
            return transform(np.where(np.isfinite(cells), cells, 0))

    rows, columns = frame.cells.shape
    step = max(BLOCK_PIXELS // columns, 1)
    return np.concatenate([of(frame.cells[row : row + step]) for row in range(0, rows, step)])


def _voi(
    dataset: Dataset,
    frame_index: int,
    frame: Frame,
    options: Rendering,
    modality: Stage,
    padding: np.ndarray | None,
) -> Stage:
    """Return the VOI stage: what is asked for, else what presentation state or image say, else a range."""
    if isinstance(options.voi, Window):
        return window_stage(options.voi)
    if isinstance(options.voi, PixelRange):
        return range_stage(*_range_of_pixels(frame, modality, padding))
    bounds = _range_of_bits(frame, modality)
    is_signed = bounds[0] < 0
    if options.presentation_state is not None and options.voi is None:
        item = voi_item(options.presentation_state, dataset, frame_index)
        stage = None if item is None else stored_stage(item, is_signed)
        return stage or range_stage(*bounds)  # identity (PS3.4 N.2.1.3)
    source = functional_group(dataset, frame_index, "FrameVOILUTSequence")
    stage = stored_stage(source, is_signed, options.voi)
    if stage is not None:
        return stage
    if frame.is_integer and (frame.high - frame.low < 1 << _IDENTITY_BITS or has_p_values(dataset)):
        return range_stage(*bounds)
    return range_stage(*_range_of_pixels(frame, modality, padding))


def _range_of_bits(frame: Frame, modality: Stage) -> tuple[float, float]:
    """Return the least and the greatest value of the modality that a stored value can become."""
    if frame.is_integer and frame.high - frame.low < TABLE_SIZE_MAX:
        stored = np.arange(frame.low, frame.high + 1, dtype=np.float64)
    else:
        stored = np.array([frame.low, frame.high], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        values = modality(stored)
    return float(values.min()), float(values.max())


def _range_of_pixels(frame: Frame, modality: Stage, padding: np.ndarray | None) -> tuple[float, float]:
    """Return the least and the greatest value of the modality among the pixels that are part of the image."""
    cells = frame.cells if padding is None else frame.cells[~padding]
    if not cells.size:
        return 0.0, 0.0
    if frame.is_integer and frame.high - frame.low < TABLE_SIZE_MAX:
        present = np.zeros(frame.high - frame.low + 1, bool)
        present[cells.astype(np.int32) - frame.low] = True
        stored = np.flatnonzero(present).astype(np.float64) + frame.low
    else:
        stored = np.array([cells.min(), cells.max()], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        values = modality(stored)
    if not np.isfinite(values).all():
        raise CannotRender("the values of the pixels are beyond what a number holds")
    return float(values.min()), float(values.max())


def _presentation(dataset: Dataset, options: Rendering) -> Stage:
    """Return the stage behind the VOI LUT, polarity included."""
    if options.presentation_state is not None:
        stage = presentation_stage(options.presentation_state)  # MONOCHROME1 does not invert once more (PS3.3 C.11.6)
    else:
        stage = inverted if is_inverse(dataset) else _same
    return (lambda shades: inverted(stage(shades))) if options.is_inverted else stage


def _same(shades: np.ndarray) -> np.ndarray:
    return shades
