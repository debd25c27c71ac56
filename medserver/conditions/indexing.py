"""The conditions of acquisition go into the index some time after reception: the job ``conditions``.

So reception does not wait for it, and what was stored before, or was entered by a rebuild, comes by the same way.
While instances arrive it leaves most of the time to them.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from medserver import archive
from medserver.conditions.reading import conditions_in
from medserver.errors import CannotUnderstand, StoreFailure
from medserver.index import Acquisition, StoredInstance
from medserver.jobs.batch import Batch
from medserver.log import Event
from medserver.node import Node

CONDITIONS = "conditions"
INTERVAL_S = 5.0

BUSY_WORK_S, IDLE_WORK_S = 1.0, 30.0
"""So long it works at a time while instances arrive, and else."""

IDLE_AFTER = timedelta(seconds=10)
"""Instances arrive if the next one to be read came no longer ago."""

PAGE_ROWS = 100

logger = logging.getLogger(__name__)


def index_conditions(node: Node, batch: Batch) -> None:
    """Read the conditions of instances of which the index does not have them, as many as there is time for."""
    begun_at = time.monotonic()
    while unread := node.index.acquisitions.unread(PAGE_ROWS):
        found = node.index.instances([one.sop_instance_uid for one in unread])
        if not found:
            return
        node.index.acquisitions.put([_read(node, instance) for instance in found.values()])
        is_idle = node.clock() - unread[-1].received_at > IDLE_AFTER
        if batch.should_stop or time.monotonic() - begun_at > (IDLE_WORK_S if is_idle else BUSY_WORK_S):
            return


def _read(node: Node, instance: StoredInstance) -> Acquisition:
    try:
        values = conditions_in(archive.read_header(node, instance))
    except (StoreFailure, CannotUnderstand) as error:
        logger.warning(Event("conditions not read", sop_instance_uid=instance.sop_instance_uid, reason=str(error)))
        values = None
    return Acquisition(instance.sop_instance_uid, instance.digest, values)
