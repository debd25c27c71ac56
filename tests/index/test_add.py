"""What becomes of objects that are added."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medserver.dicom.part10 import Original
from medserver.errors import IndexFailure
from medserver.index import Added, Index, InstanceRecord, ObjectKey
from medserver.index.objects.records import KNOWN, UNNEEDED
from tests.index.samples import IMPLICIT, J2K, MR, compressed, find, record


def contents(index: Index) -> dict[str, str]:
    """Return the path of every file that the index knows, and whether its object is the current one."""
    return {row.path: "current" if row.is_current else "duplicate" for row in index.locations()}


def remove(index: Index, item: InstanceRecord) -> None:
    """Forget the file of an object."""
    copy = index.location(item.volume, item.path)
    assert copy is not None
    index.release([copy])


def test_a_new_object_is_stored(index: Index) -> None:
    assert index.add(record()) == Added("stored")
    counts = index.counts()
    assert (counts.patients, counts.studies, counts.series, counts.instances) == (1, 1, 1, 1)
    assert (counts.locations, counts.duplicates, counts.conflicts, counts.size_bytes) == (1, 0, 0, 1000)


def test_the_same_bytes_again_change_nothing(index: Index) -> None:
    first = record()
    index.add(first)
    assert index.add(replace(first, path="second.dcm")) == Added("same", file=UNNEEDED)
    assert contents(index) == {first.path: "current"}


def test_the_same_file_again_is_still_needed(index: Index) -> None:
    index.add(record())
    assert index.add(record()) == Added("same", file=KNOWN)


def test_the_same_bytes_in_another_transfer_syntax_are_another_object(index: Index) -> None:
    first = record()
    index.add(first)
    second = replace(first, transfer_syntax_uid=IMPLICIT, path="second.dcm")
    assert index.add(second).outcome == "kept"


def test_the_first_object_stays_the_current_one(index: Index) -> None:
    first, second = record(), record(content="other", modality="MR", sop_class_uid=MR)
    index.add(first)
    assert index.add(second) == Added("kept")
    assert contents(index) == {first.path: "current", second.path: "duplicate"}
    [duplicate] = index.duplicates()
    assert (duplicate.path, duplicate.digest) == (second.path, second.digest)
    assert duplicate.received_at == second.received_at
    assert find(index, "SERIES", "Modality") == ["CT"]


def test_a_duplicate_is_kept_once(index: Index) -> None:
    second = record(content="other")
    index.add(record())
    index.add(second)
    assert index.add(replace(second, path="third.dcm")) == Added("same", file=UNNEEDED)
    assert index.counts().duplicates == 1


def test_a_duplicate_does_not_make_a_study(index: Index) -> None:
    index.add(record(study=1))
    index.add(record(study=2, sop_instance_uid="1.2.1.1.1", content="other"))
    assert find(index, "STUDY", "StudyInstanceUID") == ["1.2.1"]


def test_replace_makes_the_second_object_the_current_one(index: Index) -> None:
    first = record(instance_number="1")
    second = record(content="other", instance_number="7", duplicates="replace", sop_class_uid=MR)
    index.add(first)
    assert index.add(second) == Added("replaced")
    assert contents(index) == {first.path: "duplicate", second.path: "current"}
    assert find(index, "IMAGE", "InstanceNumber", "SOPClassUID") == [("7", MR)]
    [duplicate] = index.duplicates()
    assert duplicate.digest == first.digest


def test_replace_moves_the_instance_to_another_study(index: Index) -> None:
    index.add(record(study=1))
    second = record(study=2, sop_instance_uid="1.2.1.1.1", content="other", duplicates="replace")
    assert index.add(second).outcome == "replaced"
    assert find(index, "STUDY", "StudyInstanceUID") == ["1.2.2"]
    assert find(index, "PATIENT", "PatientID") == ["P2"]


def test_after_a_study_became_empty_it_is_made_anew(index: Index) -> None:
    index.add(record(study=1))
    index.add(record(study=2, sop_instance_uid="1.2.1.1.1", content="other", duplicates="replace"))
    assert index.add(record(study=1, number=2)).outcome == "stored"
    assert find(index, "STUDY", "StudyInstanceUID") == ["1.2.1", "1.2.2"]


def test_reject_changes_nothing(index: Index) -> None:
    first = record()
    index.add(first)
    assert index.add(record(content="other", duplicates="reject")) == Added("rejected", file=UNNEEDED)
    assert contents(index) == {first.path: "current"}


def test_an_object_without_study_is_refused(index: Index) -> None:
    with pytest.raises(IndexFailure, match="Study Instance UID"):
        index.add(record(study_instance_uid=None))
    with pytest.raises(IndexFailure, match="Series Instance UID"):
        index.add(record(series_instance_uid=""))
    assert index.counts().patients == 0


def test_a_path_cannot_belong_to_two_objects(index: Index) -> None:
    index.add(record(path="one.dcm"))
    with pytest.raises(IndexFailure):
        index.add(record(number=2, path="one.dcm"))
    assert index.counts().instances == 1


@pytest.mark.parametrize("text", ["a\0b", "half \ud800 a pair", "x" * 100_000, "山" * 3000])
def test_any_text_can_be_stored(index: Index, text: str) -> None:
    added = index.add(
        record(patient_id=text, patient_name=text, accession_number=text, study_description=text)
    )
    assert added.outcome == "stored"
    assert len(find(index, "STUDY", "StudyInstanceUID")) == 1


def test_files_are_listed_in_order_and_from_anywhere(index: Index) -> None:
    paths = [f"{number:04}.dcm" for number in range(1200)]
    for number, path in enumerate(reversed(paths)):
        index.add(record(number=number, path=path))
    assert [row.path for row in index.locations()] == paths
    assert [row.path for row in index.locations(after=("main", "1197.dcm"))] == ["1198.dcm", "1199.dcm"]


def test_a_removed_file_takes_what_existed_nowhere_else(index: Index) -> None:
    first, second, duplicate = record(number=1), record(number=2), record(number=1, content="other")
    for item in (first, second, duplicate):
        index.add(item)
    assert index.has_location("main", duplicate.path)
    remove(index, duplicate)
    assert not index.has_location("main", duplicate.path)
    assert index.counts().duplicates == 0
    remove(index, first)
    assert find(index, "IMAGE", "SOPInstanceUID") == [second.sop_instance_uid]
    remove(index, second)
    assert index.counts().patients == 0
    index.release([])
    assert index.add(first).outcome == "stored"


def test_a_compressed_form_takes_the_place_of_its_original(index: Index) -> None:
    first = record()
    index.add(first)
    assert index.add(compressed(first)).outcome == "replaced"
    assert contents(index) == {first.path: "duplicate", "compressed.dcm": "current"}
    assert index.forms.kept() == (1, first.size_bytes)
    key = ObjectKey(first.sop_instance_uid, first.digest, first.transfer_syntax_uid)
    assert index.forms.made_from(key) == [ObjectKey(first.sop_instance_uid, "c" * 64, J2K)]
    was = index.forms.original_of(ObjectKey(first.sop_instance_uid, "c" * 64, J2K))
    assert was == Original(first.transfer_syntax_uid, first.digest, first.size_bytes, "9" * 64)
    assert index.forms.original_of(first.key) is None


def test_the_original_is_the_same_as_its_compressed_form(index: Index) -> None:
    first = record()
    index.add(first)
    index.add(compressed(first))
    assert index.add(replace(first, path="again.dcm")) == Added("same", file=UNNEEDED)
    remove(index, first)
    assert index.forms.kept() == (0, 0)
    assert index.add(replace(first, path="again.dcm")) == Added("same", file=UNNEEDED)
    assert contents(index) == {"compressed.dcm": "current"}


def test_a_compressed_form_does_not_take_another_place(index: Index) -> None:
    first, other = record(), replace(record(), digest="d" * 64, path="other.dcm", duplicates="replace")
    index.add(first)
    index.add(other)
    [source] = [one for one in index.locations() if one.digest == first.digest]
    source = replace(source, is_current=True)  # as it was when it was read
    assert index.add(compressed(first), made_from=source) == Added("rejected", file=UNNEEDED)
    assert index.add(compressed(first)) == Added("kept")  # as when it is found on a volume
    assert contents(index) == {first.path: "duplicate", other.path: "current", "compressed.dcm": "duplicate"}


def brought_back(original: InstanceRecord, **changes: object) -> InstanceRecord:
    """Return an uncompressed object with the pixels of one that was compressed."""
    changes = {"digest": "b" * 64, "path": "back.dcm", "transfer_syntax_uid": IMPLICIT, **changes}
    return replace(compressed(original), **changes)


def test_an_original_that_is_brought_back_takes_the_place_of_its_compressed_form(index: Index) -> None:
    first = record()
    index.add(first)
    index.add(compressed(first))
    assert [form.key.digest for form in index.forms.all()] == ["c" * 64]
    assert index.add(brought_back(first)) == Added("replaced")
    roles = {first.path: "duplicate", "compressed.dcm": "duplicate", "back.dcm": "current"}
    assert contents(index) == roles
    assert [(form.key.digest, form.original.digest) for form in index.forms.all()] == [("b" * 64, first.digest)]
    assert index.forms.count() == 1
    for again in (first, compressed(first), brought_back(first)):  # as when an index is made anew and interrupted
        assert index.add(again).outcome == "same"
    assert contents(index) == roles


def test_it_may_be_the_original_byte_for_byte(index: Index) -> None:
    """That had been deleted."""
    first = record()
    index.add(first)
    index.add(compressed(first))
    remove(index, first)
    back = brought_back(first, digest=first.digest, transfer_syntax_uid=first.transfer_syntax_uid)
    assert index.add(back) == Added("replaced")
    assert contents(index) == {"compressed.dcm": "duplicate", "back.dcm": "current"}
    assert index.add(replace(first, path="again.dcm")) == Added("same", file=UNNEEDED)


def test_a_compressed_form_does_not_take_the_place_of_what_was_brought_back(index: Index) -> None:
    first = record()
    index.add(brought_back(first))
    assert index.add(compressed(first)) == Added("kept")
    assert contents(index) == {"back.dcm": "current", "compressed.dcm": "duplicate"}


def test_what_is_brought_back_leaves_another_object_in_its_place(index: Index) -> None:
    first, other = record(), replace(record(), digest="d" * 64, path="other.dcm", duplicates="replace")
    index.add(first)
    index.add(compressed(first))
    index.add(other)
    assert index.add(brought_back(first, duplicates="keep")) == Added("kept")
    assert contents(index)["other.dcm"] == "current"
    assert list(index.forms.all()) == []  # the original is stored, and none of its forms is needed


def test_without_its_original_a_compressed_form_is_stored(index: Index) -> None:
    assert index.add(compressed(record())) == Added("stored")
    assert index.add(record()) == Added("same", file=UNNEEDED)
