"""`suv`: factors computed by hand, what is taken from the header, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from medserver import errors
from medserver.processing.types.suv import Patient, normalization
from tests.processing import phantoms
from tests.processing.conftest import Process

PIXELS = np.arange(0, 3200, 50).reshape(8, 8).astype(np.int16)

# 350 MBq at 02:05:00, the scan at 03:05:00, half-life 6586.2 s: 0.5 ** (3600 / 6586.2) = 0.68463
LEFT_BQ = 350e6 * 0.5 ** (3600 / 6586.2)


def slices(**others):
    return [phantoms.pet_slice(PIXELS + number, number, 4.0 * number, number * 2, **others) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("by", "normal", "suv_type", "units"),
    [
        ("body-weight", 80_000, "BW", "GML"),
        ("lean-janma", 1000 * 9270 * 80 / (6680 + 216 * 80 / 1.8**2), "LBMJANMA", "GML"),
        ("lean-james", 1000 * (1.10 * 80 - 128 * (80 / 180) ** 2), "LBMJAMES128", "GML"),
        ("body-surface", 71.84 * 80**0.425 * 180**0.725, "BSA", "CM2ML"),
    ],
)
def test_values(process: Process, by: str, normal: float, suv_type: str, units: str):
    made = process("suv", slices(), by=by)
    for one, source in zip(made, slices(), strict=True):
        source.file_meta = one.file_meta
        np.testing.assert_allclose(phantoms.values(one), phantoms.values(source) * normal / LEFT_BQ, rtol=1e-8)
        np.testing.assert_array_equal(one.pixel_array, source.pixel_array)
        assert (one.Units, one.SUVType) == (units, suv_type)
        assert one.SeriesTime == source.SeriesTime and one.ImageIndex == source.ImageIndex
        assert one.SeriesDescription == f"Series 1, SUV {suv_type}"


def test_known_lean_body_masses():
    """A woman of 60 kg and 1.65 m: 42.4 kg by Janmahasatian (9270 * 60 / (8780 + 244 * 22.04)), 44.6 kg by James."""
    woman = Patient(60, 1.65, "F")
    assert normalization("lean-janma", woman) == pytest.approx(39_290, rel=1e-3)
    assert normalization("lean-james", woman) == pytest.approx(44_630, rel=1e-3)
    assert normalization("body-surface", woman) == pytest.approx(16_570, rel=2e-3)


def test_parameters_stand_for_what_the_header_lacks(process: Process):
    said = {"weight": 80, "height": 1.8, "sex": "M", "dose": 350e6}
    for source in (lacking := slices(PatientWeight=None, PatientSize=None, PatientSex="")):
        del source.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose
    made = process("suv", lacking, by="lean-james", **said, is_checked=False)
    whole = process("suv", slices(), by="lean-james")
    assert [one.RescaleSlope for one in made] == [one.RescaleSlope for one in whole]


def test_decay(process: Process):
    def slope(change=lambda one: None, **others) -> float:
        instances = slices(**others)
        for one in instances:
            change(one)
        return float(process("suv", instances, is_checked=False)[0].RescaleSlope)

    usual = 2 * 80_000 / LEFT_BQ
    assert slope() == pytest.approx(usual)
    assert slope(DecayCorrection="ADMIN") == pytest.approx(2 * 80_000 / 350e6)
    # a series that was made later: the scan started with its first slice, at 03:05:01
    assert slope(SeriesTime="050000") == pytest.approx(usual * 2 ** (1 / 6586.2), rel=1e-7)

    def before_midnight(one):
        one.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = "230500"

    assert slope(before_midnight) == pytest.approx(usual * 2 ** (3 * 3600 / 6586.2), rel=1e-7)

    def with_date(one):
        one.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20260102010500.00+0100"

    assert slope(with_date) == pytest.approx(usual * 2 ** (3600 / 6586.2), rel=1e-7)


def test_the_window_goes_along(process: Process):
    made = process("suv", slices(WindowCenter="5000", WindowWidth="10000"))
    assert float(made[0].WindowWidth) == pytest.approx(10_000 * 80_000 / LEFT_BQ, rel=1e-5)
    assert process("suv", slices(), window="5,10")[0].WindowCenter == 5


def lacking(keyword: str):
    instances = slices()
    for one in instances:
        delattr(one.RadiopharmaceuticalInformationSequence[0], keyword)
    return instances


@pytest.mark.parametrize(
    ("instances", "parameters", "error", "words"),
    [
        (slices(Units="CNTS"), {}, errors.ObjectTypeNotSupported, "CNTS, and not BQML"),
        (slices(Units="GML"), {}, errors.ObjectTypeNotSupported, "GML, and not BQML"),
        (slices(CorrectedImage=["DECY"]), {}, errors.ObjectTypeNotSupported, "attenuation"),
        (slices(DecayCorrection="NONE"), {}, errors.ObjectTypeNotSupported, "Decay Correction"),
        (slices(PatientWeight=None), {}, errors.ObjectNotReadable, "give it as 'weight'"),
        (slices(PatientWeight="0"), {}, errors.ObjectNotReadable, "give it as 'weight'"),
        (slices(PatientSize=None), {"by": "body-surface"}, errors.ObjectNotReadable, "give it as 'height'"),
        (slices(PatientSex="O"), {"by": "lean-james"}, errors.ObjectNotReadable, "give it as 'sex'"),
        (slices(RadiopharmaceuticalInformationSequence=[]), {}, errors.ObjectNotReadable, "0 items"),
        (lacking("RadionuclideTotalDose"), {}, errors.ObjectNotReadable, "give it as 'dose'"),
        (lacking("RadionuclideHalfLife"), {}, errors.ObjectNotReadable, "Half Life"),
        (lacking("RadiopharmaceuticalStartTime"), {}, errors.ObjectNotReadable, "no date and time"),
        ([phantoms.ct_slice(PIXELS.astype(np.uint16))], {}, errors.ObjectTypeNotSupported, "not of CT"),
    ],
)
def test_what_is_refused(process: Process, instances, parameters, error, words):
    with pytest.raises(error, match=words):
        process("suv", instances, **parameters)
