"""A volume of which nothing is left begins anew, because an administrator says so."""

from __future__ import annotations

import logging

from medserver.errors import BadUsage
from medserver.log import Event
from medserver.node import Node
from medserver.safekeeping.seeking import queue_repairs
from medserver.store import Volume
from medserver.volumes import replace

logger = logging.getLogger(__name__)


def renew(node: Node, volume: Volume) -> None:
    """Have everything copied to an empty place again that takes the place of a volume that is lost.

    No other volume is touched. Should the old one come back after all it is another one, and is left alone.

    Parameters
    ----------
    node : Node
        Whose volume.
    volume : Volume
        Which.

    Raises
    ------
    BadUsage
        The volume is there, or holds objects.
    OutOfResources, StoreFailure
        Nothing can be written there, or it is a volume of another archive.
    """
    if volume.condition().is_present:
        raise BadUsage(f"volume {volume.name} is not lost: it is there")
    if volume.holds_objects():
        raise BadUsage(f"what is in the place of {volume.name} holds objects: only what is empty takes its place")
    replace(node.index, volume)
    logger.warning(Event("renewed", volume=volume.name, state=volume.condition().state))
    node.index.upkeep.mark_volume_bad(volume.name)
    queue_repairs(node)
