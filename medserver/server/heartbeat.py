"""A thread that says that the node lives, and finds out that the index has to be opened anew."""

from __future__ import annotations

import logging
import threading

from medserver.errors import MedserverError
from medserver.index.nodes.records import HEARTBEAT_INTERVAL_S
from medserver.log import Event
from medserver.node import Node
from medserver.server.registration import record_of

logger = logging.getLogger(__name__)


class Heartbeat:
    """The heartbeat of one process of the node; the processes write one row, each as if it were alone.

    Parameters
    ----------
    node : Node
        What the process works with; its node is registered.
    role : str
        As for `register`.
    interval_s : float
        How often [s].
    """

    def __init__(self, node: Node, role: str, interval_s: float = HEARTBEAT_INTERVAL_S) -> None:
        self._node = node
        self._role = role
        self._interval_s = interval_s
        self._is_failing = False
        self._problem: str | None = None
        self._is_outdated = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def is_outdated(self) -> bool:
        """Whether the process has to open the index anew: it was rebuilt, restored or migrated, and that is done."""
        return self._is_outdated.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; the connection that the thread may be using is left to `Node.close`."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self.beat()
                self._is_failing = False
            except MedserverError as error:
                if not self._is_failing and not self._ended.is_set():
                    logger.warning(Event("heartbeat", problem=str(error)))
                self._is_failing = True
            except Exception:  # a bug; the node would be taken for dead
                logger.exception("the heartbeat failed")

    def beat(self) -> None:
        """Do it once."""
        if self._node.index.is_outdated():
            self._is_outdated.set()
            return
        problem = self._node.index.nodes.beat(record_of(self._node, self._role))
        if problem is not None and problem != self._problem:
            logger.error(Event("topology", problem=problem))
        self._problem = problem
