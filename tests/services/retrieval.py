"""What is retrieved in the tests of C-MOVE and C-GET: at each level of each model."""

from __future__ import annotations

from tests.services.corpus import Object

# Model, level, keys, how many instances of the fixture `tree`.
LEVELS = (
    ("PATIENT", "PATIENT", ("PatientID",), 9),
    ("PATIENT", "STUDY", ("PatientID", "StudyInstanceUID"), 6),
    ("PATIENT", "SERIES", ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"), 3),
    ("PATIENT", "IMAGE", ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), 1),
    ("STUDY", "STUDY", ("StudyInstanceUID",), 6),
    ("STUDY", "SERIES", ("StudyInstanceUID", "SeriesInstanceUID"), 3),
    ("STUDY", "IMAGE", ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), 1),
    ("PATIENT_STUDY_ONLY", "PATIENT", ("PatientID",), 9),
    ("PATIENT_STUDY_ONLY", "STUDY", ("PatientID", "StudyInstanceUID"), 6),
)


def keys_of(one: Object, *keywords: str) -> dict[str, str]:
    """Return some attributes of an instance as keys."""
    return {keyword: str(one.dataset[keyword].value) for keyword in keywords}
