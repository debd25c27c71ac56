"""`contrast` and `sharpen`: what becomes visible, what stays, polarity, padding."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.exposure import equalize_adapthist

from medserver import errors
from medserver.processing.types.contrast import multiscale
from tests.processing import phantoms
from tests.processing.conftest import Process

RNG = np.random.default_rng(8)
ROWS, COLUMNS = np.mgrid[:128, :160]
FIELD = 800 + 15 * COLUMNS  # a strong gradient of 2,400 ...
LESIONS = np.zeros_like(FIELD, float)
for _row, _column in ((40, 40), (90, 110)):
    LESIONS += 25 * np.exp(-((ROWS - _row) ** 2 + (COLUMNS - _column) ** 2) / 50)  # ... with two details of 25
FILM = np.rint(FIELD + LESIONS + RNG.normal(0, 1, FIELD.shape)).astype(np.uint16)
PLAIN = np.rint(FIELD + RNG.normal(0, 1, FIELD.shape)).astype(np.uint16)


def visibility(pixels: np.ndarray) -> float:
    """Return how far the lesions stand out of what is around them."""
    smooth = ndimage.gaussian_filter(pixels.astype(float), 2)
    wide = ndimage.gaussian_filter(pixels.astype(float), 12)
    return float(np.mean([(smooth - wide)[40, 40], (smooth - wide)[90, 110]]))


@pytest.mark.parametrize("sop_class_uid", [phantoms.CR, phantoms.DX, phantoms.MG])
@pytest.mark.parametrize("parameters", [{}, {"method": "clahe", "clip": 0.02}], ids=["multiscale", "clahe"])
def test_lesions_stand_out(process: Process, sop_class_uid: str, parameters: dict):
    [made] = process("contrast", [phantoms.radiograph(FILM, sop_class_uid)], **parameters)
    assert visibility(made.pixel_array) > 1.3 * visibility(FILM)
    assert made.SOPClassUID == sop_class_uid and made.PhotometricInterpretation == "MONOCHROME1"
    tails = np.percentile(made.pixel_array, [1, 99]), np.percentile(FILM, [1, 99])
    assert np.abs(tails[0] - tails[1]).max() < 250  # of 2,400: the window is still right
    assert [(code.CodeValue, code.CodingSchemeDesignator) for code in made.DerivationCodeSequence] == [
        ("CONTRAST", "99MEDSERVER")
    ]


def test_more_strength_makes_more_contrast(process: Process):
    seen = [
        visibility(process("contrast", [phantoms.radiograph(FILM)], strength=strength)[0].pixel_array)
        for strength in (0, 0.3, 0.6, 0.9)
    ]
    assert seen[0] == pytest.approx(visibility(FILM)) and seen == sorted(seen) and seen[-1] > 1.5 * seen[0]


def test_a_weak_detail_gains_more_than_a_strong_one():
    """By the law of the reference: a gain of (|x| / M) ** -p."""
    bars = np.zeros((64, 128), np.float32)
    bars[:, 30:34], bars[:, 90:94] = 10, 1000
    made = multiscale(bars, 0.6)
    gain = (made[32, 31] / 10, made[32, 91] / 1000)
    assert gain[0] > 1.5 * gain[1]


def test_values_of_clahe(process: Process):
    [made] = process("contrast", [phantoms.radiograph(FILM, interpretation="MONOCHROME2")], method="clahe", tiles=4)
    low, high = float(FILM.min()), float(FILM.max())
    expected = equalize_adapthist((FILM - low) / (high - low), [32, 40], 0.01, 1024) * (high - low) + low
    assert np.abs(made.pixel_array - expected).max() < 0.6


@pytest.mark.parametrize("method", ["multiscale", "clahe"])
def test_polarity_makes_no_difference(process: Process, method: str):
    [dark] = process("contrast", [phantoms.radiograph(FILM, interpretation="MONOCHROME1")], method=method)
    [light] = process("contrast", [phantoms.radiograph(4095 - FILM, interpretation="MONOCHROME2")], method=method)
    assert np.abs(dark.pixel_array.astype(int) - (4095 - light.pixel_array.astype(int))).max() <= 1


@pytest.mark.parametrize("method", ["multiscale", "clahe"])
def test_flat_small_and_padded_images(process: Process, method: str):
    flat = np.full((32, 32), 77, np.uint16)
    [made] = process("contrast", [phantoms.radiograph(flat)], method=method)
    np.testing.assert_array_equal(made.pixel_array, flat)
    [made] = process("contrast", [phantoms.radiograph(FILM[:3, :2])], method=method)
    assert made.pixel_array.shape == (3, 2)
    padded = FILM.copy()
    padded[:, :30] = 0
    [made] = process("contrast", [phantoms.radiograph(padded, PixelPaddingValue=0)], method=method)
    assert (made.pixel_array[:, :30] == 0).all() and made.pixel_array[:, 30:].min() > 600


def test_digitized_film_is_taken_and_ct_is_not(process: Process):
    film = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "OT"), FILM, 12)
    film.ConversionType, film.PatientOrientation = "DF", ""
    [made] = process("contrast", [film])
    assert made.ConversionType == "DF" and visibility(made.pixel_array) > 1.3 * visibility(FILM)
    with pytest.raises(errors.ObjectTypeNotSupported, match="not of CT"):
        process("contrast", [phantoms.ct_slice(FILM)])


def test_values_of_the_unsharp_mask(process: Process):
    [made] = process("sharpen", [phantoms.ct_slice(FILM)], radius=1.5, amount=0.8)
    before = FILM.astype(float)
    expected = before + 0.8 * (before - ndimage.gaussian_filter(before, 1.5, mode="nearest"))
    assert np.abs(made.pixel_array - np.clip(expected, 0, 4095)).max() <= 0.51
    assert [code.CodeValue for code in made.DerivationCodeSequence] == ["113086", "113089"]


def test_a_threshold_leaves_noise_alone(process: Process):
    [made] = process("sharpen", [phantoms.ct_slice(PLAIN)], radius=1.5, amount=3, threshold=8)
    inner = (slice(None), slice(10, -10))
    np.testing.assert_array_equal(made.pixel_array[inner], PLAIN[inner])
    edge = np.where(COLUMNS < 80, 500, 1500).astype(np.uint16)
    [made] = process("sharpen", [phantoms.ct_slice(edge)], threshold=8)
    assert made.pixel_array[:, 79].max() < 400 and made.pixel_array[:, 80].min() > 1600
