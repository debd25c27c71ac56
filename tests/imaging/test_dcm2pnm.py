"""What DCMTK's dcm2pnm makes of the same image: it differs by no more than one gray value of 255.

There are two reasons for more, both DCMTK's. It rounds what the modality LUT gives to integers, so that with a
fractional Rescale Slope a pixel is off by as much as one unit is in the window. And it cuts the terms of YBR off one by
one.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import convert_color_space

from medserver.imaging import PixelRange, Rendering, StoredLut, StoredWindow, Window, render
from tests.imaging.images import add_overlay, by_dcm2pnm, image, lut
from tests.peers import requires
from tests.samples import paths

RANDOM = np.random.default_rng(17)
SHAPE = (23, 34)


@pytest.fixture(autouse=True)
def dcmtk_is_there() -> None:
    requires("dcmtk")


def cells(dtype: str, bits: int) -> np.ndarray:
    low = -(1 << bits - 1) if dtype.startswith("i") else 0
    return RANDOM.integers(low, low + (1 << bits), SHAPE).astype(dtype)


def difference(dataset: Dataset, folder: Path, options: Rendering, *dcmtk_options: str) -> int:
    """Return the greatest difference of a sample."""
    theirs = by_dcm2pnm(dataset, folder, *dcmtk_options).astype(int)
    ours = render(dataset, 0, options).pixels
    assert ours.shape == theirs.shape
    assert theirs.min() < theirs.max()
    return int(np.abs(theirs - ours).max())


WINDOWED = {"WindowCenter": ["300", "40"], "WindowWidth": ["700", "80"]}
KINDS = {
    "unsigned 16": image(cells("u2", 16), **WINDOWED),
    "signed 16": image(cells("i2", 16), **WINDOWED),
    "unsigned 12 of 16": image(cells("u2", 12), BitsStored=12, **WINDOWED),
    "signed 12 of 16": image(cells("i2", 12), BitsStored=12, **WINDOWED),
    "unsigned 8": image(cells("u1", 8), **WINDOWED),
    "signed 8": image(cells("i1", 8), **WINDOWED),
    "MONOCHROME1": image(cells("u2", 12), "MONOCHROME1", BitsStored=12, **WINDOWED),
    "MONOCHROME1, shape": image(cells("u2", 12), "MONOCHROME1", PresentationLUTShape="INVERSE", **WINDOWED),
    "CT": image(cells("i2", 12), BitsStored=12, RescaleSlope="1", RescaleIntercept="-1024", **WINDOWED),
    "slope": image(cells("u2", 12), RescaleSlope="0.37", RescaleIntercept="-33.3", **WINDOWED),
    "negative slope": image(cells("u2", 12), RescaleSlope="-1", RescaleIntercept="3000", **WINDOWED),
    "modality table": image(
        cells("u2", 8), ModalityLUTSequence=[lut(10, [n * n // 60 for n in range(256)], 16)], **WINDOWED
    ),
}


def tolerance(kind: str, width: int) -> int:
    """Return by how much DCMTK may be off."""
    return 1 + ceil(255 / (width - 1)) if kind == "slope" else 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 2])
def test_stored_windows(kind: str, number: int, tmp_path: Path) -> None:
    options = Rendering(voi=StoredWindow(number))
    allowed = tolerance(kind, (700, 80)[number - 1])
    assert difference(KINDS[kind], tmp_path, options, "--use-window", str(number)) <= allowed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_given_windows(kind: str, function: str, tmp_path: Path) -> None:
    options = Rendering(voi=Window(200.5, 333, function))
    dcmtk_options = ["--set-window", "200.5", "333", f"--{function.lower()}-function"]
    assert difference(KINDS[kind], tmp_path, options, *dcmtk_options) <= tolerance(kind, 333)


@pytest.mark.parametrize("kind", KINDS)
def test_the_range_of_the_pixels(kind: str, tmp_path: Path) -> None:
    assert difference(KINDS[kind], tmp_path, Rendering(voi=PixelRange()), "--min-max-window") <= 1


@pytest.mark.parametrize("width", [1, 2, 3])
def test_narrow_windows(width: int, tmp_path: Path) -> None:
    ramp = np.arange(256, dtype="u1").reshape(16, 16)
    options = Rendering(voi=Window(100, width))
    assert difference(image(ramp), tmp_path, options, "--set-window", "100", str(width)) == (1 if width == 3 else 0)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("first", [-50, 0, 100])
def test_voi_tables(bits: int, first: int, tmp_path: Path) -> None:
    entries = [round(((1 << bits) - 1) * (n / 255) ** 2) for n in range(256)]
    dataset = image(cells("i2", 9), BitsStored=12, VOILUTSequence=[lut(first, entries, bits)])
    assert difference(dataset, tmp_path, Rendering(voi=StoredLut(1)), "--use-voi-lut", "1") <= 1


def test_eight_bits_without_a_window(tmp_path: Path) -> None:
    assert difference(image(cells("u1", 8)), tmp_path, Rendering(), "--no-windowing") == 0


def test_polarity_reversed(tmp_path: Path) -> None:
    options = Rendering(is_inverted=True)
    assert difference(KINDS["CT"], tmp_path, options, "--change-polarity", "--use-window", "1") <= 1


@pytest.mark.parametrize("photometric_interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE", "LIN OD", ""])
def test_polarity(photometric_interpretation: str, shape: str, tmp_path: Path) -> None:
    ramp = np.arange(256, dtype="u1").reshape(16, 16)
    dataset = image(ramp, photometric_interpretation, PresentationLUTShape=shape)
    assert difference(dataset, tmp_path, Rendering()) <= 1  # DCMTK's inverse ends at 1


def palettes(bits: int, first: int, count: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for index, colour in enumerate(("Red", "Green", "Blue")):
        entries = RANDOM.integers(0, 1 << bits, count)
        found[f"{colour}PaletteColorLookupTableDescriptor"] = [count % 65536, first, bits]
        found[f"{colour}PaletteColorLookupTableData"] = entries.astype("<u2" if bits == 16 else "u1").tobytes()
    return found


def of_palettes(dtype: str, stored: int, **attributes: object) -> Dataset:
    dataset = image(cells(dtype, stored), "PALETTE COLOR")
    for keyword, value in attributes.items():
        dataset.add_new(keyword, "OW" if keyword.endswith("Data") else "US", value)
    return dataset


@pytest.mark.parametrize(
    ("dtype", "stored", "count", "first"), [("u1", 8, 256, 0), ("u1", 8, 200, 20), ("u2", 16, 65536, 0)]
)
@pytest.mark.parametrize("bits", [8, 16])
def test_palettes(dtype: str, stored: int, count: int, first: int, bits: int, tmp_path: Path) -> None:
    dataset = of_palettes(dtype, stored, **palettes(bits, first, count))
    assert difference(dataset, tmp_path, Rendering()) <= 1  # DCMTK takes the upper 8 bits of 16, which is less


@pytest.mark.parametrize("planar", [0, 1])
def test_rgb(planar: int, tmp_path: Path) -> None:
    samples = RANDOM.integers(0, 256, (*SHAPE, 3)).astype("u1")
    dataset = image(samples, "RGB")
    if planar:
        dataset.PlanarConfiguration, dataset.PixelData = 1, np.moveaxis(samples, 2, 0).tobytes()
    assert np.array_equal(render(dataset).pixels, samples)
    assert difference(dataset, tmp_path, Rendering()) == 0


def test_ybr(tmp_path: Path) -> None:
    samples = RANDOM.integers(0, 256, (*SHAPE, 3)).astype("u1")
    dataset = image(samples, "YBR_FULL")
    by_pydicom = convert_color_space(samples, "YBR_FULL", "RGB").astype(int)
    assert np.abs(by_pydicom - render(dataset).pixels).max() <= 1
    assert difference(dataset, tmp_path, Rendering()) <= 2


@pytest.mark.parametrize("photometric_interpretation", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_subsampled_ybr(photometric_interpretation: str, tmp_path: Path) -> None:
    dataset = image(np.zeros((*SHAPE, 3), "u1"), photometric_interpretation)
    dataset.PixelData = RANDOM.integers(0, 256, 2 * SHAPE[0] * SHAPE[1]).astype("u1").tobytes()
    assert difference(dataset, tmp_path, Rendering()) <= 2


@pytest.mark.parametrize("origin", [(1, 1), (5, 7), (-3, -4), (20, 30)])
def test_overlays(origin: tuple[int, int], tmp_path: Path) -> None:
    dataset = image(cells("u1", 8))
    add_overlay(dataset, RANDOM.random((11, 13)) < 0.5, origin=origin)
    add_overlay(dataset, RANDOM.random(SHAPE) < 0.1, group=0x6004)
    assert difference(dataset, tmp_path, Rendering()) == 0
    assert difference(dataset, tmp_path, Rendering(overlays=False), "--no-overlays") == 0


def test_an_overlay_in_the_pixels(tmp_path: Path) -> None:
    words = RANDOM.integers(0, 65536, SHAPE).astype("u2")
    dataset = image(words, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    for element, vr, value in ((0x10, "US", SHAPE[0]), (0x11, "US", SHAPE[1]), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        dataset.add_new((0x6000, element), vr, value)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 13)
    pixels = render(dataset).pixels
    assert (pixels[words >> 13 & 1 == 1] == 255).all()
    assert difference(dataset, tmp_path, Rendering(), "--use-window", "1") <= 1


REFUSED = ("badVR.dcm", "MR_truncated.dcm")
"""Number of Frames that is none, Pixel Data that are too short."""


def is_native(path: Path) -> bool:
    """Tell whether a file has pixels that are read here; of one bit DCMTK shows the greatest value as 128 of 255."""
    dataset = pydicom.dcmread(path, specific_tags=["BitsAllocated", "PixelData"])
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    native = syntax is not None and syntax.is_transfer_syntax and syntax.is_little_endian and not syntax.is_compressed
    native = native and path.name not in REFUSED
    return native and "PixelData" in dataset and dataset.get("BitsAllocated", 1) > 1


@pytest.mark.parametrize("path", [path for path in paths() if is_native(path)], ids=lambda path: path.name)
def test_the_samples(path: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(path)
    options, dcmtk_options = Rendering(square_pixels=False), []
    if "WindowCenter" in dataset:
        dcmtk_options = ["--use-window", "1"]
    elif dataset.BitsStored > 8:
        options, dcmtk_options = Rendering(voi=PixelRange(), square_pixels=False), ["--min-max-window"]
    theirs = by_dcm2pnm(dataset, tmp_path, *dcmtk_options).astype(int)
    assert np.abs(theirs - render(dataset, 0, options).pixels).max() <= 1


def test_frames(tmp_path: Path) -> None:
    dataset = image(RANDOM.integers(0, 256, (3, *SHAPE)).astype("u1"))
    add_overlay(dataset, RANDOM.random((2, *SHAPE)) < 0.3, frame_origin=2)
    for index in range(3):
        theirs = by_dcm2pnm(dataset, tmp_path, "--frame", str(index + 1))
        assert np.array_equal(render(dataset, index).pixels, theirs)
