"""The table of attributes against the data dictionary and the standard's lists of keys."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from medserver.dicom.attributes import (
    ATTRIBUTES,
    EVERY_LEVEL,
    LEVELS,
    UNIQUE_KEYS,
    WANTED_TAGS,
    at_level,
    attribute,
    column_name,
    value_representation,
)


@pytest.mark.parametrize(
    ("keyword", "column"),
    [
        ("PatientID", "patient_id"),
        ("IssuerOfPatientID", "issuer_of_patient_id"),
        ("OtherPatientIDs", "other_patient_ids"),
        ("SOPInstanceUID", "sop_instance_uid"),
        ("SOPClassesInStudy", "sop_classes_in_study"),
        ("StudyID", "study_id"),
        ("NameOfPhysiciansReadingStudy", "name_of_physicians_reading_study"),
        ("RetrieveAETitle", "retrieve_ae_title"),
        ("FrameOfReferenceUID", "frame_of_reference_uid"),
        ("AvailableTransferSyntaxUID", "available_transfer_syntax_uid"),
        ("Rows", "rows"),
    ],
)
def test_column_names_are_keywords_in_snake_case(keyword, column):
    assert column_name(keyword) == column


def test_every_row_agrees_with_the_data_dictionary():
    for row in ATTRIBUTES:
        assert row.tag == tag_for_keyword(row.keyword)
        assert row.vr == dictionary_VR(row.tag)
        assert row.level in (*LEVELS, EVERY_LEVEL)


def test_keywords_and_columns_are_unique():
    columns = [row.column for row in ATTRIBUTES if row.column is not None]
    assert len({row.keyword for row in ATTRIBUTES}) == len(ATTRIBUTES)
    assert len(set(columns)) == len(columns)


def test_computed_attributes_have_no_column_and_are_not_read_from_headers():
    for row in ATTRIBUTES:
        assert row.computed == (row.column is None)
        assert row.computed == (row.tag not in WANTED_TAGS)


def test_specific_character_set_is_read_though_it_is_no_key():
    assert 0x00080005 in WANTED_TAGS
    assert attribute("SpecificCharacterSet") is None


def test_headers_are_read_no_further_than_the_procedure_step():
    # The reader stops behind the last wanted tag: pixel data and overlays must never be among them.
    assert max(WANTED_TAGS) == tag_for_keyword("RequestAttributesSequence")


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_has_one_unique_key(level):
    assert [row.keyword for row in at_level(level) if row.key_type == "U"] == [UNIQUE_KEYS[level]]


@pytest.mark.parametrize(
    ("level", "keywords"),
    [
        ("PATIENT", {"PatientName"}),
        ("STUDY", {"StudyDate", "StudyTime", "AccessionNumber", "StudyID"}),
        ("SERIES", {"Modality", "SeriesNumber"}),
        ("IMAGE", {"InstanceNumber"}),
    ],
)
def test_required_keys_are_those_of_the_patient_root_model(level, keywords):
    # PS3.4 C.6.1.1.2 - C.6.1.1.5
    assert {row.keyword for row in at_level(level) if row.key_type == "R"} == keywords


def test_levels_divide_the_table():
    assert [row for level in (*LEVELS, EVERY_LEVEL) for row in at_level(level)] == list(ATTRIBUTES)
    assert {row.keyword for row in at_level(EVERY_LEVEL)} == {"RetrieveAETitle", "InstanceAvailability"}


def test_keys_of_everyday_searches_are_indexed():
    everyday = {"PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate", "Modality"}
    assert everyday <= {row.keyword for row in ATTRIBUTES if row.indexed}


def test_multi_valued_attributes():
    for keyword in ("OtherPatientIDs", "OperatorsName", "ImageType", "ModalitiesInStudy"):
        assert attribute(keyword).multi_valued, keyword
    for keyword in ("PatientID", "PatientComments", "RequestAttributesSequence"):
        assert not attribute(keyword).multi_valued, keyword


def test_value_representation_of_any_keyword():
    assert value_representation("PatientName") == "PN"
    assert value_representation("ScheduledProcedureStepStartDate") == "DA"
    assert value_representation("NoSuchKeyword") == "UN"
