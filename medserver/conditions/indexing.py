"""The conditions of acquisition go into the index some time after reception: the job ``conditions``.

So reception does not wait for it, and what was stored before, or was entered by a rebuild, comes by the same way.
While instances arrive it leaves the time to them, unless they have arrived for long.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from medserver import archive
from medserver.conditions.reading import conditions_in
from medserver.errors import CannotUnderstand, StoreFailure
from medserver.index import Acquisition, StoredCopy
from medserver.index.jobs.batch import Batch
from medserver.log import Event
from medserver.node import Node

CONDITIONS = "conditions"
INTERVAL_S = 3.0

BUSY_WORK_S, IDLE_WORK_S = 0.5, 30.0
"""So long it works at a time while instances arrive, and else."""

IDLE_AFTER = timedelta(seconds=3)
"""Instances arrive if the last one came no longer ago."""

URGENT_AFTER = timedelta(seconds=60)
"""What has waited for so long is read even then."""

PAGE_ROWS = 100

CONTENT_LENGTH_MAX = 64 * 1024
"""What is longer is no description of an acquisition; a query reads it from the header."""

logger = logging.getLogger(__name__)


def index_conditions(node: Node, batch: Batch) -> None:
    """Read the conditions of instances of which the index does not have them, as many as there is time for."""
    begun_at = time.monotonic()
    while (work_s := _work_s(node)) and time.monotonic() - begun_at < work_s and not batch.should_stop:
        unread = node.index.acquisitions.unread(PAGE_ROWS)
        found = node.index.instances([one.sop_instance_uid for one in unread])
        if not found:
            return
        node.index.acquisitions.put([_read(node, instance) for instance in found.values()])


def _work_s(node: Node) -> float:
    """Return for how long it is worked now [s]; 0 if there is nothing to be done, or it can wait."""
    now, newest_at = node.clock(), node.index.acquisitions.newest_unread_at()
    if newest_at is None:
        return 0.0
    if now - newest_at > IDLE_AFTER:
        return IDLE_WORK_S
    [oldest] = node.index.acquisitions.unread(1) or [None]
    return BUSY_WORK_S if oldest is not None and now - oldest.received_at > URGENT_AFTER else 0.0


def _read(node: Node, instance: StoredCopy) -> Acquisition:
    try:
        acquisition = Acquisition.of(instance, conditions_in(archive.read_header(node, instance)))
        if len(acquisition.content) <= CONTENT_LENGTH_MAX:
            return acquisition
        problem = "they are too long"
    except (StoreFailure, CannotUnderstand) as error:
        problem = str(error)
    logger.warning(Event("conditions not kept", sop_instance_uid=instance.sop_instance_uid, reason=problem))
    return Acquisition.of(instance, None)
