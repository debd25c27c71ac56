"""Events become rows: in the transaction of what they tell, or in one of their own."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import threading
from collections.abc import Iterable
from functools import lru_cache

from medserver.audit import Actor, AuditEvent, AuditRow, Source, events, rows_of
from medserver.audit.codes import MAJOR_FAILURE, RECORDING_STOPPED
from medserver.config import Config
from medserver.errors import MedserverError, OutOfResources
from medserver.log import Event
from medserver.node import Node

logger = logging.getLogger(__name__)


class _Lost:
    """How many events of this process could not be recorded, and are still to be told of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def add(self, count: int) -> None:
        with self._lock:
            self._count += count

    def take(self) -> int:
        with self._lock:
            count, self._count = self._count, 0
        return count


_lost = _Lost()


def source_of(config: Config) -> Source:
    """Return how messages name this node."""
    source = config.audit.source
    return Source(config.node.ae_title if source == "auto" else source, config.audit.site or "")


def node_actor(config: Config) -> Actor:
    """Return this node as it takes part in events: its AE title, its machine, and the process that our log names."""
    return Actor(config.node.ae_title, _host(), str(os.getpid()))


def this_process_actor() -> Actor:
    """Return who has started this process: the person at the command line."""
    return Actor(address=_host(), user=_user())


def rows(node: Node, told: Iterable[AuditEvent]) -> list[AuditRow]:
    """Return the rows of events that take place now: what is added to a transaction with the jobs that follow."""
    return rows_of(told, node.clock(), source_of(node.config.current))


def record(node: Node, told: Iterable[AuditEvent]) -> None:
    """Record events that have no transaction of their own; durable when it returns.

    What cannot be recorded is an error in the log, and a message of its own as soon as there can be one: how many
    events are missing.

    Raises
    ------
    OutOfResources
        It could not be recorded, and ``[audit] required`` says that then it is not done.
    """
    try:
        told = list(told)
        if not told:
            return
        lost = _lost.take()
        if lost:
            told.append(_recording_failed(node, lost))
        try:
            node.index.audit.add(rows(node, told))
        except MedserverError:
            _lost.add(lost)
            raise
    except MedserverError as error:
        _lost.add(len([each for each in told if each.type is not RECORDING_STOPPED]))
        logger.error(Event("audit trail", problem=str(error), not_recorded=len(told)))
        if node.config.current.audit.required:
            raise OutOfResources("it cannot be recorded in the audit trail") from error


def _recording_failed(node: Node, count: int) -> AuditEvent:
    actor = node_actor(node.config.current)
    text = f"{count} events could not be recorded"
    return events.security_alert(actor, RECORDING_STOPPED, actor.address, text, outcome=MAJOR_FAILURE)


@lru_cache(maxsize=1)
def _host() -> str:
    return socket.gethostname()


def _user() -> str:
    """Return the person as PS3.15 A.5.2.1 wants it: login@domain."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        name = str(os.getuid())
    return f"{name}@{_host()}"
