"""What is done about a copy that is not what was stored: it is never read again until it is repaired."""

from __future__ import annotations

import logging

from medserver.archive.follow_ups import repair_job
from medserver.errors import MedserverError
from medserver.node import Node

logger = logging.getLogger(__name__)


def report_damage(node: Node, volume: str, path: str, reason: str) -> bool:
    """Note in the index that a copy is bad, and have it repaired; say so in the log, once.

    Parameters
    ----------
    node : Node
        Where it was found.
    volume, path : str
        Which copy.
    reason : str
        One line for people.

    Returns
    -------
    bool
        Whether that is news.
    """
    try:
        is_news = node.index.upkeep.report_bad(volume, path, [repair_job(volume, path)])
    except MedserverError as error:
        logger.error("%s:%s is damaged (%s), and that cannot be recorded: %s", volume, path, reason, error)
        return False
    if is_news:
        logger.error("%s:%s is not read again until it is repaired: %s", volume, path, reason)
    return is_news
