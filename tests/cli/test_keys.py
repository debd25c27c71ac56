"""The option -k."""

from __future__ import annotations

import warnings

import pytest

from medserver.cli.keys import parse_keys
from medserver.cli.model import make_target
from medserver.errors import BadUsage
from medserver.dicom.data_sets import write_data_set


def test_keywords_and_tags():
    keys = parse_keys(
        ["PatientID=A=1", "0010,0010=Doe*", "(0008,0060)", "Rows=512", "ImageType=ORIGINAL\\PRIMARY"]
    )
    identifier = keys.identifier
    assert identifier.PatientID == "A=1"
    assert str(identifier.PatientName) == "Doe*"
    assert identifier["Modality"].is_empty
    assert identifier.Rows == 512
    assert list(identifier.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert [int(tag) for tag in keys.tags] == [0x00100020, 0x00100010, 0x00080060, 0x00280010, 0x00080008]
    assert not keys.only_matching
    assert "SpecificCharacterSet" not in identifier


def test_sequence_paths_share_an_item():
    identifier = parse_keys(
        [
            "RequestAttributesSequence[0].ScheduledProcedureStepID=1",
            "0040,0275.RequestedProcedureID=2",
            "ReferencedStudySequence",
        ]
    ).identifier
    (item,) = identifier.RequestAttributesSequence
    assert (item.ScheduledProcedureStepID, item.RequestedProcedureID) == ("1", "2")
    assert len(identifier.ReferencedStudySequence) == 0


def test_return_key_keeps_the_matching_key():
    keys = parse_keys(
        ["PatientID=1", "PatientID", "0040,0275.RequestedProcedureID=2", "RequestAttributesSequence"]
    )
    assert keys.identifier.PatientID == "1"
    assert keys.identifier.RequestAttributesSequence[0].RequestedProcedureID == "2"
    assert len(keys.tags) == 2


def test_ranges_and_wild_cards_are_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        identifier = parse_keys(
            ["StudyDate=20260101-20260131", "Modality=C?", "StudyInstanceUID=1.2\\1.3"]
        ).identifier
    assert identifier.StudyDate == "20260101-20260131"
    assert list(identifier.StudyInstanceUID) == ["1.2", "1.3"]


def test_unicode_chooses_utf_8():
    assert parse_keys(["PatientName=Müller*"]).identifier.SpecificCharacterSet == "ISO_IR 192"
    chosen = parse_keys(["SpecificCharacterSet=ISO_IR 100", "PatientName=Müller*"]).identifier
    assert chosen.SpecificCharacterSet == "ISO_IR 100"
    with pytest.raises(BadUsage, match="not in the character set"):
        parse_keys(["SpecificCharacterSet=ISO_IR 100", "PatientName=山田*"])


OUT_OF_RANGE = {
    "Rows": ["99999999", "65536", "-1", "1\\65536", "9" * 5000],  # US
    "TagAngleSecondAxis": ["32768", "-32769"],  # SS
    "SimpleFrameList": ["4294967296", "-1"],  # UL
    "ReferencePixelX0": ["2147483648", "-2147483649"],  # SL
    "FileOffsetInContainer": ["18446744073709551616", "-1"],  # UV
    "SelectorSVValue": ["9223372036854775808", "-9223372036854775809"],  # SV
    "RecommendedDisplayFrameRateInFloat": ["1e39", "-1e39", "nan", "inf"],  # FL
    "RealWorldValueSlope": ["1e999", "nan", "-inf"],  # FD
}


def test_the_largest_and_smallest_numbers_are_values():
    identifier = parse_keys(
        [
            "Rows=65535\\0",
            "TagAngleSecondAxis=-32768",
            "SimpleFrameList=4294967295",
            "ReferencePixelX0=-2147483648",
            "FileOffsetInContainer=18446744073709551615",
            "SelectorSVValue=-9223372036854775808",
            "RecommendedDisplayFrameRateInFloat=3.4e38",
            "RealWorldValueSlope=1.7e308",
        ]
    ).identifier
    assert write_data_set(identifier, "1.2.840.10008.1.2.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("PatientNme=1", "did you mean 'PatientName'"),
        ("=1", "is not a key"),
        ("PatientID[0].Modality=1", "is not a sequence"),
        ("RequestAttributesSequence=1", "is a sequence"),
        ("RequestAttributesSequence[1].RequestedProcedureID=1", "has one item"),
        ("RequestAttributesSequence[0]=1", "has no value"),
        ("PixelData=1", "by which nothing is matched"),
        ("Rows=many", "is not a value"),
        ("Rows=", None),
        *[(f"{key}={text}", "is not a value") for key, texts in OUT_OF_RANGE.items() for text in texts],
        ("SeriesNumber=*", "is not a value"),
        ("0099,1001=1", "not in the data dictionary"),
        ("PatientID=\udcff", "not text in the character set"),
    ],
)
def test_bad_keys(text, words):
    if words is None:
        assert parse_keys([text]).identifier["Rows"].is_empty
        return
    with pytest.raises(BadUsage, match=words):
        parse_keys([text])


@pytest.mark.parametrize(
    ("options", "level", "model"),
    [
        ((None, None, ()), "STUDY", "study"),
        (("patient", None, ()), "PATIENT", "patient"),
        ((None, None, ("SeriesInstanceUID=1.2",)), "SERIES", "study"),
        ((None, None, ("SeriesInstanceUID",)), "STUDY", "study"),
        ((None, "patient", ("SOPInstanceUID=1.2", "QueryRetrieveLevel=image")), "IMAGE", "patient"),
    ],
)
def test_levels_and_models(options, level, model):
    target = make_target(options[0], options[1], False, options[2])
    assert (target.level, target.model.name, target.identifier.QueryRetrieveLevel) == (level, model, level)


@pytest.mark.parametrize(
    ("level", "model", "keys", "words"),
    [
        ("patient", "study", (), "has no level patient"),
        ("series", "patient-study", (), "has no level series"),
        ("study", None, ("QueryRetrieveLevel=SERIES",), "contradict"),
        (None, None, ("QueryRetrieveLevel=ROOM",), "is one of"),
    ],
)
def test_contradictions(level, model, keys, words):
    with pytest.raises(BadUsage, match=words):
        make_target(level, model, False, keys)
