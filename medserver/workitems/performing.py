"""What our own performer does to the work items that are its jobs.

Its right is the job that it has claimed, and no Transaction UID: that of the row is a random one, which nobody knows. A
job that was lost with its worker is claimed by another, which starts the same item again. From then on the item is no
longer that of the first one, which may be alive: it was stopped, or without the database, for longer than its lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from medserver.dicom.json_model import JSON
from medserver.dicom.uids import new_uid
from medserver.errors import WorkitemIsFinal, WorkitemNotInProgress
from medserver.index import NewJob, Workitem
from medserver.node import Node
from medserver.workitems.changing import Becoming, Present, change
from medserver.workitems.content import code, data_set, first_item, has_value, items, moment
from medserver.workitems.follow_ups import OUR_SCHEME, is_ours
from medserver.workitems.outcomes import CANCELED, COMPLETED, FINAL, IN_PROGRESS, SCHEDULED, digest_of
from medserver.workitems.states import PERFORMED, PROGRESS, UNSPECIFIED_REASON, cancelled, ended

TEXT_LENGTH_MAX = 1024
"""The length of the VR ST; longer texts are cut (PS3.5 6.2)."""

_MARK = "worker\\"
"""Before the name of a worker of ours: no AE title has a backslash (PS3.5 6.2)."""


def start(
    node: Node, sop_instance_uid: str, performer: str, revision: int | None = None, at: datetime | None = None
) -> Workitem | None:
    """Claim an item that is ours to perform, or take it over from a worker that was lost.

    Parameters
    ----------
    performer : str
        The worker, and behind a ``#`` the number of the job by which it performs the item. What one job has started
        another one does not take over: there are several where an item was put forward.
    revision : int, optional
        What the item was when its request was read: one that was changed since is not started.
    at : datetime, optional
        The present.

    Returns
    -------
    Workitem or None
        As it was before: SCHEDULED, or IN PROGRESS if it was started before. None if there is nothing to perform: it is
        final, or somebody else has claimed it; or it was changed.

    Raises
    ------
    NoSuchWorkitem
        There is none of this UID.
    """
    started: list[bool] = []
    now = moment(at or node.clock())

    def decided(present: Present) -> Becoming | None:
        row = present.row
        started.clear()
        is_taken_over = (
            row.state == IN_PROGRESS and _is_performed_here(row) and _is_of_one_job(row.performer, performer)
        )
        is_new = row.state == SCHEDULED and is_ours(row.keys, node.config.current) and revision in (None, row.revision)
        if not is_new and not is_taken_over:
            return None
        started.append(True)
        if is_taken_over:
            return Becoming(present.content, performer=_marked(performer))
        begun = data_set(PerformedProcedureStepStartDateTime=now)
        content = present.content | data_set(**{PERFORMED: [begun]})
        return Becoming(
            content, (IN_PROGRESS,), transaction_digest=digest_of(new_uid()), performer=_marked(performer)
        )

    before = change(node, sop_instance_uid, decided)
    return before if started else None


def report(
    node: Node, sop_instance_uid: str, percent: float | None = None, text: str = "", *, performer: str | None = None
) -> None:
    """Tell how far an item has come.

    Parameters
    ----------
    performer : str, optional
        The worker that has started it; default: whichever.
    percent : float or None
        Of the whole, 0 to 100; None if nobody knows.
    text : str
        What is done now.

    Raises
    ------
    NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress
        It is not there, or not ours to perform any more.
    """

    def decided(present: Present) -> Becoming:
        _check(present.row, performer)
        progress = first_item(present.content, PROGRESS)
        if percent is not None:
            progress |= data_set(ProcedureStepProgress=round(min(max(percent, 0.0), 100.0), 1))
        if text:
            progress |= data_set(ProcedureStepProgressDescription=text[:TEXT_LENGTH_MAX])
        return Becoming(present.content | data_set(**{PROGRESS: [progress]}))

    change(node, sop_instance_uid, decided)


def wants_cancel(node: Node, sop_instance_uid: str, performer: str | None = None) -> bool:
    """Tell whether an item is not to be performed any longer.

    Somebody wants it cancelled, it is final or gone, or, where a `performer` is given, another worker has it.
    """
    marked = None if performer is None else _marked(performer)
    return not node.index.workitems.goes_on(sop_instance_uid, marked)


def finish(
    node: Node,
    sop_instance_uid: str,
    attributes: JSON,
    jobs: Sequence[NewJob] = (),
    *,
    performer: str | None = None,
) -> None:
    """Complete an item.

    Parameters
    ----------
    attributes : Mapping
        What the item of the Unified Procedure Step Performed Procedure Sequence says, at least the Output Information
        Sequence. What this node knows is filled in: station, start and end, type, parameters.
    jobs : sequence of NewJob
        What follows from its end, such as the deliveries of what was made.
    performer : str, optional
        The worker that has started it; default: whichever.

    Raises
    ------
    NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress
        It is not there, or not ours to perform any more: it may have been cancelled.
    FinalStateUnmet
        Something is missing.
    """
    now = moment(node.clock())

    def decided(present: Present) -> Becoming:
        _check(present.row, performer)
        performed = _performed(node, present.content, now) | dict(attributes)
        content = present.content | data_set(**{PERFORMED: [performed]})
        return Becoming(ended(content, COMPLETED, now), (COMPLETED,), jobs=jobs)

    change(node, sop_instance_uid, decided)


def discontinue(
    node: Node,
    sop_instance_uid: str,
    reason: tuple[str, str, str] = UNSPECIFIED_REASON,
    text: str = "",
    *,
    performer: str | None = None,
) -> None:
    """Cancel an item that is ours to perform, whether it was started or not.

    Parameters
    ----------
    reason : tuple of str
        Value, scheme and meaning of a code (PS3.16 CID 9300).
    text : str
        The same in words.
    performer : str, optional
        The worker that has started it, if it was; default: whichever.

    Raises
    ------
    NoSuchWorkitem, WorkitemIsFinal, WorkitemNotInProgress
        It is not there, or not ours to perform any more.
    """
    now = moment(node.clock())

    def decided(present: Present) -> Becoming:
        row = present.row
        if row.state != SCHEDULED:
            _check(row, performer)
        content = ended(cancelled(present.content, now, reason, text[:TEXT_LENGTH_MAX]), CANCELED, now)
        # What is cancelled before it was claimed becomes IN PROGRESS on the way (PS3.4 CC.2.2.3).
        states = (IN_PROGRESS, CANCELED) if row.state == SCHEDULED else (CANCELED,)
        digest = digest_of(new_uid()) if row.state == SCHEDULED else None
        return Becoming(content, states, transaction_digest=digest)

    change(node, sop_instance_uid, decided)


def _marked(performer: str) -> str:
    return f"{_MARK}{performer}"


def _is_of_one_job(performer: str, other: str) -> bool:
    """Tell whether two performers are of the same job, as far as they say of which they are."""
    numbers = {name.rpartition("#")[2] for name in (performer, other) if "#" in name}
    return len(numbers) < 2


def _is_performed_here(row: Workitem) -> bool:
    return row.performer.startswith(_MARK)


def is_performed_here(node: Node, row: Workitem) -> bool:
    """Tell whether an item is in the hands of a worker of ours, or will be."""
    return _is_performed_here(row) if row.state == IN_PROGRESS else is_ours(row.keys, node.config.current)


def _check(row: Workitem, performer: str | None) -> None:
    if row.state in FINAL:
        raise WorkitemIsFinal(f"the work item is {row.state}")
    if row.state != IN_PROGRESS or not _is_performed_here(row):
        raise WorkitemNotInProgress("no worker of this archive performs the work item")
    if performer is not None and row.performer != _marked(performer):
        raise WorkitemNotInProgress("another worker has taken the work item over")


def _performed(node: Node, content: JSON, now: str) -> dict[str, Any]:
    """Return what this node knows of what was performed."""
    performed = first_item(content, PERFORMED)
    ae_title = node.config.current.node.ae_title
    scheduled_code = items(content, "ScheduledWorkitemCodeSequence")
    parameters = items(content, "ScheduledProcessingParametersSequence")
    known = data_set(
        PerformedStationNameCodeSequence=[code(ae_title, OUR_SCHEME, ae_title)],
        PerformedProcedureStepEndDateTime=now,
    )
    if not has_value(performed, "PerformedProcedureStepStartDateTime"):
        known |= data_set(PerformedProcedureStepStartDateTime=now)
    if scheduled_code:
        known |= data_set(PerformedWorkitemCodeSequence=list(scheduled_code))
    if parameters:
        known |= data_set(PerformedProcessingParametersSequence=list(parameters))
    return performed | known
