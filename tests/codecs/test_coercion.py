"""Attributes are changed on the way, and what they were goes along; nothing else is touched."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pydicom
import pytest
from pydicom.filereader import read_dataset

from medserver.codecs import Workers, change_attributes, transcoding
from medserver.dicom.encodings import IMPLICIT_LITTLE
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
    dataset.OtherPatientIDs = "P7"
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
    assert after["AccessionNumber"].is_empty  # of Type 2: it may not be absent
    assert "OtherPatientIDs" not in after
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


def test_a_name_in_code_extensions_is_mapped(workers: Workers, tmp_path: Path) -> None:
    """pydicom does not read what it has not written itself: an escape sequence in each component."""
    name = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab "
    dataset = example()
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 58"]
    dataset.PatientName = "x" * len(name)
    one = stored(dataset)
    one = StoredObject(one.name, one.transfer_syntax_uid, one.data_set.replace(b"x" * len(name), name))
    changes = {"map": {"PatientName": {"Zhang^XiaoDong=\u5f20^\u5c0f\u4e1c": "Zhang^XD"}}}
    assert changed(one, workers, tmp_path, changes).read().PatientName == "Zhang^XD"


KOREAN = "홍길동".encode("euc_kr")


@pytest.mark.parametrize(("stated", "raw", "text"), [
    ("ISO_IR 149", KOREAN, "홍길동"),  # pydicom knows ISO 2022 IR 149 only
    ("\\iso 2022-ir 149", b"\x1b$)C" + KOREAN, "홍길동"),
    ("utf8", "Süd".encode(), "Süd"),
    ("ISO_IR 192", "Süd".encode(), "Süd"),
    ("punycode", b"Kang-x", "Kang-x"),  # a codec of Python
])
@pytest.mark.filterwarnings("ignore")
def test_texts_are_in_the_character_set_that_everybody_reads(
    workers: Workers, tmp_path: Path, stated: str, raw: bytes, text: str
) -> None:
    """As queries and rules read them; what was there before is noted as it was."""
    dataset = example()
    dataset.ImageType = "C" * (len(stated) + len(stated) % 2)  # stands in front
    dataset.InstitutionName = dataset.StudyDescription = "X" * (len(raw) + len(raw) % 2)
    data_set = stored(dataset).data_set.replace(b"\x08\x00\x08\x00CS", b"\x08\x00\x05\x00CS")
    for mark, value in ((dataset.ImageType, stated.encode()), (dataset.InstitutionName, raw)):
        data_set = data_set.replace(mark.encode(), value.ljust(len(mark)))
    changes = {"map": {"InstitutionName": {text: "Seoul"}}}
    once = changed(StoredObject("made", EXPLICIT_VR_LITTLE_ENDIAN, data_set), workers, tmp_path, changes)
    assert b"Seoul" in once.data_set
    assert once.data_set.count(raw) == data_set.count(raw) == 2
    twice = changed(once, workers, tmp_path, {"set": {"InstitutionName": "Busan"}})
    assert twice.data_set.count(raw) == 2 and twice.data_set.count(b"Seoul") == 1


def test_twice_keeps_both(workers: Workers, tmp_path: Path) -> None:
    once = changed(stored(example()), workers, tmp_path)
    twice = changed(once, workers, tmp_path, {"set": {"InstitutionName": "Third"}}).read()
    names = [item.ModifiedAttributesSequence[0].InstitutionName for item in twice.OriginalAttributesSequence]
    assert names == ["Old", "Hospital"]


@pytest.mark.parametrize("others", [{"set": {"StationName": "FINAL"}}, {"remove": ["StationName"]}])
def test_two_changes_of_one_attribute_note_what_was_there_before_both(
    workers: Workers, tmp_path: Path, others: dict
) -> None:
    """It was what the first of them had made."""
    after = changed(stored(example()), workers, tmp_path, {"map": {"StationName": {"CT1": "MAPPED"}}} | others).read()
    [item] = after.OriginalAttributesSequence
    assert item.ModifiedAttributesSequence[0].StationName == "CT1"
    assert after.get("StationName") == others.get("set", {}).get("StationName")


def test_what_was_not_there_is_not_noted(workers: Workers, tmp_path: Path) -> None:
    both = {"set": {"PatientComments": "x"}, "remove": ["PatientComments"]}
    after = changed(stored(example()), workers, tmp_path, both).read()
    assert "OriginalAttributesSequence" not in after and "PatientComments" not in after


def large(path: Path, value_size_bytes: int) -> int:
    """Write an object with a value of that length, which is a hole of the file; return the length of the object."""
    dataset = example()
    dataset.PixelData = b"\0\0"
    head = stored(dataset).data_set[:-6] + value_size_bytes.to_bytes(4, "little")
    path.write_bytes(head)
    os.truncate(path, len(head) + value_size_bytes)
    return len(head) + value_size_bytes


@pytest.mark.parametrize("text", ["Hospital", "Süd"])  # copied; brought into another character set
def test_an_object_of_any_size_is_changed(tmp_path: Path, text: str) -> None:
    """It had to fit into the memory of a worker three times."""
    size_bytes = large(tmp_path / "large", 2**28)
    changes = {"set": {"InstitutionName": text}}
    with Workers(1, memory_max_bytes=2**27) as workers, (tmp_path / "large").open("rb") as source:
        how = (EXPLICIT_VR_LITTLE_ENDIAN, changes, "NODE", workers, tmp_path)
        with change_attributes(source, size_bytes, *how) as result, result.open() as data_set:
            assert result.size_bytes > size_bytes
            after = read_dataset(data_set, False, True, stop_when=lambda tag, vr, length: tag == 0x7FE00010)
    assert after.InstitutionName == text


@pytest.mark.parametrize("text", ["Hospital", "Süd"])
def test_an_object_whose_file_is_cut_off_is_not_changed(workers: Workers, tmp_path: Path, text: str) -> None:
    size_bytes = large(tmp_path / "large", 2**20)
    os.truncate(tmp_path / "large", size_bytes - 2**19)
    how = (EXPLICIT_VR_LITTLE_ENDIAN, {"set": {"InstitutionName": text}}, "NODE", workers, tmp_path)
    with (
        (tmp_path / "large").open("rb") as source,
        pytest.raises(CannotTranscode, match="^the data set ends within a value$"),
        change_attributes(source, size_bytes, *how),
    ):
        pass


def test_what_has_to_be_there_is_emptied_and_the_rest_removed(workers: Workers, tmp_path: Path) -> None:
    """An object without an attribute of Type 2 is an error for every validator."""
    dataset = example()
    dataset.PatientID, dataset.StudyDate, dataset.KVP, dataset.StudyID = "P", "20260101", "120", ""
    keywords = ["PatientID", "StudyDate", "KVP", "StudyID", "SeriesNumber", "StationName"]
    after = changed(stored(dataset), workers, tmp_path, {"remove": keywords}).read()
    assert [keyword for keyword in keywords if keyword in after] == ["PatientID", "StudyDate", "KVP", "StudyID"]
    assert not any(after[keyword].value for keyword in keywords if keyword in after)
    [was] = after.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert (was.PatientID, was.StudyDate, was.KVP, was.StationName) == ("P", "20260101", 120, "CT1")
    assert "StudyID" not in was


def test_a_length_is_not_taken_for_a_vr(workers: Workers, tmp_path: Path) -> None:
    """What was noted before is "LL" bytes long, and nothing else that is looked at stands in front of it."""
    length = int.from_bytes(b"LL", "little")
    comments = IMPLICIT_LITTLE.text(0x00104000, "LT", "x" * (length - 32))
    noted = IMPLICIT_LITTLE.sequence(0x04000561, [IMPLICIT_LITTLE.sequence(0x04000550, [comments])])
    assert noted[4:6] == b"LL"
    data_set = IMPLICIT_LITTLE.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7") + noted
    one = StoredObject("made", IMPLICIT_VR_LITTLE_ENDIAN, data_set)
    after = changed(one, workers, tmp_path, {"set": {"StationName": "CT"}})
    assert after.read().StationName == "CT"
    assert after.data_set.endswith(noted)


def test_without_a_change_nothing_is_noted(workers: Workers, tmp_path: Path) -> None:
    original = stored(image((1, 32, 32), "u2", 12).read())
    same = changed(original, workers, tmp_path, {"map": {"StationName": {"CT9": "X"}}, "remove": ["AccessionNumber"]})
    assert "OriginalAttributesSequence" not in same.read()


@pytest.mark.parametrize(("keyword", "value"), [
    ("StationName", "X" * 17), ("PatientAge", "old"), ("StudyDate", "20261301"), ("StudyDate", "20260101-"),
    ("PatientName", "A" * 65), ("Modality", "ct"), ("SeriesNumber", "99999999999"), ("EchoTime", "1.2.3"),
    ("Rows", "-1"), ("Rows", "70000"), ("Rows", "many"), ("EchoNumbers", "1\\x"), ("SmallestImagePixelValue", "1"),
])  # fmt: skip
def test_a_value_of_the_wrong_form_is_refused(workers: Workers, tmp_path: Path, keyword: str, value: str) -> None:
    """Some went out as they are; some ended the delivery without a word of the attribute."""
    with pytest.raises(CannotTranscode, match=f"^{keyword} cannot have the value: "):
        changed(stored(example()), workers, tmp_path, {"set": {keyword: value}})


@pytest.mark.parametrize(("keyword", "value", "expected"), [
    ("ImageType", "DERIVED\\SECONDARY", ["DERIVED", "SECONDARY"]), ("Rows", "32", 32),
    ("PatientComments", "a\\b", "a\\b"),
    ("EchoNumbers", "1\\2", [1, 2]), ("EventTimeOffset", "1.5", 1.5), ("StationName", "", ""),
    ("ImageLaterality", "", ""),
])  # fmt: skip
def test_values_of_every_kind_are_set(
    workers: Workers, tmp_path: Path, keyword: str, value: str, expected: object
) -> None:
    after = changed(stored(example()), workers, tmp_path, {"set": {keyword: value}}).read()
    assert after.get(keyword) == expected


def test_an_old_value_that_cannot_be_read_is_replaced(workers: Workers, tmp_path: Path) -> None:
    """It was said that the new one could not be."""
    dataset = example()
    dataset.SeriesNumber = "11"
    one = stored(dataset)
    one = StoredObject(one.name, one.transfer_syntax_uid, one.data_set.replace(b"IS\x02\x0011", b"IS\x02\x00x1"))
    after = changed(one, workers, tmp_path, {"set": {"SeriesNumber": "7"}})
    assert after.read().SeriesNumber == 7
    assert after.data_set.count(b"IS\x02\x00x1") == 1


@pytest.mark.parametrize(("others", "expected"), [
    ({"PRIMARY": "SECONDARY", "MIP": "AVERAGE"}, ["ORIGINAL", "SECONDARY", "AVERAGE"]),
    ({"ORIGINAL\\PRIMARY\\MIP": "DERIVED\\SECONDARY", "MIP": "OTHER"}, ["DERIVED", "SECONDARY"]),
    ({"AXIAL": "OTHER"}, ["ORIGINAL", "PRIMARY", "MIP"]),
])  # fmt: skip
def test_several_values_are_mapped_together_or_one_by_one(
    workers: Workers, tmp_path: Path, others: dict, expected: list
) -> None:
    """Only all together were compared: nothing was mapped, in silence."""
    dataset = example()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "MIP"]
    after = changed(stored(dataset), workers, tmp_path, {"map": {"ImageType": others}}).read()
    assert after.ImageType == expected
    assert ("OriginalAttributesSequence" in after) == (expected[1] != "PRIMARY")


def test_a_map_has_no_limit_but_the_one_that_is_stated(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,500 lines of it did not fit into a message to the worker."""
    lines = {f"CT{number}": f"SCANNER{number}" for number in range(100_000, 0, -1)}
    after = changed(stored(example()), workers, tmp_path, {"map": {"StationName": lines}}).read()
    assert after.StationName == "SCANNER1"
    monkeypatch.setattr(transcoding, "CHANGES_SIZE_MAX_BYTES", 2**20)
    with pytest.raises(CannotTranscode, match="^the changes take more than 1 MiB$"):
        changed(stored(example()), workers, tmp_path, {"map": {"StationName": lines}})


def test_a_value_that_cannot_be_is_refused(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(CannotTranscode, match="^SeriesNumber cannot have the value: "):
        changed(stored(example()), workers, tmp_path, {"set": {"SeriesNumber": "many"}})
    with pytest.raises(CannotTranscode, match="^a value of 65535 bytes at 8 goes beyond 8$"):
        changed(StoredObject("none", EXPLICIT_VR_LITTLE_ENDIAN, b"\x08\x00\x05\x00CS\xff\xff"), workers, tmp_path)


@pytest.mark.parametrize(("stated", "name", "wanted", "declared"), [
    (None, "Test^Person", "Süd", "ISO_IR 100"),
    (None, "Test^Person", "日本", "ISO_IR 192"),
    ("ISO_IR 100", "Müller^Jo", "Süd", "ISO_IR 100"),
    ("ISO_IR 100", "Müller^Jo", "Łódź", "ISO_IR 101"),
    ("ISO_IR 100", "Müller^Jo", "日本", "ISO_IR 192"),
    ("ISO_IR 144", "Люкceмбypг", "Süd", "ISO_IR 192"),
    ("ISO_IR 192", "Müller^Jo", "Łódź", "ISO_IR 192"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", "Süd", "ISO_IR 192"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "Süd", "ISO_IR 192"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "日本", ["", "ISO 2022 IR 87"]),
])
@pytest.mark.parametrize("uid", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_the_character_set_holds_the_new_texts_and_the_old_ones(
    workers: Workers, tmp_path: Path, uid: str, stated: object, name: str, wanted: str, declared: object
) -> None:
    """The new text went out as "?", or in Latin-1 that was not declared."""
    dataset = example()
    if stated is not None:
        dataset.SpecificCharacterSet = stated
    dataset.PatientName, item = name, pydicom.Dataset()
    item.PatientName, other = name, pydicom.Dataset()
    other.SpecificCharacterSet, other.PatientName = "ISO_IR 126", "Διονυσιος"
    dataset.ReferencedPatientSequence = [item, other]
    original = stored(dataset)
    if uid != EXPLICIT_VR_LITTLE_ENDIAN:
        original = original.transcoded(uid, workers, tmp_path)
    after = changed(original, workers, tmp_path, {"set": {"InstitutionName": wanted}, "remove": ["PatientName"]}).read()
    assert after.SpecificCharacterSet == declared
    assert after.InstitutionName == wanted
    assert after["PatientName"].is_empty
    assert [each.PatientName for each in after.ReferencedPatientSequence] == [name, "Διονυσιος"]
    [was] = after.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert (was.InstitutionName, was.PatientName) == ("Old", name)
    assert after.PixelData == original.read().PixelData


def test_the_character_set_is_stated_where_nothing_stands_behind_it(workers: Workers, tmp_path: Path) -> None:
    dataset = pydicom.Dataset()
    dataset.FileSetID = "A"
    after = changed(stored(dataset), workers, tmp_path, {"set": {"InstitutionName": "Süd"}}).read()
    assert (after.SpecificCharacterSet, after.InstitutionName) == ("ISO_IR 100", "Süd")


def test_what_was_noted_before_is_brought_into_the_other_character_set(workers: Workers, tmp_path: Path) -> None:
    dataset = example()
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "Müller^Jo"
    once = changed(stored(dataset), workers, tmp_path, {"set": {"PatientName": "Groß"}})
    twice = changed(once, workers, tmp_path, {"set": {"PatientName": "山田"}}).read()
    assert twice.PatientName == "山田"
    was = [item.ModifiedAttributesSequence[0].PatientName for item in twice.OriginalAttributesSequence]
    assert was == ["Müller^Jo", "Groß"]


def test_what_cannot_be_read_is_not_brought_into_another_character_set(workers: Workers, tmp_path: Path) -> None:
    dataset = example()
    dataset.SpecificCharacterSet, dataset.StudyDescription = "ISO_IR 192", "XXXX"
    one = stored(dataset)
    data_set = one.data_set.replace(b"XXXX", b"\xff\xfe  ").replace(b"ISO_IR 192", b"ISO_IR 166")
    with pytest.raises(CannotTranscode, match="cannot be read in the character set of the data set"):
        one = StoredObject(one.name, one.transfer_syntax_uid, data_set)
        changed(one, workers, tmp_path, {"set": {"InstitutionName": "Süd"}})
