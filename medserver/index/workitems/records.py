"""Work items as they go into the index and come out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from medserver.index.jobs.records import NewJob


@dataclass(frozen=True, slots=True)
class WorkitemKeys:
    """What work items are searched by without a look into their content; empty where it has no such value.

    Parameters
    ----------
    priority : str
        Scheduled Procedure Step Priority.
    start_at : str
        Scheduled Procedure Step Start DateTime, as it was given.
    label, worklist_label : str
        Procedure Step Label and Worklist Label.
    type_code, type_scheme : str
        Of the Scheduled Workitem Code Sequence.
    patient_id : str
        Patient ID.
    """

    priority: str = ""
    start_at: str = ""
    label: str = ""
    worklist_label: str = ""
    type_code: str = ""
    type_scheme: str = ""
    patient_id: str = ""


@dataclass(frozen=True, slots=True)
class Workitem:
    """One work item.

    Parameters
    ----------
    sop_instance_uid, state : str
        Which, and its Procedure Step State.
    transaction_digest : str
        The SHA-256 of its Transaction UID, hexadecimal; empty while it has none.
    revision : int
        How often it was changed.
    content : str
        Its attributes, as the text of a DICOM JSON object; never the Transaction UID.
    created_by : str
        The AE title, or what else made it.
    performer : str
        Who has claimed it: an AE title, or a worker of this archive; empty while nobody has.
    cancel_requested : bool
        Whether somebody wants it cancelled.
    created_at, changed_at : datetime
        When it was created, and last changed.
    ended_at : datetime or None
        When it became final; None while it is not.
    keys : WorkitemKeys
        What it is searched by.
    id : int
        Its number: a later item has a higher one; 0 before it is entered.
    """

    sop_instance_uid: str
    state: str
    transaction_digest: str
    revision: int
    content: str
    created_by: str
    performer: str
    cancel_requested: bool
    created_at: datetime
    changed_at: datetime
    ended_at: datetime | None
    keys: WorkitemKeys
    id: int = 0


@dataclass(frozen=True, slots=True)
class NewWorkitem:
    """A work item that is to be entered; the names are those of `Workitem`."""

    sop_instance_uid: str
    state: str
    content: str
    created_by: str
    keys: WorkitemKeys


@dataclass(frozen=True, slots=True)
class Subscription:
    """That an AE is told of changes of a work item, or of all.

    Parameters
    ----------
    receiver : str
        Its AE title.
    has_lock : bool
        Whether the item is kept for it when it is final.
    """

    receiver: str
    has_lock: bool


@dataclass(frozen=True, slots=True)
class WorkitemChange:
    """What a work item becomes, and the jobs that follow; the names are those of `Workitem`."""

    state: str
    transaction_digest: str
    content: str
    performer: str
    cancel_requested: bool
    is_final: bool
    keys: WorkitemKeys
    jobs: Sequence[NewJob] = ()
