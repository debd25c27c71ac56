"""Attributes that lie or are missing: an error that says which, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless

from medserver.errors import CannotRender
from medserver.imaging import PixelRange, Rendering, Window, render
from tests.imaging.images import image, item, lut

CELLS = np.arange(64, dtype="u2").reshape(8, 8)
RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"Rows": 0}, "0 rows"),
        ({"Rows": 65535, "Columns": 65535}, "Pixel Data have 128 bytes, and frame 1 ends at 8589672450"),
        ({"Columns": 9}, "Pixel Data have 128 bytes"),
        ({"NumberOfFrames": "0"}, "Number of Frames is 0"),
        ({"NumberOfFrames": "-1"}, "Number of Frames is -1"),
        ({"BitsAllocated": 12}, "Bits Allocated is 12"),
        ({"BitsStored": 0}, "do not fit"),
        ({"BitsStored": 17, "HighBit": 16}, "do not fit"),
        ({"HighBit": 200}, "do not fit"),
        ({"SamplesPerPixel": 4}, "Samples per Pixel is 4"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "Columns": 7}, "odd number of columns"),
        ({"PhotometricInterpretation": "YBR_FULL_422"}, "Samples per Pixel is 1"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "CMYK", "Rows": 1, "Columns": 2}, "CMYK"),
        ({"PhotometricInterpretation": "RGB"}, "one sample per pixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "Red Palette Color Lookup Table Descriptor has 0 values"),
        ({"WindowCenter": "1", "WindowWidth": "0"}, "width of a window is 0"),
        ({"WindowCenter": "1", "WindowWidth": "-5"}, "width of a window is -5"),
        ({"WindowCenter": "1", "WindowWidth": "0", "VOILUTFunction": "SIGMOID"}, "not above 0"),
        ({"WindowCenter": "1"}, "1 values of Window Center and 0 of Window Width"),
        ({"WindowCenter": ["1", "2"], "WindowWidth": "5"}, "2 values of Window Center"),
        ({"WindowCenter": "NaN", "WindowWidth": "5"}, "Window Center is 'NaN'"),
        ({"WindowCenter": "1", "WindowWidth": "inf"}, "Window Width is 'inf'"),
        ({"WindowCenter": "1", "WindowWidth": "5", "VOILUTFunction": "CUBIC"}, "VOI LUT Function is 'CUBIC'"),
        ({"RescaleSlope": "0"}, "Rescale Slope is 0"),
        ({"RescaleSlope": "NaN"}, "Rescale Slope is 'NaN'"),
        ({"ModalityLUTSequence": [lut(0, [1, 2], 16, count=3)]}, "2 of 3 entries"),
        ({"ModalityLUTSequence": [lut(0, [1, 2], 16, count=0)]}, "2 of 65536 entries"),
        ({"ModalityLUTSequence": [lut(0, [1, 2], 99)]}, "99 bits"),
        ({"ModalityLUTSequence": [lut(0, [1, 2], 0)]}, "0 bits"),
        ({"ModalityLUTSequence": [item(LUTData=[1])]}, "LUT Descriptor has 0 values and not 3"),
        ({"VOILUTSequence": [item(LUTDescriptor=[2, 0, 8])]}, "0 of 2 entries"),
        ({"PixelData": b""}, "no Pixel Data"),
        ({"PixelAspectRatio": ["1", "9000"]}, "too many"),
        ({"PerFrameFunctionalGroupsSequence": [item(FrameVOILUTSequence=[item(WindowCenter=1)])]}, "Window Width"),
        ({"ShutterShape": "HEART"}, "Shutter Shape is 'HEART'"),
        ({"ShutterShape": "CIRCULAR"}, "without center"),
        ({"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 2, 3]}, "polygonal shutter of 3"),
        ({"ShutterShape": "RECTANGULAR"}, "Shutter Left Vertical Edge is missing"),
        ({"ShutterShape": "BITMAP"}, "Shutter Overlay Group is missing"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_lies_is_named(attributes: dict[str, object], complaint: str) -> None:
    dataset = image(CELLS)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    with pytest.raises(CannotRender, match=complaint):
        render(dataset)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "PixelData"])
def test_what_is_missing_is_named(keyword: str) -> None:
    dataset = image(CELLS)
    delattr(dataset, keyword)
    with pytest.raises(CannotRender, match="missing|no Pixel Data"):
        render(dataset)


@pytest.mark.parametrize(
    "keyword", ["BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation"]
)
def test_what_can_be_done_without(keyword: str) -> None:
    dataset = image(CELLS)
    delattr(dataset, keyword)
    assert render(dataset).pixels[-1, -1] == 255


def test_nothing_at_all() -> None:
    with pytest.raises(CannotRender, match="no Pixel Data"):
        render(Dataset())


def test_a_frame_that_is_none() -> None:
    for frame_index in (-1, 1, 10**9):
        with pytest.raises(CannotRender, match="no frame"):
            render(image(CELLS), frame_index)


def test_encapsulated_pixels() -> None:
    dataset = image(CELLS)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    with pytest.raises(CannotRender, match="encapsulated: JPEG 2000"):
        render(dataset)


@pytest.mark.parametrize("window", [Window(float("nan"), 1), Window(0, float("inf")), Window(0, 0), Window(0, 1, "X")])
def test_windows_that_are_asked_for(window: Window) -> None:
    with pytest.raises(CannotRender, match="window|VOI LUT Function|width"):
        render(image(CELLS), 0, Rendering(voi=window))


def test_numbers_beyond_all_bounds() -> None:
    dataset = image(CELLS, RescaleSlope="1e308", RescaleIntercept="1e308", WindowCenter="-1e308", WindowWidth="1e308")
    assert render(dataset).pixels.max() == 255
    with pytest.raises(CannotRender, match="beyond"):
        render(dataset, 0, Rendering(voi=PixelRange()))
    dataset = image(CELLS, WindowCenter="0", WindowWidth="1e-300", VOILUTFunction="SIGMOID")
    assert render(dataset).pixels[0, :2].tolist() == [128, 255]


def test_values_of_another_kind() -> None:
    for keyword, vr, value, complaint in (
        ("WindowCenter", "DS", b"\xff\xff", "Window Center"),
        ("WindowCenter", "OW", b"\1\0", "Window Center"),
        ("Rows", "US", b"\1", "Rows cannot be read"),
        ("VOILUTSequence", "LO", b"some text", "VOI LUT Sequence is no sequence"),
    ):
        dataset = image(CELLS)
        tag = Tag(tag_for_keyword(keyword))
        dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)  # as it is read from a file
        with pytest.raises(CannotRender, match=complaint):
            render(dataset)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_attributes_at_random() -> None:
    """Whatever the attributes say, it is rendered or refused."""
    keywords = (
        "Rows", "Columns", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "PlanarConfiguration",
        "PixelPaddingValue", "PixelPaddingRangeLimit", "ShutterLeftVerticalEdge", "ShutterRightVerticalEdge",
    )  # fmt: skip
    outcomes = set()
    for _ in range(500):
        dataset = image(CELLS, WindowCenter=RANDOM.normal(0, 100), WindowWidth=RANDOM.normal(50, 100))
        for keyword in RANDOM.choice(keywords, 2):
            setattr(dataset, keyword, int(RANDOM.choice([0, 1, 2, 3, 8, 15, 16, 65535])))
        dataset.PhotometricInterpretation = str(RANDOM.choice(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL_422"]))
        try:
            render(dataset)
            outcomes.add("rendered")
        except CannotRender:
            outcomes.add("refused")
    assert outcomes == {"rendered", "refused"}
