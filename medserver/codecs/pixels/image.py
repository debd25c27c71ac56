"""The Image Pixel elements of a data set, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medserver.codecs.data_sets.representations import PIXEL_REPRESENTATION
from medserver.codecs.data_sets.survey import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
    Facts,
)
from medserver.errors import CannotTranscode

VALUE_SIZE_MAX_BYTES = 0xFFFFFFFE
"""The longest value of defined length (PS3.5 7.1.1)."""


_BITS_ALLOCATED = (1, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Image:
    """The Image Pixel elements that the codecs need, with the names that pydicom's options have.

    References
    ----------
    PS3.3 C.7.6.3
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric_interpretation: str
    planar_configuration: int
    number_of_frames: int

    @property
    def frame_size_bits(self) -> int:
        """The size of one native frame."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated

    @property
    def frame_size_bytes(self) -> int:
        """The size of one native frame that has its bytes for itself."""
        return (self.frame_size_bits + 7) // 8

    @property
    def size_bytes(self) -> int:
        """The size of all native frames; those of one bit begin within a byte (PS3.5 8.1.1)."""
        return (self.frame_size_bits * self.number_of_frames + 7) // 8

    @property
    def sample_type(self) -> str:
        """The type of a native sample, as numpy spells it; a byte where samples are bits.

        Raises
        ------
        CannotTranscode
            There is none.
        """
        self.check_samples()
        return f"<{'ui'[self.pixel_representation]}{max(self.bits_allocated // 8, 1)}"

    def check_samples(self) -> None:
        """Refuse samples that are neither bits nor numbers of a size that processors have.

        Raises
        ------
        CannotTranscode
            They are.
        """
        if self.bits_allocated not in _BITS_ALLOCATED:
            raise CannotTranscode(f"samples of {self.bits_allocated} bits are not decoded")


def image_of(facts: Facts) -> Image:
    """Return the image that the facts of a data set describe.

    Raises
    ------
    CannotTranscode
        If an element that decoding needs is missing or impossible.
    """
    needed = {"Rows": ROWS, "Columns": COLUMNS, "Bits Allocated": BITS_ALLOCATED, "Bits Stored": BITS_STORED}
    numbers = {name: facts.number(tag) for name, tag in needed.items()}
    missing = [name for name, number in numbers.items() if not number]
    if missing:
        raise CannotTranscode(f"the Pixel Data cannot be read without {', '.join(missing)}")
    pixel_representation = facts.number(PIXEL_REPRESENTATION) or 0
    if pixel_representation > 1:
        raise CannotTranscode(f"Pixel Representation is {pixel_representation}, and not 0 or 1")
    rows, columns, bits_allocated, bits_stored = numbers.values()
    image = Image(
        rows,
        columns,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        samples_per_pixel=facts.number(SAMPLES_PER_PIXEL) or 1,
        pixel_representation=pixel_representation,
        photometric_interpretation=facts.text(PHOTOMETRIC_INTERPRETATION),
        planar_configuration=facts.number(PLANAR_CONFIGURATION) or 0,
        number_of_frames=facts.number(NUMBER_OF_FRAMES) or 1,
    )
    if image.size_bytes > VALUE_SIZE_MAX_BYTES:
        raise CannotTranscode("the decoded Pixel Data would be longer than a value can be")
    return image


def fit_bits_stored(cells: np.ndarray, bits_stored: int) -> bool:
    """Tell whether Bits Stored hold all of each Pixel Cell: the bits above are zero, or repeat the sign.

    If they do not (an overlay: PS3.5 8.1.1; a Pixel Padding Value beyond them; negative values without a sign), a code
    stream of that precision does not hold the cells either: some decoders clamp what is beyond it, others mask it.

    Parameters
    ----------
    cells : ndarray, any shape, not empty
        The Pixel Cells, signed if Pixel Representation is 1.
    bits_stored : int
        Bits Stored.
    """
    lowest = -(1 << bits_stored - 1) if cells.dtype.kind == "i" else 0
    return lowest <= int(cells.min()) and int(cells.max()) < lowest + (1 << bits_stored)
