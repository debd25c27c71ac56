"""What belongs to no patient is hidden from those who ask for patients, at every level."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medserver.dicom.non_patient import NON_PATIENT_SOP_CLASSES
from medserver.index import Acquisition, Index, Query
from tests.index.samples import conditions, record

HANGING_PROTOCOL = "1.2.840.10008.5.1.4.38.1"
KEYS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
OBJECT = record(
    patient_id=HANGING_PROTOCOL,
    patient_name=None,
    study_instance_uid=HANGING_PROTOCOL,
    series_instance_uid=HANGING_PROTOCOL,
    sop_instance_uid="1.2.9",
    sop_class_uid=HANGING_PROTOCOL,
)


@pytest.fixture
def both(index: Index) -> Index:
    """Give an index with an image, one of a patient without an ID, and a hanging protocol."""
    for item in (record(), record(study=2, patient_id=None), OBJECT):
        index.add(item)
    return index


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_at_every_level(both: Index, level: str) -> None:
    everything = Query(level, (), KEYS)
    assert len(list(both.find(everything))) == 3
    seen = list(both.find(Query(level, (), KEYS, patients_only=True)))
    assert len(seen) == 2
    assert not any(HANGING_PROTOCOL in answer.values() for answer in seen)


def test_whoever_names_it(both: Index) -> None:
    named = conditions(StudyInstanceUID=[HANGING_PROTOCOL, "1.2.1"])
    assert both.select(named).count == 2
    assert both.select(named, patients_only=True).count == 1
    assert both.select(conditions(SOPInstanceUID="1.2.9")).count == 1
    assert both.select(conditions(SOPInstanceUID="1.2.9"), patients_only=True).count == 0
    assert both.select(conditions(StudyInstanceUID="1.2.1"), patients_only=True).count == 1


def test_every_class_is_hidden(index: Index) -> None:
    for number, uid in enumerate(NON_PATIENT_SOP_CLASSES):
        index.add(record(
            patient_id=uid, study_instance_uid=uid, series_instance_uid=uid, sop_instance_uid=f"1.2.9.{number}"
        ))  # fmt: skip
    assert index.select((), patients_only=True).count == 0


def test_conditions_of_acquisition_are_kept_with_the_instance(index: Index) -> None:
    """On each kind of database; those of what was replaced meanwhile are not those of what is there."""
    first, second = record(number=1), record(number=2)
    index.add(first)
    index.add(second)
    assert [one.sop_instance_uid for one in index.acquisitions.unread(10)] == ["1.2.1.1.1", "1.2.1.1.2"]
    values = {"KVP": "120", "FocalSpots": ["0.6", "1.2"]}
    index.acquisitions.put([
        Acquisition.of(first, values),
        replace(Acquisition.of(second, {"KVP": "80"}), digest="another digest"),
    ])
    assert index.acquisitions.of_series("1.2.1.1") == [values]
    assert [one.sop_instance_uid for one in index.acquisitions.unread(10)] == [second.sop_instance_uid]
    assert index.acquisitions.newest_unread_at() == second.received_at
    index.acquisitions.put([Acquisition.of(second, None)])
    assert index.acquisitions.newest_unread_at() is None
    answers = {
        answer["SOPInstanceUID"]: answer["acquisition"]
        for answer in index.find(Query("IMAGE", (), ("SOPInstanceUID",), with_location=True, with_acquisition=True))
    }
    assert answers == {first.sop_instance_uid: values, second.sop_instance_uid: None}
