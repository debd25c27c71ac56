"""What a function says of its jobs."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.index import Job, NewJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job, see `done`, `failed` and `held`."""

    job: Job
    error: str | None = None
    final: bool = False
    delay_s: float | None = None
    jobs: tuple[NewJob, ...] = ()
    was_tried: bool = True


def done(job: Job, *jobs: NewJob) -> Outcome:
    """Return that a job is done; `jobs` follow from it and are added in the transaction that deletes it."""
    return Outcome(job, jobs=jobs)


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
