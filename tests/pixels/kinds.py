"""Kinds of pixels: those of the standard one by one, those that are wrong, and random ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom.dataset import Dataset

from medserver.codecs.pixels.image import Image

GREY, COLOURS = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL")
UNUSUAL = ("YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420", "HSV", "")
"""Photometric Interpretations that native pixels do not have, have with fewer samples, or had once."""

ONE, ODD, SMALL, SEVERAL = (1, 40, 40), (1, 33, 47), (1, 5, 7), (3, 33, 40)
"""Frames, rows and columns."""

FILLS = ("noise", "extremes", "slope", "lowest", "highest")
OUTSIDE = {
    "overlay": lambda cells, bits: cells | 1 << 8 * cells.itemsize - 1,
    "overlay in one pixel": lambda cells, bits: _at(7, cells, cells[7] ^ 1 << bits),
    "padding": lambda cells, bits: _at(slice(9), cells, (1 << 8 * cells.itemsize) - (1 << bits) - 3),
    "no sign": lambda cells, bits: _at(0, cells, 1 << bits - 1) & (1 << bits) - 1,
    "a high bit": lambda cells, bits: (cells | 1) << (8 * cells.itemsize - bits),
}
"""What may stand in the bits above Bits Stored; takes the cells as unsigned numbers."""


@dataclass(frozen=True)
class Kind:
    """A kind of pixels.

    Parameters
    ----------
    interpretation, samples, allocated, stored, signed, planar
        The Image Pixel elements.
    shape : tuple of int
        Frames, rows and columns.
    fill : str
        One of `FILLS`.
    outside : str
        One of `OUTSIDE`, or nothing.
    element : str
        Keyword of that which the pixels are in.
    icon : bool
        There is an icon as well.
    """

    interpretation: str = "MONOCHROME2"
    samples: int = 1
    allocated: int = 16
    stored: int = 16
    signed: int = 0
    planar: int = 0
    shape: tuple[int, int, int] = ODD
    fill: str = "noise"
    outside: str = ""
    element: str = "PixelData"
    icon: bool = False
    seed: int = field(default=1, compare=False)

    def __str__(self) -> str:
        bits = f"{self.stored} of {self.allocated} bits{', signed' if self.signed else ''}"
        shape = f"{'x'.join(map(str, self.shape))}x{self.samples}, planar {self.planar}"
        more = [self.fill, self.outside, self.element.removesuffix("PixelData"), "icon" if self.icon else ""]
        return f"{self.interpretation or 'nothing'}, {bits}, {shape} ({', '.join(filter(None, more))})"

    @property
    def image(self) -> Image:
        """What the codecs know of it."""
        frames, rows, columns = self.shape
        return Image(
            rows=rows, columns=columns, samples_per_pixel=self.samples, bits_allocated=self.allocated,
            bits_stored=self.stored, pixel_representation=self.signed, photometric_interpretation=self.interpretation,
            planar_configuration=self.planar, number_of_frames=frames,
        )  # fmt: skip

    def samples_of_all(self) -> np.ndarray:
        """Return the values, shape (frames, rows, columns, samples)."""
        lowest = -(1 << self.stored - 1) if self.signed else 0
        highest = lowest + (1 << self.stored) - 1
        shape = (*self.shape, self.samples)
        values = np.random.default_rng(self.seed)
        if self.fill == "noise":
            return values.integers(lowest, highest, shape, endpoint=True)
        if self.fill == "extremes":
            return values.choice([lowest, highest], shape)
        if self.fill == "slope":
            return np.linspace(lowest, highest, int(np.prod(shape))).astype(np.int64).reshape(shape)
        return np.full(shape, lowest if self.fill == "lowest" else highest)

    def dataset(self) -> Dataset:
        """Return an image with the pixels."""
        frames, rows, columns = self.shape
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = self._sop_class_uid(), "2.25.7"
        dataset.Modality, dataset.PatientID = "OT", "1"
        if self.icon:
            dataset.IconImageSequence = [Kind(allocated=8, stored=8, shape=(1, 8, 8)).dataset()]
        dataset.SamplesPerPixel = self.samples
        if self.interpretation:
            dataset.PhotometricInterpretation = self.interpretation
        if self.samples > 1:
            dataset.PlanarConfiguration = self.planar
        if frames > 1:
            dataset.NumberOfFrames = frames
        dataset.Rows, dataset.Columns = rows, columns
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = self.allocated, self.stored, self.stored - 1
        dataset.PixelRepresentation = self.signed
        raw = self.native(planar=self.planar)
        setattr(dataset, self.element, raw + bytes(len(raw) % 2))
        dataset[self.element].VR = {"FloatPixelData": "OF", "DoubleFloatPixelData": "OD"}.get(
            self.element, "OB" if self.allocated <= 8 else "OW"
        )
        return dataset

    def native(self, planar: int = 0) -> bytes:
        """Return the Pixel Data, by pixel or by plane."""
        values = self.samples_of_all()
        if self.element != "PixelData":
            return values.astype("<f4" if self.element == "FloatPixelData" else "<f8").tobytes()
        if self.allocated == 1:
            return np.packbits(values.astype("u1"), bitorder="little").tobytes()
        if planar:
            values = np.moveaxis(values, -1, 1)
        kind = np.dtype(f"<u{self.allocated // 8}")
        cells = values.astype(f"<{'ui'[self.signed]}{kind.itemsize}").view(kind).ravel()
        if self.outside:
            cells = OUTSIDE[self.outside](cells, self.stored).astype(kind)
        raw = cells.tobytes()
        return raw[: len(raw) * 2 // 3] if self.interpretation == "YBR_FULL_422" else raw

    def _sop_class_uid(self) -> str:
        """Return Secondary Capture, or one of the multi-frame ones: others look at it."""
        if self.shape[0] == 1:
            return "1.2.840.10008.5.1.4.1.1.7"
        number = 4 if self.samples > 1 else {1: 1, 8: 2}.get(self.allocated, 3)
        return f"1.2.840.10008.5.1.4.1.1.7.{number}"


def kinds() -> Iterator[Kind]:
    """Yield each kind of the standard, and what is wrong in each way."""
    for interpretation in GREY:
        for allocated, stored in (*((8, bits) for bits in (1, 2, 3, 7, 8)), *((16, bits) for bits in range(8, 17))):
            for signed in (0, 1):
                yield Kind(interpretation, 1, allocated, stored, signed)
    for stored in (16, 17, 22, 24, 32):
        for signed in (0, 1):
            yield Kind("MONOCHROME2", 1, 32, stored, signed, fill="extremes")
    for allocated, stored in ((8, 4), (8, 8), (16, 8), (16, 12), (16, 16)):
        yield Kind("PALETTE COLOR", 1, allocated, stored)
    for interpretation in COLOURS:
        for planar in (0, 1):
            for allocated, stored in ((8, 7), (8, 8), (16, 12), (16, 16), (32, 20)):
                yield Kind(interpretation, 3, allocated, stored, planar=planar)
    for shape in (ONE, ODD, SEVERAL):
        yield Kind("MONOCHROME2", 1, 1, 1, shape=shape)
    for shape in ((1, 1, 1), SMALL, (1, 15, 17), (1, 16, 16), (2, 31, 200), SEVERAL):
        for kind in (Kind(stored=12, signed=1), Kind(allocated=8, stored=8), Kind("RGB", 3, 8, 8, planar=1)):
            yield Kind(**vars(kind) | {"shape": shape})
    for fill in FILLS[1:]:
        for stored, signed in ((12, 0), (12, 1), (16, 0), (16, 1)):
            yield Kind(stored=stored, signed=signed, fill=fill)
    for outside in OUTSIDE:
        for allocated, stored in ((16, 12), (8, 6)):
            yield Kind(allocated=allocated, stored=stored, signed=int(outside == "no sign"), outside=outside)
    yield Kind("RGB", 3, 8, 6, outside="overlay")
    for interpretation in UNUSUAL:
        yield Kind(interpretation, 3, 8, 8)
    yield from (Kind("RGB", 1, 8, 8), Kind("MONOCHROME2", 3, 8, 8), Kind("RGB", 3, 8, 8, signed=1), Kind(stored=17))
    yield Kind("PALETTE COLOR", 1, 8, 8, signed=1)
    yield Kind(stored=12, icon=True)
    yield Kind(allocated=32, stored=32, element="FloatPixelData")
    yield Kind(allocated=64, stored=64, element="DoubleFloatPixelData", fill="lowest")


def random_kind(chance: random.Random) -> Kind:
    """Return any kind: most are what images are, some are not."""
    interpretation = chance.choice(6 * (*GREY, *COLOURS, "PALETTE COLOR") + UNUSUAL)
    samples = 1 if interpretation in (*GREY, "PALETTE COLOR", "") else 3
    if chance.random() < 0.03:
        samples = 4 - samples
    allocated = chance.choice((1, 8, 8, 8, 16, 16, 16, 16, 32) if samples == 1 else (8, 8, 16, 32))
    stored = allocated if chance.random() < 0.4 else chance.randint(1, allocated)
    signed = int(chance.random() < (0.4 if samples == 1 else 0.05) and allocated > 1)
    rows, columns = (chance.choice((chance.randint(1, 40), chance.randint(32, 90))) for _ in range(2))
    kind = Kind(
        interpretation, samples, allocated, stored, signed, chance.randint(0, 1) if samples > 1 else 0,
        (chance.choice((1, 1, 1, 2, 5)), rows, columns), chance.choice(FILLS), icon=chance.random() < 0.1,
        seed=chance.randrange(2**32),
    )  # fmt: skip
    if chance.random() < 0.02:
        return replace(kind, allocated=32, stored=32, signed=0, element="FloatPixelData")
    if chance.random() < 0.2 and 2 < stored < allocated - 1 < 16 and rows * columns >= 64:
        outside = chance.choice(tuple(OUTSIDE))
        return replace(kind, outside=outside, fill="noise", signed=1 if outside == "no sign" else signed)
    return kind


def _at(where: int | slice, cells: np.ndarray, value: int) -> np.ndarray:
    cells = cells.copy()
    cells[where] = value
    return cells
