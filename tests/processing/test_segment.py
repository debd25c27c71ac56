"""`segment`: which voxels, where the segmentation says that they are, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import highdicom
import numpy as np
import pytest

from medserver import errors
from medserver.processing.task import perform
from tests.processing import phantoms
from tests.processing.conftest import WORKITEM, Process

VALUES = np.full((6, 12, 16), -1000)
VALUES[1:5, 2:10, 2:14] = 40
VALUES[2:4, 3:5, 3:6] = 600  # two bones
VALUES[2:4, 7:9, 8:12] = 700
SLICES = (VALUES + 1024).astype(np.uint16)


def volume(**others):
    return phantoms.ct_series(SLICES, 2.0, **others)


def mask_of(one) -> np.ndarray:
    """Return the voxels of a segmentation in the order of the slices, as highdicom reads them."""
    read = highdicom.seg.Segmentation.from_dataset(one)
    sources = [each.SOPInstanceUID for each in volume()]
    return read.get_pixels_by_source_instance(sources, assert_missing_frames_are_empty=True)[..., 0].astype(bool)


def test_between_two_thresholds(process: Process):
    [made] = process("segment", volume(), lower=300, label="Bone, all", property="bone", moment="20260203040506")
    np.testing.assert_array_equal(mask_of(made), VALUES > 300)
    assert made.Modality == "SEG" and made.FrameOfReferenceUID == volume()[0].FrameOfReferenceUID
    [segment] = made.SegmentSequence
    assert segment.SegmentLabel == "Bone, all"
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "272673000"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert made.StudyInstanceUID == volume()[0].StudyInstanceUID and str(made.PatientName) == "Müller^Jörg"
    assert made.ContentDate == made.InstanceCreationDate == "20260203"
    assert made.ContributingEquipmentSequence[0].ContributionDescription.startswith("segment {")
    [between] = process("segment", volume(), lower=0, upper=650)
    np.testing.assert_array_equal(mask_of(between), (VALUES >= 0) & (VALUES <= 650))


def test_a_region_grows_from_its_seed(process: Process):
    seed = [-10 + 9, -20 + 7, 2 * 2]  # column, row, slice: in the second bone
    [made] = process("segment", volume(), method="region", seed=seed, lower=300)
    np.testing.assert_array_equal(mask_of(made), VALUES == 700)
    assert made.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_units_of_the_modality_count(process: Process):
    steep = phantoms.ct_series(((VALUES + 1000) * 2).astype(np.uint16), 2.0, slope=0.5, intercept=-1000.0)
    [made] = process("segment", steep, upper=100, lower=0)
    np.testing.assert_array_equal(mask_of(made), VALUES == 40)


def test_a_repeat_makes_the_same_bytes(tmp_path: Path):
    inputs = phantoms.write(tmp_path / "in", volume())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        perform("segment", os.fspath(inputs), os.fspath(tmp_path / name), {"lower": 300}, WORKITEM)
    assert (tmp_path / "a/000001.dcm").read_bytes() == (tmp_path / "b/000001.dcm").read_bytes()


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({}, errors.UnusableParameters, "have to be given"),
        ({"lower": 3, "upper": 2}, errors.UnusableParameters, "more than upper"),
        ({"lower": 3000}, errors.IncompleteObjectSet, "no voxel"),
        ({"lower": 300, "method": "region"}, errors.UnusableParameters, "both or neither"),
        ({"lower": 300, "seed": "0,0,0"}, errors.UnusableParameters, "both or neither"),
        ({"lower": 300, "method": "region", "seed": "500,0,0"}, errors.UnusableParameters, "outside"),
        ({"lower": 300, "method": "region", "seed": "-10,-20,0"}, errors.UnusableParameters, "not between"),
    ],
)
def test_what_is_refused(process: Process, parameters: dict, error, words: str):
    with pytest.raises(error, match=words):
        process("segment", volume(), **parameters)
