"""`subtract`: frames of an angiography against their mask, phases of a scan against each other."""

from __future__ import annotations

import numpy as np
import pytest

from medserver import errors
from tests.processing import phantoms
from tests.processing.conftest import Process

RNG = np.random.default_rng(31)
BONE = RNG.integers(200, 800, (16, 24))
VESSEL = np.zeros((16, 24), int)
VESSEL[6:9] = 150
RUN = np.array([BONE, BONE, BONE - VESSEL, BONE - 2 * VESSEL // 3]).astype(np.uint16)


def test_what_is_left_is_the_vessel(process: Process):
    [made] = process("subtract", [phantoms.angiography(RUN)])
    expected = np.array([0 * VESSEL, 0 * VESSEL, -VESSEL, -(2 * VESSEL // 3)]) + 512
    np.testing.assert_array_equal(made.pixel_array, expected)
    assert (made.WindowCenter, made.WindowWidth) == (512, 256)
    assert "MaskSubtractionSequence" not in made and "RecommendedViewingMode" not in made
    source, mask = made.SourceImageSequence
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322" and "ReferencedFrameNumber" not in source
    assert mask.PurposeOfReferenceCodeSequence[0].CodeValue == "121321" and mask.ReferencedFrameNumber == 1
    assert [code.CodeValue for code in made.DerivationCodeSequence] == ["113062"]
    assert made.DerivationDescription == "Subtraction: minus the mask of frame 1"


def test_several_mask_frames_are_averaged(process: Process):
    frames = RUN.copy()
    frames[1] += 10
    [made] = process("subtract", [phantoms.angiography(frames)], mask_frames="1,2", window="500,100")
    np.testing.assert_array_equal(made.pixel_array[2], 512 - VESSEL - 5)
    assert made.WindowWidth == 100 and len(made.SourceImageSequence) == 3


def test_logarithms_of_linear_pixels(process: Process):
    """The same vessel has the same contrast on bright and on dark background."""
    background = np.full((16, 24), 900)
    background[:, 12:] = 300
    linear = np.array([background, np.where(VESSEL > 0, background * 0.7, background)]).astype(np.uint16)
    [made] = process("subtract", [phantoms.angiography(linear, "LIN")])
    vessel = made.pixel_array[1][VESSEL > 0].astype(int)
    assert vessel.max() - vessel.min() <= 1 and vessel.max() < 512 - 40
    assert (made.pixel_array[1][VESSEL == 0] == 512).all()


def phases(difference: int = 60, **others):
    """Return a native and a contrast series."""
    native = RNG.integers(900, 1100, (4, 8, 8)).astype(np.uint16)
    agent = native.copy()
    agent[:, 2:5, 2:5] += difference
    first = phantoms.ct_series(native, 2.0, series=2, AcquisitionTime="030500")
    second = phantoms.ct_series(agent, 2.0, series=1, AcquisitionTime="030600", **others)
    return first, second


def test_phases(process: Process):
    native, agent = phases()
    made = process("subtract", [*native, *agent], window=[50, 100])
    expected = np.zeros((8, 8))
    expected[2:5, 2:5] = 60
    for one, source, mask in zip(made, agent, native, strict=True):
        np.testing.assert_array_equal(phantoms.values(one), expected)
        assert one.PixelRepresentation == 1 and one.RescaleIntercept == 0 and one.WindowCenter == 50
        assert one.ImagePositionPatient == source.ImagePositionPatient
        assert [item.ReferencedSOPInstanceUID for item in one.SourceImageSequence] == [
            source.SOPInstanceUID, mask.SOPInstanceUID,
        ]  # fmt: skip
    reverse = process("subtract", [*native, *agent], mask=agent[0].SeriesInstanceUID, selection=[2])
    np.testing.assert_array_equal(phantoms.values(reverse[0]), -expected)


def test_phases_with_padding_and_slopes(process: Process):
    native, agent = phases(slope=1.0, PixelPaddingValue=0)
    for one in agent:
        stored = np.frombuffer(one.PixelData, np.uint16).reshape(8, 8).copy()
        stored[0] = 0
        one.PixelData = stored.tobytes()
    made = process("subtract", [*native, *agent])
    assert (phantoms.values(made[0])[0] == 0).all() and "PixelPaddingValue" not in made[0]
    assert "WindowCenter" not in made[0]


def test_what_is_refused(process: Process):
    native, agent = phases()
    with pytest.raises(errors.IncompleteObjectSet, match="no mask frame 9"):
        process("subtract", [phantoms.angiography(RUN)], mask_frames="9")
    with pytest.raises(errors.IncompleteObjectSet, match="two series"):
        process("subtract", native)
    with pytest.raises(errors.MixedObjectSet, match="there are 3"):
        process("subtract", [*native, *agent, *phantoms.ct_series(RUN[:, :8, :8], 2.0, series=3)])
    with pytest.raises(errors.MixedObjectSet, match="same places"):
        process("subtract", [*native, *agent[:-1]])
    for one in agent:
        one.ImagePositionPatient[0] += 1
    with pytest.raises(errors.MixedObjectSet, match="same places"):
        process("subtract", [*native, *agent])
    with pytest.raises(errors.UnusableParameters, match="none of the two"):
        process("subtract", [*native, *agent], mask="1.2.3")
    with pytest.raises(errors.ObjectTypeNotSupported, match="not of DX"):
        process("subtract", [phantoms.radiograph(RUN[0], phantoms.DX)])
