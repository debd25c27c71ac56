"""The leases that a worker holds; they are extended while it lives."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from medserver.index import Index, Job, Verdict

EXTENSIONS_PER_LEASE = 3
"""How often a lease is extended before it would run out."""

RELEASE_DELAY_S = 2.0
"""How long jobs wait that are given back while their function still runs: until this process has surely ended."""


@dataclass
class _Lease:
    jobs: dict[int, Job]
    lease_s: float
    extended_at: datetime

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be extended by now, also where the clock was set back."""
        return not 0 <= (now - self.extended_at).total_seconds() < self.lease_s / EXTENSIONS_PER_LEASE


class Leases:
    """What the threads of a worker have claimed.

    Parameters
    ----------
    index : Index
        Where it was claimed.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._leases: dict[str, _Lease] = {}
        self._lock = threading.Lock()

    @contextmanager
    def held(self, jobs: Collection[Job], lease_s: float, now: datetime) -> Iterator[None]:
        """Extend the lease of jobs that were just claimed while the block runs."""
        owner = next(iter(jobs)).owner or ""
        with self._lock:
            self._leases[owner] = _Lease({job.id: job for job in jobs}, lease_s, now)
        try:
            yield
        finally:
            with self._lock:
                self._leases.pop(owner, None)

    def settled(self, jobs: Collection[Job]) -> None:
        """Forget jobs that don't belong to their claim any more."""
        with self._lock:
            for job in jobs:
                lease = self._leases.get(job.owner or "")
                if lease is not None:
                    lease.jobs.pop(job.id, None)

    def extend(self, now: datetime) -> None:
        """Extend what is to be extended by now."""
        with self._lock:
            due = [(owner, lease) for owner, lease in self._leases.items() if lease.is_due(now)]
            numbers = {owner: list(lease.jobs) for owner, lease in due}
        for owner, lease in due:
            self._index.jobs.extend(owner, numbers[owner], now + timedelta(seconds=lease.lease_s))
            lease.extended_at = now

    def give_back(self, now: datetime) -> int:
        """Give back everything that is held, for this process is about to end; return how many jobs that are."""
        with self._lock:
            jobs = [job for lease in self._leases.values() for job in lease.jobs.values()]
        due_at = now + timedelta(seconds=RELEASE_DELAY_S)
        return len(self._index.jobs.settle([Verdict(job, "released", due_at) for job in jobs])) if jobs else 0
