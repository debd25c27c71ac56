"""A volume of which nothing is left begins anew, because an administrator says so."""

from __future__ import annotations

import logging

from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.presence import condition_of
from medserver.safekeeping.seeking import queue_repairs
from medserver.store import Volume

logger = logging.getLogger(__name__)


def renew(node: Node, volume: Volume) -> bool:
    """Have everything copied to a volume again that is empty and should not be.

    No other volume is touched. Should the old one come back after all, its copies are read, and are good again.

    Parameters
    ----------
    node : Node
        Whose volume.
    volume : Volume
        Which.

    Returns
    -------
    bool
        False if there is something, or nothing is missed; then nothing was done.

    Raises
    ------
    OutOfResources, StoreFailure
        Nothing can be written there.
    """
    if volume.holds_objects() or not node.index.upkeep.has_good_objects(volume.name):
        return False
    volume.found()
    logger.warning(Event("renewed", volume=volume.name, state=condition_of(node, volume).state))
    node.index.upkeep.mark_volume_bad(volume.name)
    queue_repairs(node)
    return True
