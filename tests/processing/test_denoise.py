"""`denoise`: the values of each filter, what it leaves alone, and what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from medserver import errors
from medserver.processing.types.denoise import noise_of
from tests.processing import phantoms
from tests.processing.conftest import Process

RNG = np.random.default_rng(3)
METHODS = ("gaussian", "median", "nl-means", "total-variation")
EDGE = np.where(np.arange(64) < 32, 900, 1300)[None, :].repeat(48, 0)
NOISY = np.rint(EDGE + RNG.normal(0, 25, EDGE.shape)).astype(np.uint16)


@pytest.mark.parametrize("method", METHODS)
def test_noise_is_less_and_the_image_is_the_same(process: Process, method: str):
    [made] = process("denoise", [phantoms.ct_slice(NOISY)], method=method)
    after = phantoms.values(made) + 1024
    inner = np.abs(np.arange(64) - 31.5) > 6
    assert np.std((after - EDGE)[:, inner]) < 12  # of 25
    assert abs((after - EDGE).mean()) < 1
    assert (made.WindowCenter, made.WindowWidth, made.RescaleIntercept) == (40, 400, -1024)


def test_values_of_the_gaussian(process: Process):
    [made] = process("denoise", [phantoms.ct_slice(NOISY)], sigma=1.5)
    expected = ndimage.gaussian_filter(NOISY.astype(float), 1.5, mode="nearest")
    assert np.abs(made.pixel_array - expected).max() <= 0.501


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "i4"])
def test_values_of_the_median(process: Process, size: int, dtype: str):
    limits = np.iinfo(dtype)
    pixels = RNG.integers(limits.min, limits.max, (33, 20), dtype, endpoint=True)
    source = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "OT"), pixels)
    [made] = process("denoise", [source], method="median", size=size, is_checked=False)
    around = np.pad(pixels, size // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (size, size))
    expected = np.sort(windows.reshape(*pixels.shape, -1))[..., size * size // 2]
    np.testing.assert_array_equal(made.pixel_array, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_small_images(process: Process, method: str, shape: tuple[int, int]):
    pixels = RNG.integers(0, 200, shape).astype(np.uint16)
    [made] = process("denoise", [phantoms.ct_slice(pixels)], method=method)
    assert made.pixel_array.shape == shape


def test_values_of_non_local_means_and_total_variation(process: Process):
    noise = noise_of(NOISY)
    assert noise == pytest.approx(25, rel=0.1)
    single = NOISY.astype(np.float32)
    expected = denoise_nl_means(single, 5, 6, h=0.8 * noise, sigma=noise, fast_mode=True)
    [made] = process("denoise", [phantoms.ct_slice(NOISY)], method="nl-means")
    np.testing.assert_array_equal(made.pixel_array, np.rint(expected))
    expected = denoise_tv_chambolle(single, weight=2 * noise)
    [made] = process("denoise", [phantoms.ct_slice(NOISY)], method="total-variation", strength=2)
    np.testing.assert_array_equal(made.pixel_array, np.rint(expected))


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_image_stays_as_it_is(process: Process, method: str):
    flat = np.full((20, 20), 4095, np.uint16)
    [made] = process("denoise", [phantoms.ct_slice(flat)], method=method)
    np.testing.assert_array_equal(made.pixel_array, flat)


@pytest.mark.parametrize("method", METHODS)
def test_filters_do_not_depend_on_slope_and_intercept(process: Process, method: str):
    signed = (NOISY.astype(np.int16) - 1024) * 2
    [plain] = process("denoise", [phantoms.ct_slice(NOISY)], method=method)
    [other] = process("denoise", [phantoms.ct_slice(signed, slope=0.5, intercept=0.0)], method=method)
    assert np.abs(phantoms.values(plain) - phantoms.values(other)).max() <= 0.76  # each is rounded


@pytest.mark.parametrize("method", METHODS)
def test_padding_stays_and_flows_into_nothing(process: Process, method: str):
    signed = NOISY.astype(np.int16) - 1024
    padded = np.hypot(*np.mgrid[-24:24, -32:32]) > 23
    with_padding = np.where(padded, -2000, signed).astype(np.int16)
    [made] = process("denoise", [phantoms.ct_slice(with_padding, PixelPaddingValue=-2000)], method=method)
    assert (made.pixel_array[padded] == -2000).all()
    assert made.pixel_array[~padded].min() > -300  # -124 without the noise
    [wrong] = process("denoise", [phantoms.ct_slice(with_padding)], method="gaussian")
    assert wrong.pixel_array[~padded].min() < -500


def test_a_range_of_padding_and_one_that_is_written_unsigned(process: Process):
    pixels = np.where(np.arange(64) < 8, 60000, NOISY).astype(np.uint16)
    pixels[:, 3:8] = 60010
    others = {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 60010, "BitsStored": 16, "HighBit": 15}
    [made] = process("denoise", [phantoms.ct_slice(pixels, **others)])
    np.testing.assert_array_equal(made.pixel_array[:, :8], pixels[:, :8])
    assert made.pixel_array[:, 8:].max() < 1500
    signed = pixels.view(np.int16).copy()
    source = phantoms.ct_slice(signed)
    source.add_new("PixelPaddingValue", "US", 60000)  # as some write it, whatever Pixel Representation says
    source.add_new("PixelPaddingRangeLimit", "US", 60010)
    [made] = process("denoise", [source], is_checked=False)
    np.testing.assert_array_equal(made.pixel_array[:, :8], signed[:, :8])


def test_all_padding(process: Process):
    pixels = np.full((9, 9), -2000, np.int16)
    [made] = process("denoise", [phantoms.ct_slice(pixels, PixelPaddingValue=-2000)])
    np.testing.assert_array_equal(made.pixel_array, pixels)


def test_monochrome1_and_frames(process: Process):
    frames = RNG.integers(0, 1024, (3, 16, 16)).astype(np.uint16)
    source = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "OT"), frames, 10, "MONOCHROME1")
    [made] = process("denoise", [source], method="median", is_checked=False)
    assert made.PhotometricInterpretation == "MONOCHROME1" and made.NumberOfFrames == 3
    for before, after in zip(frames, made.pixel_array, strict=True):
        np.testing.assert_array_equal(after, ndimage.median_filter(before, 3, mode="nearest"))


def test_overlays_in_the_pixels_go(process: Process):
    pixels = NOISY.astype(np.uint16)
    source = phantoms.ct_slice(pixels | 0x8000)
    overlay = {0x0010: ("US", 48), 0x0011: ("US", 64), 0x0040: ("CS", "G"), 0x0050: ("SS", [1, 1]),
               0x0100: ("US", 16), 0x0102: ("US", 15)}  # fmt: skip
    for element, (vr, value) in overlay.items():
        source.add_new((0x6000, element), vr, value)
    [made] = process("denoise", [source], method="median")
    assert not [element for element in made if element.tag.group == 0x6000]
    np.testing.assert_array_equal(made.pixel_array, ndimage.median_filter(pixels, 3, mode="nearest"))


def colours() -> Dataset:
    one = phantoms.common(phantoms.SECONDARY_CAPTURE, "OT")
    return phantoms.with_pixels(one, RNG.integers(0, 255, (8, 8, 3)).astype(np.uint8), interpretation="RGB")


@pytest.mark.parametrize(
    ("instances", "parameters", "error"),
    [
        ([colours()], {}, errors.ObjectTypeNotSupported),
        ([phantoms.ct_slice(NOISY, PhotometricInterpretation="PALETTE COLOR")], {}, errors.ObjectTypeNotSupported),
        ([phantoms.ct_slice(NOISY)], {"size": 4, "method": "median"}, errors.UnusableParameters),
        ([phantoms.ct_slice(NOISY)], {"sigma": 0}, errors.UnusableParameters),
        ([phantoms.ct_slice(NOISY)], {"method": "bilateral"}, errors.UnusableParameters),
    ],
)
def test_what_is_refused(process: Process, instances, parameters, error):
    with pytest.raises(error):
        process("denoise", instances, **parameters)
