"""Events as rows of the trail: what is inserted, and is not changed any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from medserver.audit.events import PERSON, AuditEvent
from medserver.audit.kinds import KINDS
from medserver.audit.message import encode, split


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells it.

    Parameters
    ----------
    source_id : str
        AuditSourceID.
    site_id : str
        AuditEnterpriseSiteID; may be empty.
    """

    source_id: str
    site_id: str = ""


class AuditRow(NamedTuple):
    """An event as it is inserted.

    Parameters
    ----------
    at : str
        When it was: ISO 8601, UTC.
    source : str
        Who tells it.
    event : str
        The code of its EventID.
    action : str
        EventActionCode.
    outcome : int
        EventOutcomeIndicator.
    actor : str
        The UserID of the requestor, or of the first participant.
    patient_id : str
        Whom it is about; empty if nobody, or several.
    message : str
        The AuditMessage. All the others are read from it, so that rows can be found.
    """

    at: str
    source: str
    event: str
    action: str
    outcome: int
    actor: str
    patient_id: str
    message: str


def rows_of(events: Iterable[AuditEvent], at: datetime, source: Source) -> list[AuditRow]:
    """Return the rows of events that took place at a moment."""
    return [_row(part, at, source) for event in events for part in split(event)]


def _row(event: AuditEvent, at: datetime, source: Source) -> AuditRow:
    requestors = [each for each in event.participants if each.is_requestor] or list(event.participants)
    who = requestors[0]
    patients = [each.object_id for each in event.objects if each.type == PERSON]
    message = encode(event, at, source.source_id, source.site_id)
    # NUL is no character of a text in PostgreSQL; what is no Unicode is none of SQLite
    return AuditRow(
        at.isoformat(timespec="milliseconds"),
        source.source_id,
        KINDS[event.kind].event.value,
        event.action,
        event.outcome,
        _text(who.alternative_id.removeprefix("AETITLES=") or who.user_id),
        _text(patients[0]) if len(patients) == 1 else "",
        message,
    )


def _text(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:256]
