"""What a function says of its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from medserver.index import Job, NewJob
from medserver.index.jobs.payloads import Payload
from medserver.index.jobs.records import Change, Delivered


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent to another AE by a job, or could not be: the audit trail tells of it.

    Parameters
    ----------
    ae_title, host : str
        To whom.
    sop_instance_uid : str
        Which instance.
    problem : str
        Why it could not be; empty if it was.
    """

    ae_title: str
    host: str
    sop_instance_uid: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job, see `done`, `changed`, `failed`, `early`, `held` and `undecided`."""

    job: Job
    error: str | None = None
    final: bool = False
    delay_s: float | None = None
    jobs: tuple[NewJob, ...] = ()
    was_tried: bool = True
    is_expected: bool = False
    is_undecided: bool = False
    change: Change | None = None
    delivered: Delivered | None = None
    sent: Sent | None = None


def done(job: Job, *jobs: NewJob, delivered: Delivered | None = None) -> Outcome:
    """Return that a job is done; `jobs` follow from it and are added in the transaction that deletes it.

    Parameters
    ----------
    job, jobs
        Which, and what follows.
    delivered : Delivered, optional
        What arrived by it; noted in the same transaction.
    """
    return Outcome(job, jobs=jobs, delivered=delivered)


def changed(
    job: Job,
    kind: str,
    payload: Payload,
    due_at: datetime,
    *jobs: NewJob,
    answer: str = "",
    destination: str | None = None,
) -> Outcome:
    """Return what a job becomes: it keeps its number and its age; it has no order key.

    Parameters
    ----------
    job, jobs
        Which, and what follows besides.
    kind, payload, due_at, answer, destination
        As in `Change`.

    Raises
    ------
    ValueError
        The job has an order key: what waits behind it would not be told.
    """
    if job.order_key:
        raise ValueError(f"job {job.id} has an order key")
    return Outcome(job, jobs=jobs, change=Change(kind, payload, due_at, answer, destination))


def failed(job: Job, error: str, *, final: bool = False, delay_s: float | None = None) -> Outcome:
    """Return that a job has failed.

    Parameters
    ----------
    job : Job
        Which.
    error : str
        Why, for an administrator.
    final : bool
        Whether it would fail again whenever it is tried: it is dead now.
    delay_s : float, optional
        When to try again [s]; default: as its kind says.
    """
    return Outcome(job, error, final, delay_s)


def early(job: Job, reason: str) -> Outcome:
    """Return that a job has come too early, in the ordinary course of things: it is tried again as its kind says.

    Parameters
    ----------
    job : Job
        Which.
    reason : str
        What has to be done before, for an administrator.
    """
    return Outcome(job, reason, is_expected=True)


def undecided(job: Job, reason: str) -> Outcome:
    """Return that what a job would be done by is gone: it waits for that, or for an administrator.

    Parameters
    ----------
    job : Job
        Which.
    reason : str
        What is gone, for an administrator.
    """
    return Outcome(job, reason, is_undecided=True)


def held(job: Job, reason: str, delay_s: float) -> Outcome:
    """Return that a job was not tried, and waits for something; it does not die of that.

    Parameters
    ----------
    job : Job
        Which.
    reason : str
        For what, for an administrator.
    delay_s : float
        When to look again [s].
    """
    return Outcome(job, reason, delay_s=delay_s, was_tried=False)
