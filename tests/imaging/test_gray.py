"""Modality LUT, VOI LUT, polarity and padding, by numbers that were computed by hand from the standard's formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging import PixelRange, Rendering, StoredLut, StoredWindow, Window, render
from tests.imaging.images import image, item, lut

RAMP = np.arange(8, dtype="i2").reshape(1, 8)


def shown(dataset: Dataset, frame_index: int = 0, **options: object) -> list[int]:
    """Return the gray values of the first row."""
    return render(dataset, frame_index, Rendering(**options)).pixels[0].tolist()


@pytest.mark.parametrize(
    ("window", "grays"),
    [
        # PS3.3 C.11.2.1.2.1: y = ((x - 3.5) / (5 - 1) + 0.5) * 255 between 1.5 and 5.5
        (Window(4, 5), [0, 0, 32, 96, 159, 223, 255, 255]),
        # c - 0.5 = 3.5, w - 1 = 0: a threshold
        (Window(4, 1), [0, 0, 0, 0, 255, 255, 255, 255]),
        # the note's example: w 2 around c 3: x <= 2 is least, x > 3 greatest
        (Window(3, 2), [0, 0, 0, 255, 255, 255, 255, 255]),
        # PS3.3 C.11.2.1.3.2: y = ((x - 4) / 4 + 0.5) * 255 between 2 and 6
        (Window(4, 4, "LINEAR_EXACT"), [0, 0, 0, 64, 128, 191, 255, 255]),
        (Window(4, 0.5, "LINEAR_EXACT"), [0, 0, 0, 0, 128, 255, 255, 255]),
        # PS3.3 C.11.2.1.3.1: y = 255 / (1 + exp(-4 (x - 4) / 4))
        (Window(4, 4, "SIGMOID"), [round(255 / (1 + math.exp(4 - x))) for x in range(8)]),
    ],
)
def test_a_window(window: Window, grays: list[int]) -> None:
    assert shown(image(RAMP), voi=window) == pytest.approx(grays, abs=0.6)


def test_the_window_of_the_image_by_its_number() -> None:
    dataset = image(RAMP, WindowCenter=[4, 6], WindowWidth=[1, 1])
    assert shown(dataset) == shown(dataset, voi=StoredWindow(1)) == [0] * 4 + [255] * 4
    assert shown(dataset, voi=StoredWindow(2)) == [0] * 6 + [255] * 2
    with pytest.raises(CannotRender, match="there is no window 3: the image has 2"):
        shown(dataset, voi=StoredWindow(3))


def test_the_function_of_the_image_is_used() -> None:
    dataset = image(RAMP, WindowCenter=4, WindowWidth=4, VOILUTFunction="SIGMOID")
    assert shown(dataset) == shown(image(RAMP), voi=Window(4, 4, "SIGMOID"))


def test_a_window_is_in_the_unit_of_the_modality() -> None:
    dataset = image(RAMP, RescaleSlope="10", RescaleIntercept="-1000", WindowCenter="-960", WindowWidth="1")
    assert shown(dataset) == [0] * 4 + [255] * 4
    assert shown(image(RAMP, RescaleSlope="-1", WindowCenter="-2", WindowWidth="1")) == [255] * 3 + [0] * 5


def test_a_modality_table() -> None:
    dataset = image(RAMP, ModalityLUTSequence=[lut(2, [100, 300, 200], 16)], WindowCenter=200, WindowWidth=1)
    assert shown(dataset) == [0, 0, 0, 255, 255, 255, 255, 255]
    dataset.WindowCenter = 201
    assert shown(dataset) == [0, 0, 0, 255, 0, 0, 0, 0]


def test_a_modality_table_of_signed_values_begins_below_zero() -> None:
    dataset = image(RAMP - 4, ModalityLUTSequence=[lut(-2, [0, 10, 20, 30], 8)], WindowCenter=15.5, WindowWidth=31)
    assert shown(dataset) == [round(x * 8.5) for x in (0, 0, 0, 10, 20, 30, 30, 30)]


def test_a_voi_table_uses_its_own_bits() -> None:
    dataset = image(RAMP, VOILUTSequence=[lut(1, [0, 1023, 512], 10), lut(0, [0, 255], 8)])
    assert shown(dataset) == [0, 0, 255, 128, 128, 128, 128, 128]
    assert shown(dataset, voi=StoredLut(2)) == [0] + [255] * 7


def test_the_first_value_of_a_voi_table_is_negative_where_the_modality_is() -> None:
    dataset = image(RAMP.astype("u2"), VOILUTSequence=[lut(0xFFFE, [0, 255], 8)])
    assert shown(dataset) == [0] * 8  # 65534 of unsigned values
    dataset.RescaleIntercept = -3
    assert shown(dataset) == [0, 0] + [255] * 6  # -2


def test_a_table_of_bytes_in_words() -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 8])
    table.add_new("LUTData", "OW", bytes([0, 10, 20, 255]))
    assert shown(image(RAMP, VOILUTSequence=[table])) == [0, 10, 20] + [255] * 5


def test_windows_come_before_tables() -> None:
    dataset = image(RAMP, WindowCenter=4, WindowWidth=1, VOILUTSequence=[lut(0, [255, 0], 8)])
    assert shown(dataset) == [0] * 4 + [255] * 4
    assert shown(dataset, voi=StoredLut()) == [255] + [0] * 7


def test_without_a_window_the_pixels_decide() -> None:
    assert shown(image(np.array([[100, 150, 200, 300]], "u2"))) == [0, 64, 128, 255]
    assert shown(image(np.array([[7, 7]], "u2"))) == [0, 0]
    assert shown(image(np.array([[100, 300]], "u2"), WindowCenter=0, WindowWidth=1), voi=PixelRange()) == [0, 255]


def test_eight_bits_without_a_window_are_as_they_are() -> None:
    assert shown(image(np.array([[50, 100]], "u1"))) == [50, 100]
    assert shown(image(np.array([[50, 100]], "u1")), voi=PixelRange()) == [0, 255]
    assert shown(image(np.array([[1, 3]], "u1"), BitsStored=2)) == [85, 255]


def test_p_values_are_not_spread() -> None:
    cells = np.array([[0, 1024, 2048]], "u2")
    assert shown(image(cells, BitsStored=12)) == [0, 128, 255]
    assert shown(image(cells, BitsStored=12, PresentationLUTShape="IDENTITY")) == [0, 64, 128]
    assert shown(image(cells, "MONOCHROME1", BitsStored=12, PresentationLUTShape="INVERSE")) == [255, 191, 127]
    windowed = image(cells, BitsStored=12, PresentationLUTShape="IDENTITY", WindowCenter=1000, WindowWidth=1)
    assert shown(windowed) == [0, 255, 255]


@pytest.mark.parametrize(
    ("photometric_interpretation", "shape", "is_inverse"),
    [
        ("MONOCHROME2", "", False),
        ("MONOCHROME1", "", True),
        ("MONOCHROME1", "INVERSE", True),  # not twice
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME1", "IDENTITY", False),
        ("MONOCHROME1", "LIN OD", True),  # is for film, and says nothing here
    ],
)
def test_polarity(photometric_interpretation: str, shape: str, is_inverse: bool) -> None:
    dataset = image(np.array([[0, 10, 255]], "u1"), photometric_interpretation, PresentationLUTShape=shape)
    assert shown(dataset) == ([255, 245, 0] if is_inverse else [0, 10, 255])
    assert shown(dataset, is_inverted=True) == ([0, 10, 255] if is_inverse else [255, 245, 0])


def test_inversion_comes_after_the_window() -> None:
    dataset = image(RAMP, "MONOCHROME1", WindowCenter=3, WindowWidth=1)
    assert shown(dataset) == [255] * 3 + [0] * 5


def test_padding_is_black_and_does_not_widen_the_range() -> None:
    cells = np.array([[-2000, 0, 50, 100]], "i2")
    assert shown(image(cells, PixelPaddingValue=-2000)) == [0, 0, 128, 255]
    assert shown(image(cells)) != [0, 0, 128, 255]
    assert shown(image(cells, "MONOCHROME1", PixelPaddingValue=-2000)) == [0, 255, 128, 0]


def test_a_range_of_padding() -> None:
    cells = np.array([[0, 5, 10, 20, 110]], "u2")
    dataset = image(cells, PixelPaddingValue=0, PixelPaddingRangeLimit=10)
    assert shown(dataset) == [0, 0, 0, 0, 255]
    dataset = image(cells, "MONOCHROME1", PixelPaddingValue=110, PixelPaddingRangeLimit=20)
    assert shown(dataset) == [255, 128, 0, 0, 0]


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_padding_has_the_sign_of_the_pixels(vr: str) -> None:
    for cells, value in ((np.array([[-2000, 0, 100]], "i2"), 63536), (np.array([[63536, 0, 100]], "u2"), 63536)):
        dataset = image(cells)
        dataset.add_new("PixelPaddingValue", vr, value if vr == "US" else value - 65536)
        assert shown(dataset) == [0, 0, 255]


def test_padding_beyond_bits_stored() -> None:
    cells = np.array([[0xF830, 0x0830, 0, 4095]], "u2")
    assert shown(image(cells, BitsStored=12, PixelPaddingValue=0xF830)) == [0, 131, 0, 255]


def test_only_padding_is_black() -> None:
    assert shown(image(np.array([[9, 9]], "u2"), PixelPaddingValue=9)) == [0, 0]


@pytest.mark.parametrize(("bits_stored", "high_bit"), [(12, 11), (12, 15), (10, 12)])
def test_bits_beyond_bits_stored_are_not_seen(bits_stored: int, high_bit: int) -> None:
    values = np.array([[0, 1, (1 << bits_stored - 1) - 1, 1 << bits_stored - 1, (1 << bits_stored) - 1]])
    noise = 0xFFFF ^ ((1 << bits_stored) - 1) << high_bit + 1 - bits_stored
    words = (values << high_bit + 1 - bits_stored | noise).astype("u2")
    full = Window((1 << bits_stored) / 2, 1 << bits_stored)
    dataset = image(words, BitsStored=bits_stored)
    dataset.HighBit = high_bit
    assert shown(dataset, voi=full) == pytest.approx([0, 0, 127, 128, 255], abs=1)
    dataset.PixelRepresentation = 1
    signed = Window(0, 1 << bits_stored)
    assert shown(dataset, voi=signed) == pytest.approx([128, 128, 255, 0, 127], abs=1)


def test_sixteen_bits() -> None:
    assert shown(image(RAMP, WindowCenter=4, WindowWidth=8), bits=16) == [round(x / 7 * 65535) for x in range(8)]


def test_thirty_two_bits() -> None:
    cells = np.array([[0, 2**31, 2**32 - 1]], "u4")
    assert shown(image(cells)) == [0, 128, 255]
    assert shown(image(cells.astype("i4"), RescaleSlope=2, WindowCenter=0, WindowWidth=2.0**33)) == [128, 0, 127]


def test_values_of_floating_point() -> None:
    dataset = image(np.zeros((1, 4), "u1"))
    del dataset.PixelData
    dataset.BitsAllocated = 32
    dataset.FloatPixelData = np.array([-0.5, math.nan, 0.5, math.inf], "<f4").tobytes()
    assert shown(dataset) == [0, 0, 255, 0]
    assert shown(dataset, voi=Window(-1, 0.1, "LINEAR_EXACT"), is_inverted=True) == [0, 0, 0, 0]
    assert shown(dataset, voi=Window(0, 2, "LINEAR_EXACT")) == [64, 0, 191, 0]
    dataset.FloatPixelPaddingValue = -0.5
    assert shown(dataset, voi=Window(0, 2, "LINEAR_EXACT")) == [0, 0, 191, 0]


def test_samples_of_one_bit_begin_within_a_byte() -> None:
    dataset = image(np.zeros((1, 3), "u1"), BitsStored=1, NumberOfFrames=3)
    dataset.BitsAllocated, dataset.PixelData = 1, bytes([0b10_101_011, 0b0000000_1])
    assert [shown(dataset, index) for index in range(3)] == [[255, 255, 0], [255, 0, 255], [0, 255, 255]]


def test_frames_have_their_own_window() -> None:
    def group(center: int) -> Dataset:
        return item(FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=1)])

    dataset = image(np.stack([RAMP, RAMP, RAMP]), PerFrameFunctionalGroupsSequence=[group(2), group(6)])
    dataset.SharedFunctionalGroupsSequence = [
        item(
            FrameVOILUTSequence=[item(WindowCenter=4, WindowWidth=1)],
            PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=0)],
        )
    ]
    assert [shown(dataset, index).count(0) for index in range(3)] == [1, 3, 2]
    dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleSlope = 1
    assert [shown(dataset, index).count(0) for index in range(3)] == [2, 6, 4]


def test_a_large_image_is_rendered_in_blocks() -> None:
    cells = np.arange(3000 * 1000, dtype="u4").reshape(3000, 1000)
    pixels = render(image(cells)).pixels
    assert np.array_equal(pixels, np.rint(cells / cells.max() * 255))
