"""The Gaussian filter, beside that of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medserver.processing.pixels.gaussian import gaussian


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 200), (64, 64), (65, 130), (200, 3)])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.0, 3.3, 20.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_it_is_that_of_scipy(shape: tuple[int, int], sigma: float, dtype: type) -> None:
    frame = np.random.default_rng(7).integers(0, 256 if dtype is np.uint8 else 4096, shape).astype(dtype)
    before = frame.copy()
    smooth = gaussian(frame, sigma)
    assert smooth.dtype == np.float32 and (frame == before).all()
    np.testing.assert_allclose(smooth, ndimage.gaussian_filter(frame.astype(float), sigma, mode="nearest"), atol=2e-3)


def test_it_is_right_for_all_of_16_bits() -> None:
    frame = np.random.default_rng(7).integers(0, 65536, (100, 100)).astype(np.uint16)
    expected = ndimage.gaussian_filter(frame.astype(float), 2.0, mode="nearest")
    np.testing.assert_allclose(gaussian(frame, 2.0), expected, atol=0.02)


def test_what_is_flat_stays_flat() -> None:
    flat = np.full((70, 70), 65535, np.uint16)
    assert (np.rint(gaussian(flat, 20.0)) == flat).all()
