"""`multiframe`, and what other types make of enhanced objects."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileMetaDataset
from scipy import ndimage

from medserver import errors
from medserver.processing.task import perform
from tests.processing import phantoms
from tests.processing.conftest import WORKITEM, Process

RNG = np.random.default_rng(23)
VOLUME = RNG.integers(0, 4096, (4, 16, 24)).astype(np.uint16)

SLICES = {
    "CT": (lambda: phantoms.ct_series(VOLUME, 2.0), "1.2.840.10008.5.1.4.1.1.2.2"),
    "MR": (lambda: [phantoms.mr_slice(one, n, 2.0 * n) for n, one in enumerate(VOLUME, 1)],
           "1.2.840.10008.5.1.4.1.1.4.4"),
    "PT": (lambda: [phantoms.pet_slice(one.astype(np.int16), n, 2.0 * n, n / 2) for n, one in enumerate(VOLUME, 1)],
           "1.2.840.10008.5.1.4.1.1.128.1"),
}  # fmt: skip


@pytest.mark.parametrize("modality", SLICES)
def test_a_series_becomes_one_object(process: Process, modality: str):
    slices, sop_class_uid = SLICES[modality]
    [made] = process("multiframe", slices())
    assert made.SOPClassUID == sop_class_uid and made.NumberOfFrames == 4
    assert made.ImageType[0] == "ORIGINAL"
    before = {one.SOPInstanceUID: one for one in slices()}
    for one in before.values():
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = phantoms.EXPLICIT
    for group, frame in zip(made.PerFrameFunctionalGroupsSequence, made.pixel_array, strict=True):
        source = before.pop(group.ConversionSourceAttributesSequence[0].ReferencedSOPInstanceUID)
        np.testing.assert_array_equal(frame, source.pixel_array)
        assert group.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
    assert not before
    assert made.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "109106"
    assert str(made.PatientName) == "Müller^Jörg"


def test_a_repeat_makes_the_same_bytes(tmp_path: Path):
    inputs = phantoms.write(tmp_path / "in", SLICES["CT"][0]())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        perform("multiframe", os.fspath(inputs), os.fspath(tmp_path / name), {}, WORKITEM)
    assert (tmp_path / "a/000001.dcm").read_bytes() == (tmp_path / "b/000001.dcm").read_bytes()


def test_what_is_refused(process: Process):
    frames = phantoms.ct_slice(VOLUME)
    with pytest.raises(errors.ObjectTypeNotSupported, match="several frames"):
        process("multiframe", [frames])
    with pytest.raises(errors.UnusableParameters, match="all of its outputs"):
        process("multiframe", SLICES["CT"][0](), selection=[1])
    other = phantoms.changed(SLICES["CT"][0]()[0], {"SOPClassUID": phantoms.SECONDARY_CAPTURE})
    with pytest.raises(errors.ObjectTypeNotSupported, match="one kind"):
        process("multiframe", [other])


def test_frames_of_an_enhanced_object_are_filtered(process: Process):
    [enhanced] = process("multiframe", SLICES["CT"][0]())
    enhanced.file_meta = None
    [made] = process("denoise", [enhanced], method="median")
    expected = [ndimage.median_filter(one, 3, mode="nearest") for one in enhanced.pixel_array]
    np.testing.assert_array_equal(made.pixel_array, expected)
    assert made.SOPClassUID == enhanced.SOPClassUID and made.ImageType[0] == "DERIVED"
    for number, group in enumerate(made.PerFrameFunctionalGroupsSequence, 1):
        [derivation] = group.DerivationImageSequence
        assert derivation.DerivationCodeSequence[0].CodeValue == "113087"
        assert derivation.SourceImageSequence[0].ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
        assert derivation.SourceImageSequence[0].ReferencedFrameNumber == number
    shared = made.SharedFunctionalGroupsSequence[0]
    assert shared.CTImageFrameTypeSequence[0].FrameType[0] == "DERIVED"


def test_pictures_of_an_enhanced_object(process: Process):
    [enhanced] = process("multiframe", SLICES["CT"][0]())
    slices = process("capture", SLICES["CT"][0]())
    enhanced.file_meta = None
    made = process("capture", [enhanced])
    assert {one.pixel_array.tobytes() for one in made} == {one.pixel_array.tobytes() for one in slices}


def test_an_enhanced_object_is_not_reformatted(process: Process):
    [enhanced] = process("multiframe", SLICES["CT"][0]())
    enhanced.file_meta = None
    with pytest.raises(errors.ObjectTypeNotSupported, match="multi-frame"):
        process("reformat", [enhanced])
