"""What those who watch are told of a change of a work item (PS3.4 CC.2.4): computed from what it was and what it is.

So each way in which an item changes tells the same, whoever has changed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medserver.dicom.json_model import JSON
from medserver.workitems.content import data_set, element, first_item, has_value, items, only, tag_of, value
from medserver.workitems.outcomes import CANCELED

STATE_REPORT, CANCEL_REQUESTED, PROGRESS_REPORT, SCP_STATUS_CHANGE, ASSIGNED = 1, 2, 3, 4, 5

EVENT_NAMES = {
    STATE_REPORT: "UPS State Report",
    CANCEL_REQUESTED: "UPS Cancel Requested",
    PROGRESS_REPORT: "UPS Progress Report",
    SCP_STATUS_CHANGE: "SCP Status Change",
    ASSIGNED: "UPS Assigned",
}
"""Event Type ID -> Event Type Name (PS3.4 table CC.2.4-1)."""

_PROGRESS = "ProcedureStepProgressInformationSequence"
_STATION, _PERFORMERS = "ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence"
_OF_PERFORMER = ("HumanPerformerCodeSequence", "HumanPerformerOrganization")
OF_REASON = ("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence")
"""Why an item is cancelled: in its progress, and in a request to cancel."""

OF_CANCEL_REQUEST = (*OF_REASON, "ContactURI", "ContactDisplayName")
"""What a request to cancel may say, and is passed on (PS3.4 tables CC.2.2-1 and CC.2.4-1)."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is told.

    Parameters
    ----------
    event_type_id : int
        What happened, see `EVENT_NAMES`.
    information : Mapping
        The Event Information, as DICOM JSON.
    """

    event_type_id: int
    information: Mapping[str, Any] = field(default_factory=dict)


def state_report(content: JSON, state: str) -> Event:
    """Return that an item is in a state; why it was cancelled is told too."""
    readiness = value(content, "InputReadinessState")
    information = data_set(ProcedureStepState=state, InputReadinessState=readiness or None)
    if state == CANCELED:
        information |= only(first_item(content, _PROGRESS), OF_REASON)
    return Event(STATE_REPORT, information)


def cancel_requested(requesting_ae_title: str, request: JSON) -> Event:
    """Return that somebody wants an item to be cancelled."""
    return Event(CANCEL_REQUESTED, data_set(RequestingAE=requesting_ae_title) | only(request, OF_CANCEL_REQUEST))


def scp_status_change(status: str, lists: str = "") -> Event:
    """Return that this node begins or ends, and in the first case whether it has what it had (PS3.4 CC.2.4.3)."""
    known = {"SubscriptionListStatus": lists, "UnifiedProcedureStepListStatus": lists} if lists else {}
    return Event(SCP_STATUS_CHANGE, data_set(SCPStatus=status, **known))


def of_new(content: JSON, state: str) -> list[Event]:
    """Return what is told of a new item: its state, and to whom it is assigned if that is said."""
    return [state_report(content, state), *_assigned({}, content)]


def of_change(old: JSON, new: JSON, old_state: str, states: Sequence[str]) -> list[Event]:
    """Return what is told of a change.

    Parameters
    ----------
    old, new : Mapping
        The content, as it was and as it is.
    old_state : str
        The state that it was in.
    states : sequence of str
        Those that it went through, the last of which it is in now; empty if the state stays.
    """
    told = [state_report(new, state) for state in states]
    if not states and value(old, "InputReadinessState") != value(new, "InputReadinessState"):
        told = [state_report(new, old_state)]
    return [*_progress(old, new), *_assigned(old, new), *told]


def _progress(old: JSON, new: JSON) -> Iterator[Event]:
    was, told = ({tag: one for tag, one in first_item(each, _PROGRESS).items() if tag not in _NOT_TOLD}
                 for each in (old, new))  # fmt: skip
    if told and told != was:
        yield Event(PROGRESS_REPORT, {tag_of(_PROGRESS): element(_PROGRESS, told)})


_NOT_TOLD = frozenset(map(tag_of, ("ProcedureStepCancellationDateTime", *OF_REASON)))
"""Of the progress: the state report tells it (PS3.4 table CC.2.4-1)."""


def _assigned(old: JSON, new: JSON) -> Iterator[Event]:
    """Yield that an item is assigned, for each human performer; with all that is populated, not only what was set."""
    if only(old, (_STATION, _PERFORMERS)) == only(new, (_STATION, _PERFORMERS)):
        return
    station = only(new, [_STATION]) if has_value(new, _STATION) else {}
    performers = [only(item, _OF_PERFORMER) for item in items(new, _PERFORMERS) if item]
    for performer in performers or [{}]:
        if station or performer:
            yield Event(ASSIGNED, station | performer)
