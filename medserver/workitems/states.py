"""The state of a work item: a performer claims it with a Transaction UID of its own, and ends it (PS3.4 CC.2.1)."""

from __future__ import annotations

from typing import Any

from medserver.errors import FinalStateUnmet, InvalidArgument
from medserver.node import Node
from medserver.workitems.attributes import missing_for
from medserver.workitems.changing import Becoming, Present, change
from medserver.workitems.content import code, data_set, first_item, has_value, moment
from medserver.workitems.outcomes import (
    CANCELED,
    IN_PROGRESS,
    OPERATION_OF_STATE,
    Remark,
    decide,
    digest_of,
    given_for,
)

UNSPECIFIED_REASON = ("110513", "DCM", "Discontinued for unspecified reason")
"""Why an item was cancelled where its performer does not say (PS3.16 CID 9300)."""

PROGRESS = "ProcedureStepProgressInformationSequence"
PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"


def change_state(
    node: Node, sop_instance_uid: str, state: str, transaction_uid: str, performer: str = ""
) -> Remark | None:
    """Change the state of an item at the wish of its performer, or of who wants to be that.

    Parameters
    ----------
    state : str
        The Procedure Step State that is wanted.
    transaction_uid : str
        That of who has claimed it, or claims it now; empty if none was given.
    performer : str
        The AE title of who asks.

    Returns
    -------
    Remark or None
        What is to be said of it, None if it is changed.

    Raises
    ------
    InvalidArgument
        There is no such state.
    WorkitemRefused
        As `outcomes.TABLE` says; or it lacks something that it must have in the end.
    """
    operation = OPERATION_OF_STATE.get(state)
    if operation is None:
        raise InvalidArgument("ProcedureStepState is none that a work item can have")
    now = moment(node.clock())
    remarks: list[Remark] = []

    def decided(present: Present) -> Becoming | None:
        row = present.row
        remarks.clear()
        remark = decide(operation, row.state, given_for(row.state, row.transaction_digest, transaction_uid))
        if remark is not None:
            remarks.append(remark)
            return None
        if state == IN_PROGRESS:
            return Becoming(
                present.content, (state,), transaction_digest=digest_of(transaction_uid), performer=performer
            )
        return Becoming(ended(present.content, state, now), (state,))

    change(node, sop_instance_uid, decided)
    return remarks[0] if remarks else None


def ended(content: dict[str, Any], state: str, now: str) -> dict[str, Any]:
    """Return the content of an item that becomes final, with what this node knows.

    Raises
    ------
    FinalStateUnmet
        Something else is missing (PS3.4 CC.2.5.1.1).
    """
    if state == CANCELED:
        content = cancelled(content, now)
    missing = missing_for(content, state)
    if missing:
        raise FinalStateUnmet(f"{state} needs {', '.join(missing)}")
    return content


def cancelled(
    content: dict[str, Any], now: str, reason: tuple[str, str, str] = UNSPECIFIED_REASON, text: str = ""
) -> dict[str, Any]:
    """Return the content of an item that is cancelled: when, and why, as far as it does not say it itself."""
    progress = first_item(content, PROGRESS)
    if not has_value(progress, "ProcedureStepCancellationDateTime"):
        progress |= data_set(ProcedureStepCancellationDateTime=now)
    if not has_value(progress, "ProcedureStepDiscontinuationReasonCodeSequence"):
        progress |= data_set(ProcedureStepDiscontinuationReasonCodeSequence=[code(*reason)])
    if text and not has_value(progress, "ReasonForCancellation"):
        progress |= data_set(ReasonForCancellation=text)
    return content | data_set(**{PROGRESS: [progress]})
