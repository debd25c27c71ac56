"""One of the processes that accept associations."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from medserver.config import ConfigFile
from medserver.errors import ConfigError, MedserverError
from medserver.log import Event
from medserver.node import Node, open_node
from medserver.scu import releasing
from medserver.server.heartbeat import Heartbeat
from medserver.server.signals import is_asked_to_stop
from medserver.services.policy import NodePolicy
from medserver.trail.refusals import refusals
from medserver.wire.acceptor import Acceptor
from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.entrance import Entrance
from medserver.wire.limits import WireLimits
from medserver.wire.roster import RosterPlace

DRAIN_S = 2.5
"""How long running operations may go on after the node was asked to stop."""

WATCH_INTERVAL_S = 0.5

SWITCH_INTERVAL_S = 0.001
"""How long a thread that computes keeps the others waiting. With the 5 ms of Python some ten of them, such as those
that answer large queries, would hold up a C-ECHO for a quarter of a second: it needs the interpreter several times."""

logger = logging.getLogger(__name__)


def run(config_file: ConfigFile, entrances: Sequence[Entrance], place: RosterPlace, supervisor: int) -> None:
    """Accept and serve associations until SIGTERM or SIGINT, or until the supervisor is gone.

    Should a mistake of ours end the thread that accepts, the process ends too, and the supervisor replaces it. So it is
    when the index was rebuilt, restored or migrated meanwhile; while that lasts, nothing can be stored (A700).

    The stop signals must be blocked when this is called, so that they can be waited for.

    Parameters
    ----------
    entrances : sequence of Entrance
        Where connections are accepted.
    supervisor : int
        Its process ID: it may be gone before this process looks for the first time.

    Raises
    ------
    IndexFailure, StoreFailure
        The index or a volume cannot be opened.
    """
    threading.excepthook = log_thread_failure
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    node = open_node(config_file, receives=True)
    node.watch.start()
    config = config_file.current
    acceptor = Acceptor(
        entrances,
        config.node.ae_title,
        WireLimits.from_options(config.limits),
        Admission(AdmissionLimits.from_options(config.limits), place),
        NodePolicy(node),
    )
    # What is here now stays: the collector need not look at it each time, which would stop all threads for long.
    gc.freeze()
    acceptor.start()
    heartbeat = Heartbeat(node, "serve")
    heartbeat.start()
    while not is_asked_to_stop(config_file, WATCH_INTERVAL_S):
        if os.getppid() != supervisor or not acceptor.alive or heartbeat.is_outdated:
            break
        config_file.current  # noqa: B018 - a changed file is taken over, or complained of, also when nobody calls
        _take_certificates_over(entrances)
        _seal_idle_journals(node)
        refusals.flush(node)
    heartbeat.stop()
    acceptor.stop(DRAIN_S)
    refusals.flush(node, all_of_them=True)
    releasing.wait()
    node.close()


def _take_certificates_over(entrances: Sequence[Entrance]) -> None:
    """Read a certificate and key that were replaced, also when nobody calls: what is wrong with them is logged."""
    for entrance in entrances:
        if entrance.context is not None:
            with suppress(ConfigError):  # those from the start are still there
                entrance.context()


def _seal_idle_journals(node: Node) -> None:
    """Let the volumes place what was received a while ago."""
    for volume in node.volumes.values():
        try:
            volume.seal_if_idle()
        except MedserverError as error:
            logger.error(Event("volume", volume=volume.name, problem=str(error)))


def log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """Log what ended a thread by mistake; its connection has been closed on the way."""
    logger.error(
        "a thread ended", exc_info=(failure.exc_type, failure.exc_value, failure.exc_traceback)
    )
