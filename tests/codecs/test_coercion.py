"""Attributes are changed on the way, and what they were goes along; nothing else is touched."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest

from medserver.codecs import Workers, change_attributes
from medserver.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from medserver.errors import CannotTranscode
from tests.codecs.images import image, stored
from tests.codecs.stored import StoredObject, flattened, stored_objects
from tests.failures import Failures

CHANGES = {
    "set": {"InstitutionName": "Hospital", "PatientComments": "seen"},
    "remove": ["OtherPatientIDs", "AccessionNumber"],
    "map": {"StationName": {"CT1": "SCANNER1"}},
}
ADDED = {0x00080080, 0x00104000, 0x00101000, 0x00080050, 0x00081010, 0x04000561}


def changed(one: StoredObject, workers: Workers, folder: Path, changes: dict | None = None) -> StoredObject:
    source = io.BytesIO(one.data_set)
    with (
        change_attributes(
            source, len(one.data_set), one.transfer_syntax_uid, changes or CHANGES, "NODE", workers, folder
        ) as result,
        result.open() as data_set,
    ):
        return StoredObject(one.name, one.transfer_syntax_uid, data_set.read())


def example() -> pydicom.Dataset:
    dataset = image((1, 32, 32), "u2", 12).read()
    dataset.InstitutionName, dataset.StationName, dataset.AccessionNumber = "Old", "CT1", "A1"
    return dataset


@pytest.mark.parametrize(
    "uid",
    [
        EXPLICIT_VR_LITTLE_ENDIAN,
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        "1.2.840.10008.1.2.4.90",
    ],
)
def test_in_every_encoding(uid: str, workers: Workers, tmp_path: Path) -> None:
    original = stored(example())
    if uid != EXPLICIT_VR_LITTLE_ENDIAN:
        original = original.transcoded(uid, workers, tmp_path)
    after, before = changed(original, workers, tmp_path).read(), original.read()
    assert (after.InstitutionName, after.PatientComments, after.StationName) == ("Hospital", "seen", "SCANNER1")
    assert "AccessionNumber" not in after
    assert after.PixelData == before.PixelData
    [item] = after.OriginalAttributesSequence
    assert (item.ModifyingSystem, item.ReasonForTheAttributeModification) == ("NODE", "COERCE")
    [was] = item.ModifiedAttributesSequence
    assert (was.InstitutionName, was.StationName, was.AccessionNumber) == ("Old", "CT1", "A1")
    assert "PatientComments" not in was


@pytest.mark.filterwarnings("ignore")  # pydicom warns of what is odd in its test files
def test_nothing_else_changes(workers: Workers, tmp_path: Path) -> None:
    def rest(dataset: pydicom.Dataset) -> list:
        return [each for each in flattened(dataset) if each[0][0] not in ADDED]

    with Failures() as failures:
        for one in stored_objects():
            with failures.of(one.name):
                assert rest(changed(one, workers, tmp_path).read()) == rest(one.read())


def test_twice_keeps_both(workers: Workers, tmp_path: Path) -> None:
    once = changed(stored(example()), workers, tmp_path)
    twice = changed(once, workers, tmp_path, {"set": {"InstitutionName": "Third"}}).read()
    names = [item.ModifiedAttributesSequence[0].InstitutionName for item in twice.OriginalAttributesSequence]
    assert names == ["Old", "Hospital"]


def test_without_a_change_nothing_is_noted(workers: Workers, tmp_path: Path) -> None:
    original = stored(image((1, 32, 32), "u2", 12).read())
    same = changed(original, workers, tmp_path, {"map": {"StationName": {"CT9": "X"}}, "remove": ["AccessionNumber"]})
    assert "OriginalAttributesSequence" not in same.read()


def test_a_value_that_cannot_be_is_refused(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(CannotTranscode, match="^SeriesNumber cannot have the value: "):
        changed(stored(example()), workers, tmp_path, {"set": {"SeriesNumber": "many"}})
    with pytest.raises(CannotTranscode, match="^a value of 65535 bytes at 8 goes beyond 8$"):
        changed(StoredObject("none", EXPLICIT_VR_LITTLE_ENDIAN, b"\x08\x00\x05\x00CS\xff\xff"), workers, tmp_path)
