"""Print jobs as the standard shows them: what several films of one request come to.

References
----------
PS3.4 H.4.5, PS3.3 C.13.8
"""

from __future__ import annotations

from collections.abc import Sequence

from medserver.dicom.json_model import JSON
from medserver.index import FilmRow
from medserver.printing.states import CANCELED, DONE, FAILURE, PENDING, PRINTING
from medserver.workitems.content import data_set

PENDING_EVENT, PRINTING_EVENT, DONE_EVENT, FAILURE_EVENT = 1, 2, 3, 4

LAST_EVENTS = (DONE_EVENT, FAILURE_EVENT)
"""Event Type IDs (PS3.4 H.4.5.1.2.1), and those behind which nothing comes."""

_EVENTS = {PENDING: PENDING_EVENT, PRINTING: PRINTING_EVENT, DONE: DONE_EVENT, FAILURE: FAILURE_EVENT}


def state_of(films: Sequence[FilmRow]) -> str:
    """Return the Execution Status of the films of one print job together."""
    states = {film.state for film in films}
    if states & {FAILURE, CANCELED}:
        return FAILURE
    if states == {DONE}:
        return DONE
    return PENDING if states == {PENDING} else PRINTING


def _info_of(films: Sequence[FilmRow], state: str) -> str:
    """Return the Execution Status Info: that of the film that has come least far."""
    if state == DONE:
        return "NORMAL"
    first = next((film for film in films if film.state not in (DONE,)), films[0])
    return first.status_info or ("QUEUED" if state == PENDING else "NORMAL")


def event_of(films: Sequence[FilmRow]) -> tuple[int, JSON]:
    """Return the Event Type ID that tells of the state of a print job, and its Event Information."""
    state = state_of(films)
    first = films[0]
    information = data_set(
        ExecutionStatusInfo=_info_of(films, state),
        PrintJobID=first.uid[-16:],
        FilmSessionLabel=first.label or None,
        PrinterName=first.printed_by or first.printer,
    )
    return _EVENTS[state], information


def job_attributes(films: Sequence[FilmRow]) -> JSON:
    """Return the attributes of a print job (PS3.3 C.13.8)."""
    state = state_of(films)
    first = films[0]
    created = first.created_at.astimezone()
    return data_set(
        ExecutionStatus=state,
        ExecutionStatusInfo=_info_of(films, state),
        CreationDate=f"{created:%Y%m%d}",
        CreationTime=f"{created:%H%M%S}",
        PrintPriority=first.priority,
        PrinterName=first.printed_by or first.printer,
        Originator=first.requested_by,
    )
