"""Work items as requesters and performers send them."""

from __future__ import annotations

from typing import Any

from medserver.node import Node
from medserver.workitems.content import code, data_set
from medserver.workitems.creating import create
from medserver.workitems.outcomes import IN_PROGRESS, SCHEDULED
from medserver.workitems.states import change_state
from medserver.workitems.updating import update

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


def brought_to(node: Node, uid: str, state: str, transaction_uid: str) -> None:
    """Create an item, and bring it into a state with a Transaction UID."""
    create(node, uid, new_item(), "REQUESTER")
    if state == SCHEDULED:
        return
    assert change_state(node, uid, IN_PROGRESS, transaction_uid, "AI1") is None
    if state != IN_PROGRESS:
        update(node, uid, performed(), transaction_uid)
        assert change_state(node, uid, state, transaction_uid, "AI1") is None
