"""The jobs of a transaction: first it is checked, then it is reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from medserver.index import Job, NewJob, StoredCommitment
from medserver.index.jobs.payloads import Payload
from medserver.routing.deliveries import REPORT

__all__ = ["CHECK", "PRUNE", "REPORT"]

CHECK, PRUNE = "commit", "commit_prune"

OFFER_S = 2.0
"""So long after the check the report is left to the association of the request, if that may be open."""


@dataclass(frozen=True, slots=True)
class CommitmentPayload(Payload):
    """A transaction of storage commitment.

    Parameters
    ----------
    commitment : int
        Its number.
    """

    commitment: int


def check_job(number: int, remote: str, due_at: datetime | None = None) -> NewJob:
    """Return the job that checks a transaction; those of one peer do not keep others waiting."""
    return NewJob(CHECK, CommitmentPayload(number), destination=remote, due_at=due_at)


def report_job(stored: StoredCommitment, now: datetime) -> NewJob:
    """Return the job that reports a transaction which has been checked."""
    due_at = now + timedelta(seconds=OFFER_S) if stored.held else None
    return NewJob(REPORT, CommitmentPayload(stored.id), destination=stored.remote, due_at=due_at)


def number_of(job: Job) -> int:
    """Return the number of the transaction that a job is about."""
    return CommitmentPayload.of(job).commitment
