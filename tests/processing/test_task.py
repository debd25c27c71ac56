"""Performing any type: inputs that are refused, parts, selections, repeats, and what stands in every result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from medserver import __version__, errors
from medserver.codecs import Workers
from medserver.processing.task import perform
from tests.processing import phantoms
from tests.processing.conftest import WORKITEM, Process

RNG = np.random.default_rng(17)
VOLUME = RNG.integers(0, 4096, (5, 16, 24)).astype(np.uint16)


def report() -> Dataset:
    return phantoms.common("1.2.840.10008.5.1.4.1.1.88.11", "SR", 99, 9)


def other_patient(one: Dataset) -> Dataset:
    return phantoms.changed(one, {"PatientID": "P2"})


REFUSED = [
    ("no files", lambda: [], errors.IncompleteObjectSet),
    ("no image", lambda: [report()], errors.ObjectTypeNotSupported),
    ("two patients", lambda: [phantoms.ct_slice(VOLUME[0]), other_patient(phantoms.ct_slice(VOLUME[1], 2))],
     errors.MixedObjectSet),
    ("twice", lambda: [phantoms.ct_slice(VOLUME[0]), phantoms.ct_slice(VOLUME[0])], errors.MixedObjectSet),
    ("no series", lambda: [phantoms.ct_slice(VOLUME[0], SeriesInstanceUID="")], errors.ObjectNotReadable),
    ("pixels cut off", lambda: [phantoms.ct_slice(VOLUME[0], PixelData=b"\0" * 100)], errors.ObjectNotReadable),
    ("no pixels", lambda: [phantoms.ct_slice(VOLUME[0], PixelData=None)], errors.ObjectTypeNotSupported),
    ("Bits Stored", lambda: [phantoms.ct_slice(VOLUME[0], BitsStored=17)], errors.ObjectNotReadable),
    ("Bits Allocated", lambda: [phantoms.ct_slice(VOLUME[0], BitsAllocated=12)], errors.ObjectTypeNotSupported),
    ("Rows of 0", lambda: [phantoms.ct_slice(VOLUME[0], Rows=0)], errors.ObjectNotReadable),
]  # fmt: skip


@pytest.mark.parametrize(("instances", "error"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_inputs_that_are_refused(process: Process, instances, error):
    with pytest.raises(error):
        process("copy", instances())


def test_files_that_are_refused(process: Process, tmp_path: Path):
    folder = phantoms.write(tmp_path / "broken", [phantoms.ct_slice(VOLUME[0])])
    [path] = folder.iterdir()
    whole = path.read_bytes()
    for content, words in ((b"", "DICM"), (b"x" * 500, "DICM"), (whole[:150], "meta"), (whole[:600], "within")):
        path.write_bytes(content)
        with pytest.raises(errors.ObjectNotReadable, match=words):
            process("copy", folder)


def test_what_is_no_image_is_passed_over(process: Process):
    assert len(process("copy", [report(), phantoms.ct_slice(VOLUME[0])])) == 1


def test_provenance(process: Process):
    source = phantoms.ct_slice(
        VOLUME[0], ImageComments="late", OriginalAttributesSequence=[Dataset()], DerivationDescription="edge"
    )
    before = source.OriginalAttributesSequence[0]
    before.ModifyingSystem, before.SourceOfPreviousValues = "PACS", ""
    before.ReasonForTheAttributeModification = "COERCE"
    before.AttributeModificationDateTime, before.ModifiedAttributesSequence = "20260102", [Dataset()]
    before.ModifiedAttributesSequence[0].PatientID = "P0"
    [made] = process("denoise", [source], moment="20260203040506", method="median")
    assert made.SOPClassUID == source.SOPClassUID and made.SOPInstanceUID.startswith("2.25.")
    assert made.SOPInstanceUID != source.SOPInstanceUID and made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert list(made.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
    assert made.DerivationDescription == "edge; Reduction of noise: median, 3 x 3 pixels"
    assert [code.CodeValue for code in made.DerivationCodeSequence] == ["113087"]
    [reference] = made.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert made.SeriesDescription == "Series 1, denoised median 3" and made.SeriesNumber == 101
    assert made.OriginalAttributesSequence == source.OriginalAttributesSequence
    assert str(made.PatientName) == "Müller^Jörg" and made.StudyDescription == "Abdömen"
    assert "SmallestImagePixelValue" not in made
    assert made.InstanceCreationDate == "20260203" and made.InstanceCreationTime == "040506"
    acquired, processed = made.ContributingEquipmentSequence
    assert acquired.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
    assert (acquired.Manufacturer, acquired.DeviceSerialNumber) == ("Ünique Scanners", "12345")
    assert acquired.InstitutionName == made.InstitutionName == "Krankenhaus Süd"
    assert processed.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert list(processed.SoftwareVersions) == [__version__, "denoise 2"]
    name, _, parameters = processed.ContributionDescription.partition(" ")
    assert name == "denoise" and json.loads(parameters)["method"] == "median"
    assert processed.ContributionDateTime == "20260203040506"
    assert made.Manufacturer == "medserver" and "StationName" not in made


def test_what_is_derived_again_says_all_steps(process: Process):
    [once] = process("denoise", [phantoms.ct_slice(VOLUME[0])])
    once.file_meta = None
    [twice] = process("denoise", [once], method="median")
    assert [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in twice.ContributingEquipmentSequence] == [
        "109101", "109102", "109102", "109102",
    ]  # fmt: skip
    assert [code.CodeValue for code in twice.DerivationCodeSequence] == ["113087", "113088", "113087"]
    assert twice.SourceImageSequence[0].ReferencedSOPInstanceUID == once.SOPInstanceUID


def test_a_repeat_makes_the_same_bytes_and_another_work_item_does_not(tmp_path: Path):
    inputs = phantoms.write(tmp_path / "in", phantoms.ct_series(VOLUME))
    made = []
    for number, uid in enumerate((WORKITEM, WORKITEM, "2.25.4712")):
        outputs = tmp_path / str(number)
        outputs.mkdir()
        assert perform("denoise", os.fspath(inputs), os.fspath(outputs), {}, uid) == {"written": 5, "count": 5}
        made.append({path.name: path.read_bytes() for path in outputs.glob("*.dcm")})
    assert made[0] == made[1] and made[0].keys() == made[2].keys()
    assert not set(made[0].values()) & set(made[2].values())
    series = {one.SeriesInstanceUID for number in (0, 2) for one in phantoms.read(tmp_path / str(number))}
    assert len(series) == 2


def test_parts_together_are_the_whole(process: Process):
    whole = process("copy", phantoms.ct_series(VOLUME))
    parts = [process("copy", phantoms.ct_series(VOLUME), part=[index, 3]) for index in range(3)]
    assert [one.SOPInstanceUID for one in sum(parts, [])] == [one.SOPInstanceUID for one in whole]
    assert all(parts)


def test_only_what_is_asked_for_is_made(process: Process):
    whole = process("copy", phantoms.ct_series(VOLUME))
    some = process("copy", phantoms.ct_series(VOLUME), selection=[4, 2])
    assert some == [whole[1], whole[3]]
    for beyond in ([0], [6], [2, 7]):
        with pytest.raises(errors.IncompleteObjectSet, match="there is no output"):
            process("copy", phantoms.ct_series(VOLUME), selection=beyond)


def test_series_stay_apart(process: Process):
    made = process("copy", [*phantoms.ct_series(VOLUME[:2]), *phantoms.ct_series(VOLUME[:2], series=2)])
    assert [one.SeriesNumber for one in made] == [101, 101, 201, 201]
    assert len({one.SeriesInstanceUID for one in made}) == 2
    assert [one.InstanceNumber for one in made] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    "uid",
    [phantoms.IMPLICIT, phantoms.DEFLATED, "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"],
)
def test_any_transfer_syntax_is_read(process: Process, tmp_path: Path, uid: str):
    pixels = RNG.integers(0, 4096, (64, 64)).astype(np.uint16)
    [plain] = process("copy", [phantoms.ct_slice(pixels)])
    [made] = process("copy", phantoms.write(tmp_path / "encoded", [phantoms.ct_slice(pixels)], uid))
    assert made.file_meta.TransferSyntaxUID == phantoms.EXPLICIT
    assert made == plain and made.PixelData == pixels.tobytes()


def test_loss_is_told(process: Process, tmp_path: Path):
    pixels = RNG.integers(0, 255, (64, 64)).astype(np.uint8)
    source = phantoms.with_pixels(phantoms.common(phantoms.SECONDARY_CAPTURE, "OT"), pixels)
    folder = tmp_path / "lossy"
    folder.mkdir()
    source.file_meta = pydicom.dataset.FileMetaDataset()
    source.file_meta.TransferSyntaxUID = phantoms.EXPLICIT
    source.compress("1.2.840.10008.1.2.4.91", j2k_cr=[4])
    source.save_as(folder / "1.dcm", enforce_file_format=True)
    [made] = process("copy", folder, is_checked=False)
    assert made.LossyImageCompression == "01" and made.LossyImageCompressionMethod == "ISO_15444_1"
    [again] = process("copy", [made], is_checked=False)
    assert again.LossyImageCompressionRatio == made.LossyImageCompressionRatio


def test_a_worker_process_performs_it_by_name(tmp_path: Path):
    inputs = phantoms.write(tmp_path / "in", phantoms.ct_series(VOLUME))
    (tmp_path / "out").mkdir()
    arguments = ("denoise", os.fspath(inputs), os.fspath(tmp_path / "out"))
    with Workers(1) as workers:
        told = workers.run("medserver.processing.task:perform", *arguments, {"sigma": 2}, WORKITEM, [2], [0, 1], "")
        assert told == {"written": 1, "count": 5}
        with pytest.raises(errors.UnusableParameters, match="no parameter 'sigmma'"):
            workers.run("medserver.processing.task:perform", *arguments, {"sigmma": 2}, WORKITEM)
    assert [path.name for path in (tmp_path / "out").glob("*.dcm")] == ["000002.dcm"]


def test_the_table_imports_nothing_that_is_slow():
    text = "import sys, medserver.processing.types, medserver.processing.reasons; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert not {"numpy", "pydicom", "scipy", "skimage", "highdicom"} & set(done.stdout.split())


def test_a_library_that_is_not_installed_is_named(process: Process, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    two = [*phantoms.ct_series(VOLUME, 2.0), *phantoms.ct_series(VOLUME, 2.0, series=2)]
    with pytest.raises(errors.CannotProcess, match="register needs SimpleITK: install the extra 'itk'"):
        process("register", two)
