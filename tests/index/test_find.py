"""Queries: what an answer holds, and what a query costs while it is answered."""

from __future__ import annotations

import json

import pytest

from medserver.dicom.attributes import at_level
from medserver.errors import IndexFailure
from medserver.index import GOOD, Index, Query, StoredCopy
from medserver.index.find.find import FIRST_PAGE_ROWS, PAGE_ROWS, PAGE_ROWS_BELOW
from tests.index.samples import CT, EXPLICIT, MR, conditions, find, forget, record


def test_an_answer_holds_the_return_keys_of_its_level_and_above(index: Index) -> None:
    index.add(record(accession_number="A1", series_number="3"))
    asked = ("PatientID", "AccessionNumber", "SeriesNumber", "InstanceNumber", "RetrieveAETitle", "PixelData")
    assert list(index.find(Query("SERIES", (), asked))) == [
        {"PatientID": "P1", "AccessionNumber": "A1", "SeriesNumber": "3"}
    ]


def test_values_have_the_form_of_their_attribute(index: Index) -> None:
    items = [{"00401001": {"vr": "SH", "Value": ["R1"]}}]
    index.add(
        record(
            image_type="ORIGINAL\\PRIMARY",
            operators_name="Doe",
            request_attributes_sequence=json.dumps(items),
            rows="512",
        )
    )
    asked = ("ImageType", "OperatorsName", "RequestAttributesSequence", "Rows", "AcquisitionTime")
    assert list(index.find(Query("IMAGE", (), asked))) == [
        {
            "ImageType": ["ORIGINAL", "PRIMARY"],
            "OperatorsName": ["Doe"],
            "RequestAttributesSequence": items,
            "Rows": "512",
            "AcquisitionTime": None,
        }
    ]


def test_computed_attributes(index: Index) -> None:
    for series, modality, sop_class in ((1, "CT", CT), (2, "SR", MR), (3, "CT", CT)):
        for number in (1, 2):
            index.add(record(series=series, number=number, modality=modality, sop_class_uid=sop_class))
    index.add(record(study=2, patient_id="P1", patient_name="Doe^John1", modality=None))
    computed = [
        "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy",
        "SOPClassesInStudy",
    ]  # fmt: skip
    assert find(index, "STUDY", *computed) == [
        (2, 4, 7, 1, 1, [], [CT]),
        (2, 4, 7, 3, 6, ["CT", "SR"], [CT, MR]),
    ]
    assert find(index, "SERIES", "NumberOfSeriesRelatedInstances") == [1, 2, 2, 2]
    assert find(index, "IMAGE", "AvailableTransferSyntaxUID", SOPInstanceUID="1.2.1.1.1") == [EXPLICIT]


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_every_attribute_can_be_returned_and_matched(index: Index, level: str) -> None:
    index.add(record())
    for row in at_level(level):
        assert len(find(index, level, row.keyword)) == 1
        if row.vr not in ("SQ", "UI", "DA", "TM"):
            assert find(index, level, row.keyword, **{row.keyword: "99"}) == []


def test_conditions_below_have_to_be_fulfilled_by_one_row(index: Index) -> None:
    index.add(record(study=1, series=1, modality="CT", series_number="1"))
    index.add(record(study=1, series=2, modality="MR", series_number="2"))
    assert find(index, "STUDY", "StudyInstanceUID", Modality="CT", SeriesNumber="1") == ["1.2.1"]
    assert find(index, "STUDY", "StudyInstanceUID", Modality="CT", SeriesNumber="2") == []
    assert find(index, "PATIENT", "PatientID", ModalitiesInStudy="MR", InstanceNumber="1") == ["P1"]


def test_a_location_tells_where_to_read(index: Index) -> None:
    item = record()
    index.add(item)
    [answer] = index.find(Query("IMAGE", (), ("SOPInstanceUID",), with_location=True))
    assert answer["location"] == StoredCopy(
        volume="main",
        path=item.path,
        data_set_offset=300,
        meta_digest=item.meta_digest,
        state=GOOD,
        verified_at=None,
        sop_instance_uid=item.sop_instance_uid,
        sop_class_uid=CT,
        transfer_syntax_uid=EXPLICIT,
        digest=item.digest,
        size_bytes=1000,
        received_at=item.received_at,
        calling_ae_title=item.calling_ae_title,
        is_current=True,
        receipts=1,
        study_instance_uid="1.2.1",
    )


def test_an_unknown_attribute_cannot_be_matched(index: Index) -> None:
    with pytest.raises(ValueError, match="PixelSpacing"):
        index.find(Query("IMAGE", conditions(PixelSpacing="1"), ()))


def test_every_match_is_answered_once(index: Index) -> None:
    count = FIRST_PAGE_ROWS + PAGE_ROWS + 7
    for number in range(count):
        index.add(record(study=number))
    uids = find(index, "STUDY", "StudyInstanceUID")
    assert sorted(uids) == sorted(f"1.2.{number}" for number in range(count))


def test_an_answer_that_is_never_asked_for_holds_nothing(index: Index) -> None:
    for number in range(FIRST_PAGE_ROWS + 10):
        index.add(record(study=number))
    # More of them than there are connections, all in one thread: each would wait for ever if one were kept.
    pending = [index.find(Query("STUDY", (), ("StudyInstanceUID",))) for _ in range(50)]
    for answers in pending:
        next(answers)
    assert index.add(record(study=5000)).outcome == "stored"
    for answers in pending:
        answers.close()


def test_rows_deleted_during_a_query_are_left_out(index: Index) -> None:
    items = [record(study=number) for number in range(FIRST_PAGE_ROWS + 50)]
    for item in items:
        index.add(item)
    answers = index.find(Query("STUDY", (), ("StudyInstanceUID",)))
    first = next(answers)["StudyInstanceUID"]
    for item in items:
        forget(index, "main", item.path)
    rest = [answer["StudyInstanceUID"] for answer in answers]
    assert first not in rest
    assert len(rest) == FIRST_PAGE_ROWS - 1


def test_long_lists_of_uids(index: Index) -> None:
    for number in range(20):
        index.add(record(number=number))
    uids = [f"1.2.1.1.{number}" for number in range(40_000)]
    assert len(find(index, "IMAGE", "SOPInstanceUID", SOPInstanceUID=uids)) == 20
    assert index.select(conditions(SOPInstanceUID=uids)).count == 20


def test_a_closed_index_says_so(index: Index) -> None:
    index.add(record())
    index.close()
    with pytest.raises(IndexFailure, match="closed"):
        index.add(record(number=2))


@pytest.mark.parametrize("level", ["SERIES", "STUDY"])
def test_the_caller_gets_a_word_in_while_nothing_matches(index: Index, level: str) -> None:
    """What SQL cannot decide is decided row by row, at the level asked for or below it."""
    sequence = json.dumps([{"00401001": {"vr": "SH", "Value": ["RP1"]}}])
    count = PAGE_ROWS_BELOW * 3 + 1
    for number in range(count):
        index.add(record(study=number, request_attributes_sequence=sequence))
    asked = conditions(RequestAttributesSequence=[{"RequestedProcedureID": "NO*"}])
    query = Query(level, asked, ("StudyInstanceUID",))
    assert list(index.find_stepwise(query)) == [None] * count
    assert list(index.find(query)) == []
    found = conditions(RequestAttributesSequence=[{"RequestedProcedureID": "R*"}])
    assert len(list(index.find(Query(level, found, ("StudyInstanceUID",))))) == count
