"""Instances are held until their study or series is complete: the jobs ``hold`` and ``release``.

It is complete when something says so that the rule goes by (see `evidence`), and in any case when nothing of it has
come for a while. What comes later is held on its own, and sent on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from medserver.archive.follow_ups import RELEASE, release_job
from medserver.config import Route
from medserver.delivery.entries import rule_of, undecided
from medserver.delivery.evidence import Evidence
from medserver.index import Job, JobFilter
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.routing.outbox import HOLD, follow_up, is_undecided, released, sending_kind

__all__ = ["RELEASE", "hold", "release"]

LOOK_AGAIN_S, LOOK_AGAIN_FACTOR, LOOK_AGAIN_LONGEST_S = 2.0, 5.0, 300.0
"""When it is looked for evidence after the first time, which is at once: soon, then more and more seldom. Most evidence
is told by `release`; but the number of instances at the sender has to be asked for."""

KEPT_FOR = timedelta(days=7)
"""How long it is kept when a study seemed complete."""


def hold(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Release instances of what is complete; the others are held on until it may be."""
    config, now, evidence = node.config.current, node.clock(), Evidence(node)
    quiet_at: dict[tuple[str, str, str], datetime] = {}
    told: set[str] = set()
    for job in batch:
        if batch.should_stop:
            return
        payload, kind = job.payload, sending_kind(job.kind, job.payload.get("kind"))
        if is_undecided(config, payload["route"], job.destination, kind):
            yield undecided(job)
            continue
        rule = rule_of(config, job)
        if rule is None:
            yield done(job, released(kind, payload, job.destination, rule, now))
            continue
        if _is_complete(evidence, rule, job):
            # The others of its study are looked at too, whenever they would be.
            others = () if payload["study_instance_uid"] in told else (release_job(payload["study_instance_uid"]),)
            told.add(payload["study_instance_uid"])
            yield done(job, released(kind, payload, job.destination, rule, now), *others)
            continue
        series = payload.get("series_instance_uid", "") if rule.when == "series" else ""
        what = (rule.name, payload["study_instance_uid"], series)
        if what not in quiet_at:
            last = node.index.last_received_at(payload["study_instance_uid"], series)
            quiet_at[what] = _quiet_at(rule, last, now, has_waited=payload.get("looks", 0) > 0)
        if quiet_at[what] <= now:
            yield done(job, released(kind, payload, job.destination, rule, now))
        else:
            looks = payload.get("looks", 0)
            due_at = _not_later(rule, quiet_at[what], now, looks)
            again = {**payload, "looks": looks + 1}
            yield done(job, follow_up(job, HOLD, again, due_at))


def _is_complete(evidence: Evidence, rule: Route, job: Job) -> bool:
    payload = job.payload
    if "received_at" not in payload:  # it was held before there was evidence
        return False
    received_at = datetime.fromisoformat(payload["received_at"])
    # Instances are still coming when it is looked for the first time: it is too early to ask how many there are.
    may_ask = payload.get("looks", 0) > 0
    return evidence.completes(rule, payload["study_instance_uid"], payload["from"], received_at, may_ask=may_ask)


def _quiet_at(rule: Route, last: datetime | None, now: datetime, *, has_waited: bool) -> datetime:
    """Return from when on it is quiet; what was received in the future was, while the clock was ahead, before now."""
    if last is None or (last > now and has_waited):  # it was deleted, or this was waited for once
        return now
    return min(last, now) + timedelta(seconds=rule.quiet_s)


def _not_later(rule: Route, quiet_at: datetime, now: datetime, looks: int) -> datetime:
    """Return when it is looked again: when it may be quiet, or for evidence."""
    if not rule.complete_by:
        return quiet_at
    delay_s = min(LOOK_AGAIN_S * LOOK_AGAIN_FACTOR ** min(looks, 32), LOOK_AGAIN_LONGEST_S)
    return min(quiet_at, now + timedelta(seconds=delay_s))


def release(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Look at once at what is held of studies that something was noticed of."""
    studies = {job.payload["study_instance_uid"] for job in batch}
    held = [
        job.id
        for job in node.index.jobs.list(JobFilter(HOLD))
        if job.state == "waiting" and job.payload["study_instance_uid"] in studies
    ]
    node.index.jobs.retry(held)
    node.index.completions.prune(node.clock() - KEPT_FOR)
    yield from (done(job) for job in batch)
