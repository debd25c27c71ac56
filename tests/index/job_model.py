"""What the table of jobs is to do, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from medserver.index import Lane
from medserver.index.jobs.records import IN_TURN


@dataclass
class ModelJob:
    """One row."""

    id: int
    lane: Lane
    order_key: str
    priority: int
    due_at: datetime
    state: str = "waiting"
    attempts: int = 0
    owner: str | None = None
    lease_until: datetime | None = None

    @property
    def key(self) -> tuple[Lane, str]:
        return self.lane, self.order_key


class JobModel:
    """All rows, and what is paused."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.jobs: dict[int, ModelJob] = {}
        self.paused: set[str | Lane] = set()

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def is_ready(self, job: ModelJob) -> bool:
        """Whether a job that waits has nobody before it."""
        if not job.order_key:
            return True
        same = [other for other in self.jobs.values() if other.key == job.key]
        running = any(other.state == "running" for other in same)
        return not running and job.id == min(other.id for other in same if other.state == "waiting")

    def claim(self, lane: Lane, owner: str, limit: int, of_kind: int, of_lane: int, lease_s: float) -> list[int]:
        running = [job for job in self.jobs.values() if job.state == "running" and job.lane.kind == lane.kind]
        if len({job.owner for job in running}) >= of_kind:
            return []
        if len({job.owner for job in running if job.lane == lane}) >= of_lane:
            return []
        if lane.kind in self.paused or lane in self.paused:
            return []
        due = [
            job
            for job in self.jobs.values()
            if job.lane == lane and job.state == "waiting" and job.due_at <= self.now and self.is_ready(job)
        ]
        claimed = sorted(due, key=lambda job: (-job.priority, job.due_at, job.id))[:limit]
        for job in claimed:
            job.state, job.owner, job.attempts = "running", owner, job.attempts + 1
            job.lease_until = self.now + timedelta(seconds=lease_s)
        return [job.id for job in claimed]

    def settle(self, number: int, outcome: str, due_at: datetime | None, lane: Lane | None = None) -> None:
        job = self.jobs[number]
        if outcome == "done":
            del self.jobs[number]
            return
        job.state = outcome if outcome in ("dead", "undecided") else "waiting"
        job.owner = job.lease_until = None
        if job.state == "waiting":
            job.due_at = due_at or job.due_at
        if outcome == "released":
            job.attempts -= 1
        if lane is not None:
            job.lane, job.attempts = lane, 0

    def sweep(self, attempts_max: int) -> set[int]:
        expired = [
            job for job in self.jobs.values() if job.state == "running" and job.lease_until < self.now
        ]
        for job in expired:
            self.settle(job.id, "dead" if job.attempts >= attempts_max else "retry", None)
        return {job.id for job in expired}

    def retry(self, number: int) -> bool:
        job = self.jobs[number]
        if job.state == "running":
            return False
        if job.state != "waiting":
            job.attempts = 0
        job.state, job.due_at = "waiting", IN_TURN
        return True

    def drop(self, number: int) -> bool:
        if self.jobs[number].state == "running":
            return False
        del self.jobs[number]
        return True
