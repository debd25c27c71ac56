"""The moment from which ages count: the clock of the database, which does not run away.

A clock that jumps ahead would make everything old at once, and what is deleted does not come back when the clock is
set right. So ages count from a moment that goes on by some hours at most from one look to the next. After a node was
off for a while it catches up: a day within an hour.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from medserver.node import Node

LOOK_EVERY_S = 600.0
GOES_ON_MAX = timedelta(hours=4)
"""From one look to the next; a worker looks once in `LOOK_EVERY_S`."""

_KEY = "retention:clock"


def moment(node: Node) -> datetime:
    """Return the moment from which ages count now."""
    now, noted = node.clock(), node.index.progress.get(_KEY)
    return now if noted is None else min(now, datetime.fromisoformat(noted) + GOES_ON_MAX)


def go_on(node: Node) -> datetime:
    """Return the moment from which ages count now, and note that it has come."""
    reached = moment(node)
    node.index.progress.set(_KEY, reached.isoformat())
    return reached
