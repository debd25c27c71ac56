"""The pixels of an image box as an imager gets them: P-values of 8 or 12 bits, or colours. Worker processes do it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medserver.printing.composition import SourceImage
from medserver.printing.density import p_values
from medserver.printing.film import Film, ImageBox
from medserver.printing.strips import strip_of


@dataclass(frozen=True, slots=True)
class BoxPixels:
    """What an image box is sent.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns) or (rows, columns, 3), uint8 or uint16
        0 is the darkest.
    bits : int
        Of a gray value: 8 or 12.
    """

    pixels: np.ndarray
    bits: int


def box_pixels(film: Film, box: ImageBox, image: SourceImage, bits_max: int, is_colour: bool) -> BoxPixels:
    """Return the pixels of an image box.

    Raises
    ------
    CannotRender
        Its Presentation LUT is none.
    """
    greatest = 255 if image.pixels.ndim == 3 else (1 << image.bits) - 1
    pixels = greatest - image.pixels if box.polarity == "REVERSE" else image.pixels
    if pixels.ndim == 3:
        return BoxPixels(np.ascontiguousarray(pixels) if is_colour else _gray(pixels), 8)
    values, value_bits = p_values(pixels, image.bits, box.presentation_lut or film.presentation_lut)
    bits = bits_max if value_bits > 8 and not is_colour else 8
    scaled = _scaled(values, value_bits, bits)
    return BoxPixels(np.stack((scaled,) * 3, axis=2) if is_colour else scaled, bits)


def with_strip(made: BoxPixels, warnings: Sequence[str], heading: Sequence[str] = ()) -> BoxPixels:
    """Return pixels with lines of text above them, warnings in inverted letters: the image itself stays as it is.

    What is longer than the image is wide goes on in the next line.
    """
    if not warnings and not heading:
        return made
    strip = strip_of(made.pixels.shape[1], warnings, heading)
    levels = strip.astype(made.pixels.dtype) << (made.bits - 8)
    if made.pixels.ndim == 3:
        levels = np.stack((levels,) * 3, axis=2)
    return BoxPixels(np.concatenate((levels, made.pixels)), made.bits)


def write_pixels(descriptor: int, made: BoxPixels) -> int:
    """Write pixels behind what is written already, of even length as Pixel Data is; return their size in bytes."""
    content = made.pixels.astype("<u2" if made.bits > 8 else np.uint8, copy=False).tobytes()
    content += b"\0" * (len(content) % 2)
    with os.fdopen(descriptor, "ab", closefd=False) as file:
        file.write(content)
    return len(content)


def _scaled(values: np.ndarray, bits: int, wanted_bits: int) -> np.ndarray:
    """Return values with another number of bits: the least stays the least, the greatest becomes the greatest."""
    dtype = np.uint8 if wanted_bits == 8 else np.uint16
    if bits == wanted_bits:
        return values.astype(dtype, copy=False)
    scale = ((1 << wanted_bits) - 1) / ((1 << bits) - 1)
    table = np.rint(np.arange(1 << bits) * scale).astype(dtype)
    return table[values]


def _gray(rgb: np.ndarray) -> np.ndarray:
    """Return the gray of colours (luminance of ITU-R BT.601)."""
    return np.rint(rgb @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
