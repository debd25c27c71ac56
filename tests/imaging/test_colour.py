"""Palettes and colour spaces, by numbers computed by hand, and by pydicom as a second opinion."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from medserver.errors import CannotRender
from medserver.imaging import Rendering, render
from medserver.imaging.colour.palettes import expanded
from tests.imaging.images import image

COLOURS = ("Red", "Green", "Blue")


def with_palette(dataset: Dataset, descriptor: list[int], *tables: bytes, segmented: str = "") -> Dataset:
    """Add three tables to an image; one table is for all colours."""
    for index, colour in enumerate(COLOURS):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", descriptor)
        keyword = f"{segmented}{colour}PaletteColorLookupTableData"
        dataset.add_new(keyword, "OW", tables[index if len(tables) > 1 else 0])
    return dataset


def indices(*values: int, dtype: str = "u1") -> Dataset:
    return image(np.array([values], dtype), "PALETTE COLOR")


def reds(dataset: Dataset) -> list[int]:
    return render(dataset).pixels[0, :, 0].tolist()


def test_a_palette_of_bytes() -> None:
    tables = b"\x01\x02\x03\0", b"\x04\x05\x06\0", b"\x07\x08\x09\0"
    dataset = with_palette(indices(0, 10, 11, 12, 255), [3, 10, 8], *tables)
    assert render(dataset).pixels[0].tolist() == [[1, 4, 7], [1, 4, 7], [2, 5, 8], [3, 6, 9], [3, 6, 9]]


def test_a_palette_of_words() -> None:
    words = np.array([0, 0x0101, 0x8080, 0xFFFF], "<u2").tobytes()
    dataset = with_palette(indices(0, 1, 2, 3), [4, 0, 16], words)
    assert reds(dataset) == [0, 1, 128, 255]
    assert render(dataset, 0, Rendering(bits=16)).pixels[0, :, 0].tolist() == [0, 0x0101, 0x8080, 0xFFFF]


def test_a_palette_of_bytes_that_have_a_word_each() -> None:
    assert reds(with_palette(indices(0, 1, 2), [3, 0, 8], np.array([5, 6, 7], "<u2").tobytes())) == [5, 6, 7]
    assert reds(with_palette(indices(0, 1, 2), [3, 0, 8], np.array([5, 6, 7], ">u2").tobytes())) == [5, 6, 7]


def test_palettes_that_lie() -> None:
    dataset = with_palette(indices(0, 1), [2, 0, 8], b"\x05\x06")
    for keyword, vr, value, complaint in (
        ("RedPaletteColorLookupTableDescriptor", "US", [1, 0, 8], "not of one length"),
        ("RedPaletteColorLookupTableDescriptor", "US", [2, 1, 8], "not of one length"),
        ("RedPaletteColorLookupTableDescriptor", "US", [2, 0, 12], "12 bits"),
        ("RedPaletteColorLookupTableDescriptor", "US", [0, 0, 8], "2 of 65536 entries"),
        ("GreenPaletteColorLookupTableData", "OW", b"", "0 of 2 entries"),
        ("SegmentedBluePaletteColorLookupTableData", "OW", b"\x00\x09\x01\x01", "cut off"),
    ):
        lying = copy.deepcopy(dataset)
        lying.add_new(keyword, vr, value)
        with pytest.raises(CannotRender, match=complaint):
            render(lying)


def test_a_palette_of_signed_values() -> None:
    dataset = with_palette(indices(-2, -1, 0, dtype="i1"), [3, 0xFFFE, 8], b"\x05\x06\x07\0")
    assert reds(dataset) == [5, 6, 7]


@pytest.mark.parametrize(
    ("units", "bits", "entries"),
    [
        ([0, 3, 7, 8, 9], 16, [7, 8, 9]),
        ([0, 1, 0, 1, 4, 100], 16, [0, 25, 50, 75, 100]),
        ([0, 1, 90, 1, 3, 0], 16, [90, 60, 30, 0]),
        # the first two segments once more: the line begins at the value before it (PS3.3 C.7.9.2.3)
        ([0, 1, 10, 1, 2, 20, 2, 2, 0, 0], 16, [10, 15, 20, 10, 15, 20]),
        # the second segment alone, 3 words and so 6 bytes from the begin
        ([0, 1, 10, 1, 2, 20, 2, 1, 6, 0], 16, [10, 15, 20, 20, 20]),
        ([0, 1, 10, 1, 2, 20, 2, 1, 3, 0, 0, 0], 8, [10, 15, 20, 20, 20]),
        ([0, 2, 1, 2, 0], 8, [1, 2]),  # padding
    ],
)
def test_segments(units: list[int], bits: int, entries: list[int]) -> None:
    assert expanded(units, len(entries), bits).tolist() == entries


def test_segments_as_pydicom_expands_them() -> None:
    units = [0, 2, 0, 1000, 1, 100, 65535, 1, 54, 3, 0, 100, *range(100, 200)]
    words, cells = np.array(units, "<u2").tobytes(), np.arange(256, dtype="u1").reshape(16, 16)
    dataset = with_palette(image(cells, "PALETTE COLOR"), [256, 0, 16], words, segmented="Segmented")
    assert np.array_equal(render(dataset, 0, Rendering(bits=16)).pixels, apply_color_lut(cells, dataset))


@pytest.mark.parametrize(
    ("units", "complaint"),
    [
        ([1, 3, 5], "opcode 1"),  # a line from nowhere
        ([0, 9, 5], "cut off"),
        ([0, 1, 5, 1, 4], "cut off"),
        ([3, 1, 5], "opcode 3"),
        ([0, 1, 5, 2, 1, 6, 0], "not before it"),
        ([0, 1, 5, 2, 1, 0, 1], "not before it"),
        ([0, 1, 5, 2, 3, 0, 0, 2, 2, 6, 0], "not before it"),  # on to itself
        ([0, 1, 5, 2, 1], "cut off"),
    ],
)
def test_segments_that_lie(units: list[int], complaint: str) -> None:
    with pytest.raises(CannotRender, match=complaint):
        expanded(units, 1000, 16)


def test_segments_end_where_the_table_does() -> None:
    assert len(expanded([0, 1, 7] + [1, 65535, 9] * 1000 + [2, 65535, 0, 0] * 1000, 256, 16)) == 256


def test_a_supplemental_palette_leaves_gray_what_is_below_it() -> None:
    dataset = image(np.array([[0, 100, 200, 201, 250]], "u1"), PixelPresentation="COLOR")
    with_palette(dataset, [2, 200, 8], b"\x01\x02", b"\x03\x04", b"\x05\x06")
    assert render(dataset).pixels[0].tolist() == [[0] * 3, [100] * 3, [1, 3, 5], [2, 4, 6], [2, 4, 6]]
    dataset.PixelPresentation = "MONOCHROME"
    assert render(dataset).pixels[0].tolist() == [0, 100, 200, 201, 250]


# Y 76, CB 85, CR 255 is red (PS3.3 C.7.6.3.1.2); gray has no chrominance.
@pytest.mark.parametrize(
    ("name", "ybr", "rgb"),
    [
        ("YBR_FULL", (76, 85, 255), (254, 0, 0)),
        ("YBR_FULL", (150, 44, 21), (0, 255, 1)),
        ("YBR_FULL", (29, 255, 107), (0, 0, 254)),
        ("YBR_FULL", (77, 128, 128), (77, 77, 77)),
        ("YBR_PARTIAL_420", (235, 128, 128), (255, 255, 255)),
        ("YBR_PARTIAL_420", (16, 128, 128), (0, 0, 0)),
    ],
)
def test_ybr(name: str, ybr: tuple[int, ...], rgb: tuple[int, ...]) -> None:
    assert render(image(np.array([[ybr]], "u1"), name)).pixels[0, 0].tolist() == pytest.approx(rgb, abs=1)


def test_two_pixels_share_their_chrominance() -> None:
    dataset = image(np.zeros((1, 4, 3), "u1"), "YBR_FULL_422")
    dataset.PixelData = bytes([76, 150, 85, 255, 10, 20, 128, 128])
    pixels = render(dataset).pixels[0]
    assert pixels[0].tolist() == [254, 0, 0]
    assert pixels[1].tolist() == [255, 74, 74]
    assert pixels[2:].tolist() == [[10] * 3, [20] * 3]


def test_colours_of_sixteen_bits() -> None:
    dataset = image(np.array([[[0, 0x8080, 0xFFFF]]], "u2"), "RGB")
    assert render(dataset).pixels[0, 0].tolist() == [0, 128, 255]
    assert render(dataset, 0, Rendering(bits=16)).pixels[0, 0].tolist() == [0, 0x8080, 0xFFFF]


def test_colours_of_other_bits() -> None:
    assert render(image(np.array([[[0, 2**31, 2**32 - 1]]], "u4"), "RGB")).pixels[0, 0].tolist() == [0, 128, 255]
    twelve = image(np.array([[[0, 2048, 4095]]], "u2"), "RGB", BitsStored=12)
    assert render(twelve).pixels[0, 0].tolist() == [0, 128, 255]
    gray = image(np.array([[[2000, 2048, 2048]]], "u2"), "YBR_FULL", BitsStored=12)
    assert render(gray).pixels[0, 0].tolist() == [125, 125, 125]
    signed = image(np.array([[[0, 1, 2]]], "u1"), "RGB", PixelRepresentation=1)
    with pytest.raises(CannotRender, match="signed"):
        render(signed)


def test_inverted_colours() -> None:
    dataset = image(np.array([[[0, 10, 255]]], "u1"), "RGB")
    assert render(dataset, 0, Rendering(is_inverted=True)).pixels[0, 0].tolist() == [255, 245, 0]
