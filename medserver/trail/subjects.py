"""Whom and what work items, performed steps and selections of instances are about, for messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medserver.audit import events
from medserver.audit.events import Patient, Study
from medserver.index import Subject

_PATIENT_ID, _PATIENT_NAME, _STUDY, _ACCESSION = "00100020", "00100010", "0020000D", "00080050"
_SEQUENCES = ("0040A370", "00400270", "00404021")
"""Referenced Request Sequence of a work item, Scheduled Step Attributes Sequence of a performed step, and Input
Information Sequence: where the studies stand."""

STUDIES_MAX = 100


def subject_of_step(sop_instance_uid: str, content: Mapping[str, Any]) -> tuple[Patient, list[Study]]:
    """Return whom a work item or a performed step is about, by its attributes as DICOM JSON; and its studies.

    Parameters
    ----------
    sop_instance_uid : str
        Its UID, which stands with its studies.
    content : Mapping
        Its attributes.
    """
    accessions: dict[str, str] = {}
    for level in (content, *(item for tag in _SEQUENCES for item in _items(content, tag))):
        study = _text(level, _STUDY)
        if study and len(accessions) < STUDIES_MAX:
            accessions[study] = _text(level, _ACCESSION) or accessions.get(study, "")
    studies = [Study(uid, accession_number=number, step_uids=(sop_instance_uid,)) for uid, number in accessions.items()]
    name = _first(content, _PATIENT_NAME)
    patient = Patient(_text(content, _PATIENT_ID), str(name.get("Alphabetic") or "") if isinstance(name, dict) else "")
    return patient, studies or [Study(events.UNKNOWN, step_uids=(sop_instance_uid,))]


def by_patient(subjects: Sequence[Subject]) -> Iterator[tuple[Patient, list[Study]]]:
    """Yield the studies of each patient: a message tells of one (PS3.15 A.5.3.3, A.5.3.7)."""
    patients: defaultdict[tuple[str, str], dict[str, dict[str, int]]] = defaultdict(dict)
    accessions: dict[str, str] = {}
    for each in subjects:
        studies = patients[each.patient_id, each.patient_name]
        studies.setdefault(each.study_instance_uid, {})[each.sop_class_uid] = each.count
        accessions[each.study_instance_uid] = each.accession_number
    for (patient_id, name), studies in patients.items():
        yield Patient(patient_id, name), [Study(uid, counts, accessions[uid]) for uid, counts in studies.items()]


def _items(content: Mapping[str, Any], tag: str) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in (content.get(tag) or {}).get("Value") or () if isinstance(each, dict))


def _first(content: Mapping[str, Any], tag: str) -> Any:
    values = (content.get(tag) or {}).get("Value") or [None]
    return values[0]


def _text(content: Mapping[str, Any], tag: str) -> str:
    value = _first(content, tag)
    return value if isinstance(value, str) else ""
