"""The periodic job `workitem_prune`: work items that are final are forgotten when nobody needs them any more.

Locks are taken away from subscribers that have had one for very long on an item that is final: they have failed, or
have forgotten it (PS3.4 CC.2.3.3 lets the SCP do that, and the conformance statement says so).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from itertools import islice

from medserver.index import JobFilter
from medserver.index.jobs.batch import Batch
from medserver.index.workitems.workitems import PRUNE_ROWS
from medserver.log import Event
from medserver.node import Node
from medserver.workitems.follow_ups import UPS_EVENT

PRUNE = "workitem_prune"
INTERVAL_S = 3600.0

DEAD_EVENTS_KEPT = timedelta(days=7)
"""So long an administrator sees what could not be told."""

logger = logging.getLogger(__name__)


def prune(node: Node, batch: Batch) -> None:
    """Forget items, locks, and events that could not be told, in pages."""
    options, now = node.config.current.workitems, node.clock()
    forgotten = unlocked = 0
    if options.keep_locked:
        before = now - timedelta(seconds=options.keep_locked)
        while not batch.should_stop and (count := node.index.workitems.unlock(before)):
            unlocked += count
    before = now - timedelta(seconds=options.keep)
    while not batch.should_stop:
        count = node.index.workitems.prune(before)
        forgotten += count
        if count < PRUNE_ROWS:
            break
    events = _drop_dead_events(node)
    if forgotten or unlocked or events:
        logger.info(Event("work items forgotten", count=forgotten, locks=unlocked, events=events))


def _drop_dead_events(node: Node) -> int:
    before = node.clock() - DEAD_EVENTS_KEPT
    dead = (
        job.id for job in node.index.jobs.list(JobFilter(kind=UPS_EVENT, state="dead")) if job.created_at < before
    )
    count = 0
    while page := list(islice(dead, PRUNE_ROWS)):
        count += len(node.index.jobs.drop(page))
    return count
