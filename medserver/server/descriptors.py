"""How many files and sockets a process of the node can have open."""

from __future__ import annotations

import logging
import resource

from medserver.log import Event

SPARE = 64
"""For the log, the index, the journal and what the interpreter opens."""

logger = logging.getLogger(__name__)


def raise_descriptor_limit(connections_max: int) -> None:
    """Let this process, and those that it forks, open as much as the system allows.

    The usual soft limit of 1,024 is meant for programs that use `select`.

    Parameters
    ----------
    connections_max : int
        How many connections the configuration allows a process; each may need a file or a connection besides.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = 2 * connections_max + SPARE
    if hard != resource.RLIM_INFINITY and hard < needed:
        logger.warning(Event("descriptors", limit=hard, needed=needed, hint="raise the hard limit, ulimit -Hn"))
