"""Instances are held until their study or series is complete: the jobs ``hold`` and ``release``.

It is complete when something says so that the rule goes by (see `evidence`), and in any case when nothing of it has
come for a while. What comes later is held on its own, and sent on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from medserver.archive.follow_ups import RELEASE, release_job
from medserver.archive.payloads import StudyPayload
from medserver.config import Rule
from medserver.delivery.evidence import Evidence
from medserver.index import Job, JobFilter
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, changed, done
from medserver.node import Node
from medserver.routing.deliveries import HOLD, Delivery, lost, present_rule, sent_on

__all__ = ["RELEASE", "hold", "release"]

LOOK_AGAIN_S, LOOK_AGAIN_FACTOR, LOOK_AGAIN_LONGEST_S = 2.0, 5.0, 300.0
"""When it is looked for evidence after the first time, which is at once: soon, then more and more seldom. Most evidence
is told by `release`; but the number of instances at the sender has to be asked for."""

KEPT_FOR = timedelta(days=7)
"""How long it is kept when a study seemed complete."""


def hold(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Release instances of what is complete; the others are held on until it may be."""
    look = _Look(node)
    for job in batch:
        if batch.should_stop:
            return
        yield look.outcome(job, Delivery.of(job))


class _Look:
    """One look at what is held; what is known of a study is found out once.

    Parameters
    ----------
    node : Node
        Whose index.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._now = node.clock()
        self._evidence = Evidence(node)
        self._quiet_at: dict[tuple[str, str, str], datetime] = {}
        self._told: set[str] = set()

    def outcome(self, job: Job, delivery: Delivery) -> Outcome:
        """Return what becomes of something that is held."""
        config, study = self._node.config.current, delivery.study_instance_uid
        if delivery.route is None:
            return sent_on(job, delivery, None, self._now)
        rule = present_rule(config, delivery, job.destination)
        if rule is None:
            return lost(job, delivery)
        if rule.when == "instance":  # it waits for nothing any more
            return sent_on(job, delivery, rule, self._now)
        if self._is_complete(rule, delivery):
            # The others of its study are looked at too, whenever they would be.
            others = () if study in self._told else (release_job(study),)
            self._told.add(study)
            return sent_on(job, delivery, rule, self._now, *others)
        quiet_at = self._when_quiet(rule, delivery)
        if quiet_at <= self._now:
            return sent_on(job, delivery, rule, self._now)
        due_at = _not_later(rule, quiet_at, self._now, delivery.looks)
        return changed(job, HOLD, replace(delivery, looks=delivery.looks + 1), due_at)

    def _is_complete(self, rule: Rule, delivery: Delivery) -> bool:
        if not delivery.received_at:  # it was held before there was evidence
            return False
        # Instances are still coming when it is looked for the first time: it is too early to ask how many there are.
        return self._evidence.completes(
            rule,
            delivery.study_instance_uid,
            delivery.sender,
            datetime.fromisoformat(delivery.received_at),
            may_ask=delivery.looks > 0,
        )

    def _when_quiet(self, rule: Rule, delivery: Delivery) -> datetime:
        series = delivery.series_instance_uid if rule.when == "series" else ""
        what = (rule.name, delivery.study_instance_uid, series)
        if what not in self._quiet_at:
            last = self._node.index.last_received_at(delivery.study_instance_uid, series)
            self._quiet_at[what] = _quiet_at(rule, last, self._now, has_waited=delivery.looks > 0)
        return self._quiet_at[what]


def _quiet_at(rule: Rule, last: datetime | None, now: datetime, *, has_waited: bool) -> datetime:
    """Return from when on it is quiet; what was received in the future was, while the clock was ahead, before now."""
    if last is None or (last > now and has_waited):  # it was deleted, or this was waited for once
        return now
    return min(last, now) + timedelta(seconds=rule.quiet_s)


def _not_later(rule: Rule, quiet_at: datetime, now: datetime, looks: int) -> datetime:
    """Return when it is looked again: when it may be quiet, or for evidence."""
    if not rule.complete_by:
        return quiet_at
    delay_s = min(LOOK_AGAIN_S * LOOK_AGAIN_FACTOR ** min(looks, 32), LOOK_AGAIN_LONGEST_S)
    return min(quiet_at, now + timedelta(seconds=delay_s))


def release(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Look at once at what is held of studies that something was noticed of."""
    studies = {StudyPayload.of(job).study_instance_uid for job in batch}
    held = [
        job.id
        for job in node.index.jobs.list(JobFilter(HOLD))
        if job.state == "waiting" and Delivery.of(job).study_instance_uid in studies
    ]
    node.index.jobs.retry(held)
    node.index.completions.prune(node.clock() - KEPT_FOR)
    yield from (done(job) for job in batch)
