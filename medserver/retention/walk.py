"""A walk through the studies, the oldest first, by a rule: the jobs ``retention`` and ``retain``, and the command.

Bounded pages are read, and each study is ordered to be deleted in transactions of its own. What is left when the turn
ends is done by the next job.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from medserver.config import Retention
from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.retention.age import LOOK_EVERY_S, go_on, moment
from medserver.retention.eligibility import Look, look
from medserver.retention.orders import by, order
from medserver.retention.space import Space, set_begun, space_of
from medserver.safekeeping.presence import let_others_go_first, require_present

RETENTION, RETAIN = "retention", "retain"

TURN_S = 20.0
"""So long a rule is walked by before others have their turn."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WalkPayload(Payload):
    """The payload of `RETAIN`.

    Parameters
    ----------
    rule, digest : str
        By which rule, and what it said when the walk began.
    after : int
        The number of the last study that was looked at.
    left_bytes : int or None
        Of how much its volume is still to be freed; None if the rule has no watermark.
    """

    rule: str
    digest: str
    after: int = 0
    left_bytes: int | None = None


@dataclass
class Found:
    """What a walk has found.

    Parameters
    ----------
    studies, instances, size_bytes : int
        What may be deleted, or was ordered to be.
    oldest_at : datetime or None
        When the first of it was received; None if there is nothing.
    kept : Counter of str
        How many studies stay, by the reason.
    after : int
        The number of the last study that was looked at.
    left_bytes : int or None
        As for `WalkPayload`.
    is_finished : bool
        Whether nothing is left to be looked at.
    """

    studies: int = 0
    instances: int = 0
    size_bytes: int = 0
    oldest_at: datetime | None = None
    kept: Counter[str] = field(default_factory=Counter)
    after: int = 0
    left_bytes: int | None = None
    is_finished: bool = False

    def note(self, found: Look, volume: str | None) -> None:
        """Count a study that goes."""
        study = found.study
        self.studies += 1
        self.instances += study.instances
        self.size_bytes += found.size_bytes
        self.oldest_at = min(self.oldest_at or study.first_received_at, study.first_received_at)
        if self.left_bytes is not None and volume is not None:
            self.left_bytes -= found.bytes_on(volume)


def walk(
    node: Node,
    rule: Retention,
    now: datetime,
    found: Found,
    *,
    orders: Callable[[Look], object] = lambda found: None,
    gives_way: Callable[[], bool] = lambda: False,
) -> Found:
    """Look at the studies by a rule, until nothing is left of them or of what its volume is to be freed of.

    Parameters
    ----------
    node, rule : Node, Retention
        Where, and by what.
    now : datetime
        The moment from which ages count.
    found : Found
        Where it goes on; what is found is added to it.
    orders : callable
        Called with each study that may be deleted.
    gives_way : callable
        Tells whether to stop between two pages.
    """
    volume = rule.watermark.volume if rule.watermark else None
    while found.left_bytes is None or found.left_bytes > 0:
        page = node.index.holdings.page(found.after)
        if not page:
            break
        for one in look(node, rule, page, now):
            if one.reason:
                found.kept[one.reason] += 1
            elif found.left_bytes is None or found.left_bytes > 0:
                orders(one)
                found.note(one, volume)
            else:
                return _finished(found)
            found.after = one.study.number
        if gives_way():
            return found
    return _finished(found)


def _finished(found: Found) -> Found:
    found.is_finished = True
    return found


def begun(node: Node, rule: Retention) -> tuple[Found, Space | None]:
    """Return where a walk begins, and what is taken of the volume of the rule.

    Raises
    ------
    StoreFailure
        The primary volume, or that of the rule, is not there.
    """
    require_present(node.primary_volume)
    space = space_of(node, rule)
    if space is None or rule.watermark is None:
        return Found(), None
    return Found(left_bytes=space.excess_bytes(rule.watermark)), space


def show(node: Node, rule: Retention) -> tuple[Found, Space | None]:
    """Return what a rule would delete now, and why it keeps the rest; raises as `begun`."""
    found, space = begun(node, rule)
    return walk(node, rule, moment(node), found), space


def run(node: Node, rule: Retention) -> tuple[Found, Space | None]:
    """Have a rule delete now, whatever its `dry_run` says: an administrator says so. Raises as `begun`."""
    found, space = begun(node, rule)
    return walk(node, rule, moment(node), found, orders=lambda one: order(node, rule, one, is_urged=True)), space


def retention(node: Node, batch: Batch) -> None:
    """Let the clock of ages go on, and add a job for each rule that deletes by itself."""
    rules = node.config.current.retentions
    if not rules:
        return
    go_on(node)
    for rule in rules:
        if not rule.dry_run:
            job = NewJob(RETAIN, WalkPayload(rule.name, rule.digest))
            node.index.jobs.add_periodic(f"{RETAIN}:{rule.name}", LOOK_EVERY_S / 2, job)


def retain(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Go on with walks; what is left is done by a job that follows.

    Raises
    ------
    StoreFailure
        A volume is not there: nothing is ordered.
    """
    for job in batch:
        step = WalkPayload.of(job)
        rule = node.config.current.retention(step.rule)
        if rule is None or rule.digest != step.digest or rule.dry_run:
            yield done(job)
            continue
        found = _start(node, rule, step)
        if found is None:
            yield done(job)
            continue
        turn_ends = monotonic() + TURN_S
        walk(
            node,
            rule,
            moment(node),
            found,
            orders=lambda one, rule=rule: _order(node, rule, one, batch),
            gives_way=lambda turn_ends=turn_ends: batch.should_stop or monotonic() >= turn_ends,
        )
        if found.studies:
            logger.warning(
                Event("deleting", by=by(rule), studies=found.studies, instances=found.instances, bytes=found.size_bytes)
            )
        if found.is_finished:
            _tell_left(node, rule, found)
            yield done(job)
        else:
            following = WalkPayload(rule.name, rule.digest, found.after, found.left_bytes)
            yield done(job, NewJob(RETAIN, following, order_key=job.order_key))


def _start(node: Node, rule: Retention, step: WalkPayload) -> Found | None:
    """Return where a walk goes on, None if there is nothing to do."""
    if step.after:
        require_present(node.primary_volume)
        return Found(after=step.after, left_bytes=step.left_bytes)
    found, space = begun(node, rule)
    if space is None:
        return found
    if space.is_settled:
        set_begun(node, rule, bool(found.left_bytes))
    return found if found.left_bytes else None


def _order(node: Node, rule: Retention, found: Look, batch: Batch) -> None:
    let_others_go_first(node, lambda: batch.should_stop)
    order(node, rule, found)


def _tell_left(node: Node, rule: Retention, found: Found) -> None:
    """Tell of a volume that stays fuller than its rule wants it: nothing else may be deleted."""
    if found.left_bytes is not None and found.left_bytes > 0 and rule.watermark is not None:
        kept = "; ".join(f"{count} {why}" for why, count in found.kept.most_common(3))
        logger.warning(
            Event("not freed", volume=rule.watermark.volume, by=by(rule), bytes=found.left_bytes, kept=kept or None)
        )
