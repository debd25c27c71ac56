"""Work items as requesters and performers send them."""

from __future__ import annotations

from typing import Any

from medserver.workitems.content import code, data_set

NOON = "20260131120000+0000"


def new_item(**changes: Any) -> dict[str, Any]:
    """Return the attribute list of an N-CREATE, as DICOM JSON; a value of None leaves an attribute out."""
    given = {
        "ScheduledProcedureStepPriority": "MEDIUM",
        "ProcedureStepLabel": "Find nodules",
        "WorklistLabel": "AI",
        "ScheduledProcedureStepStartDateTime": NOON,
        "InputReadinessState": "READY",
        "ProcedureStepState": "SCHEDULED",
        "ScheduledWorkitemCodeSequence": [code("nodules", "99OTHER", "Find nodules")],
        "InputInformationSequence": [],
        "PatientName": [{"Alphabetic": "Doe^Jane"}],
        "PatientID": "P1",
    } | changes
    return data_set(**{keyword: value for keyword, value in given.items() if value is not None})


def performed(**changes: Any) -> dict[str, Any]:
    """Return what a performer says in the end: a modification list with all that COMPLETED needs."""
    done = {
        "PerformedStationNameCodeSequence": [code("AI1", "99OTHER", "AI 1")],
        "PerformedProcedureStepStartDateTime": NOON,
        "PerformedProcedureStepEndDateTime": NOON,
        "PerformedWorkitemCodeSequence": [code("nodules", "99OTHER", "Find nodules")],
        "OutputInformationSequence": [data_set(TypeOfInstances="DICOM", StudyInstanceUID="1.2.3")],
    } | changes
    item = data_set(**{keyword: value for keyword, value in done.items() if value is not None})
    return data_set(UnifiedProcedureStepPerformedProcedureSequence=[item])


def ours(**changes: Any) -> dict[str, Any]:
    """Return the attribute list of an item that this archive performs itself."""
    return new_item(ScheduledWorkitemCodeSequence=[code("denoise", "99MEDSERVER", "Noise reduction")], **changes)
