"""What a function says of its jobs. It is on the floor of the operations, which are the functions."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.index import Job, NewJob


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job, see `done` and `failed`."""

    job: Job
    error: str | None = None
    final: bool = False
    delay_s: float | None = None
    jobs: tuple[NewJob, ...] = ()


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
