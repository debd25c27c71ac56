"""`adc`: coefficients that are known, several directions, b-values of vendors, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from medserver import errors
from tests.processing import phantoms
from tests.processing.conftest import Process

RNG = np.random.default_rng(41)
ROWS, COLUMNS = np.mgrid[:12, :16]
TRUE = 500e-6 + 150e-6 * COLUMNS  # mm2/s: 0.5 to 2.75 * 10^-3
SIGNAL = 3000 - 40 * ROWS
IMAGE_TYPE = ["ORIGINAL", "PRIMARY", "DIFFUSION"]


def acquired(b_values=(0, 500, 1000), slices: int = 2, directions: int = 1, **others):
    """Return slices with the signal that the coefficients give, which grow from slice to slice."""
    made, number = [], 0
    for b_value in b_values:
        for direction in range(directions if b_value else 1):
            for place in range(slices):
                number += 1
                anisotropy = 1 + 0.2 * (direction - (directions - 1) / 2)
                pixels = SIGNAL * np.exp(-b_value * TRUE * (1 + place / 10) * anisotropy)
                one = phantoms.mr_slice(np.rint(pixels).astype(np.uint16), number, 4.0 * place, ImageType=IMAGE_TYPE)
                made.append(phantoms.changed(one, {"DiffusionBValue": float(b_value)} | others))
    return made


def check(made, tolerance: float = 0.03):
    for place, one in enumerate(made):
        expected = TRUE * (1 + place / 10)
        np.testing.assert_allclose(one.pixel_array * 1e-6, expected, rtol=tolerance)


def test_coefficients(process: Process):
    made = process("adc", acquired())
    assert len(made) == 2
    check(made)
    one = made[0]
    assert list(one.ImageType) == ["DERIVED", "SECONDARY", "DIFFUSION MAP", "ADC"]
    assert (one.BitsStored, one.PixelRepresentation, one.WindowCenter) == (16, 0, 1500)
    mapping = one.RealWorldValueMappingSequence[0]
    assert mapping.RealWorldValueSlope == 1e-6
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "mm2/s"
    assert "DiffusionBValue" not in one and one.DerivationDescription.endswith("b = 0, 500, 1000 s/mm2")
    assert len(one.SourceImageSequence) == 3
    assert [code.CodeValue for code in one.DerivationCodeSequence] == ["129105"]


def test_directions_are_averaged(process: Process):
    made = process("adc", acquired((0, 800), directions=3))
    check(made)
    assert len(made[0].SourceImageSequence) == 4


def test_only_what_is_asked_for(process: Process):
    whole = process("adc", acquired(slices=4))
    assert process("adc", acquired(slices=4), selection=[3]) == whole[2:3]


def test_air_and_coefficients_that_are_too_high_or_negative(process: Process):
    instances = acquired((0, 1000), slices=1)
    first, second = (np.frombuffer(one.PixelData, np.uint16).reshape(12, 16).copy() for one in instances)
    first[0], second[0] = 5, 9  # air
    second[1] = first[1] + 100  # more signal than without diffusion
    second[2] = 0
    for one, pixels in zip(instances, (first, second), strict=True):
        one.PixelData = pixels.tobytes()
    [made] = process("adc", instances)
    assert (made.pixel_array[0] == 0).all() and (made.pixel_array[1] == 0).all()
    np.testing.assert_allclose(made.pixel_array[2], np.log(first[2]) * 1000, atol=1)


@pytest.mark.parametrize(
    ("group", "creator", "element", "vr", "value"),
    [
        (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "{}"),
        (0x0043, "GEMS_PARM_01", 0x39, "IS", "100000{:04d}\\8\\0\\0"),
        (0x0043, "GEMS_PARM_01", 0x39, "IS", "{}\\8\\0\\0"),
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", "{}"),
        (0x0019, "SIEMENS MR HEADER", 0x0C, "UN", "{}"),
    ],
)
def test_b_values_of_vendors(process: Process, group: int, creator: str, element: int, vr: str, value: str):
    instances = acquired((0, 800))
    for one in instances:
        b_value = int(one.DiffusionBValue)
        del one.DiffusionBValue
        text = value.format(b_value)
        given = float(b_value) if vr == "FL" else text.encode() if vr == "UN" else text.split("\\")
        given = given + b" " if vr == "UN" and len(given) % 2 else given
        one.private_block(group, creator, create=True).add_new(element, vr, given)
    made = process("adc", instances)
    check(made)
    assert not [each for each in made[0] if each.tag.is_private]


@pytest.mark.parametrize(
    ("instances", "error", "words"),
    [
        (lambda: acquired((800,)), errors.IncompleteObjectSet, "two b-values"),
        (lambda: acquired()[:-1], errors.IncompleteObjectSet, "same b-values"),
        (lambda: acquired(DiffusionBValue=None), errors.ObjectTypeNotSupported, "does not say its b-value"),
        (lambda: [phantoms.mr_slice(np.zeros((2, 4, 4), np.uint16))], errors.ObjectTypeNotSupported, "several frames"),
    ],
)
def test_what_is_refused(process: Process, instances, error, words):
    with pytest.raises(error, match=words):
        process("adc", instances())
