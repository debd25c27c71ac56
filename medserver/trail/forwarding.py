"""Sealed rows are sent to a repository, in their order, and again where they may have been lost.

Syslog has no acknowledgement. What says most is TLS: when our close_notify is answered, the other side has read all
that came before it. So a connection carries a window of rows, and ends with that exchange; then they count as sent.
When the repository cannot be reached afterwards, it may have lost what it had read and not kept: what was sent in the
last ``[audit] resend`` seconds is sent once more. A row may come twice, none is left out.

What becomes of a row for a repository is a table, `TRANSITIONS`: its state follows from two positions that are kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from types import MappingProxyType

from medserver.audit.syslog import syslog_message
from medserver.crash import crash_point
from medserver.errors import ConfigError, MedserverError
from medserver.index import Repository, SealedRow
from medserver.log import Event
from medserver.node import Node
from medserver.trail.links import Link, connect

WINDOW_ROWS = 100
"""So many rows go over a connection."""

RETRY_FIRST_S, RETRY_LONGEST_S = 1.0, 30.0
LOOK_EVERY_S = 1.0

logger = logging.getLogger(__name__)


class RowState(Enum):
    """What a repository has of a row."""

    TO_SEND = "to be sent"
    SENT = "sent"
    CONFIRMED = "sent, and nothing has happened since that could have lost it"


class Happening(Enum):
    """What happens to a row on its way to a repository."""

    WINDOW_CLOSED = "its connection was closed by both sides"
    BREAK = "the repository cannot be reached, or a connection broke"
    AGED = "it was sent long enough ago"


TRANSITIONS: Mapping[tuple[RowState, Happening], RowState] = MappingProxyType(
    {
        (RowState.TO_SEND, Happening.WINDOW_CLOSED): RowState.SENT,
        (RowState.TO_SEND, Happening.BREAK): RowState.TO_SEND,
        (RowState.SENT, Happening.BREAK): RowState.TO_SEND,
        (RowState.SENT, Happening.AGED): RowState.CONFIRMED,
        (RowState.CONFIRMED, Happening.BREAK): RowState.CONFIRMED,
    }
)
"""State and what happens -> the state that follows; what is not here does not happen to a row."""


def state_of(position: int, repository: Repository) -> RowState:
    """Return what a repository has of the row at a position."""
    if position <= repository.confirmed_position:
        return RowState.CONFIRMED
    return RowState.SENT if position <= repository.sent_position else RowState.TO_SEND


class Forwarder:
    """Sends the trail to a repository, in a thread of its own.

    Parameters
    ----------
    node : Node
        What the process works with.
    name : str
        The URL of the repository.
    has_lease : callable
        Tells whether this process is the one that sends.
    open_link : callable
        Takes the URL and the configuration, and connects.
    window_rows : int
        See `WINDOW_ROWS`.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        has_lease: Callable[[], bool],
        *,
        open_link: Callable[..., Link] = connect,
        window_rows: int = WINDOW_ROWS,
    ) -> None:
        self._node = node
        self._name = name
        self._has_lease = has_lease
        self._open_link = open_link
        self._window_rows = window_rows
        self._sent: deque[tuple[float, int]] = deque()  # when what was sent; the oldest first
        self._retry_at, self._retry_s = 0.0, RETRY_FIRST_S
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audit {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    def stop(self) -> None:
        """End as soon as may be."""
        self._ended.set()
        self._woken.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            self._woken.wait(LOOK_EVERY_S)
            self._woken.clear()
            try:
                if not self._ended.is_set() and self._has_lease() and time.monotonic() >= self._retry_at:
                    self.forward()
            except MedserverError as error:
                logger.error(Event("audit repository", repository=self._name, problem=str(error)))
            except Exception:  # a bug: the trail must go on
                logger.exception("the audit trail is not sent to %s", self._name)

    def forward(self) -> int:
        """Send what the repository is to get, and return how many rows were sent.

        Raises
        ------
        IndexFailure
            The index does not work.
        """
        count = 0
        repository = self._known()
        while not self._ended.is_set() and self._has_lease():
            window = self._node.index.audit.page(repository.sent_position, self._window_rows)
            if not window:
                break
            try:
                self._send(window)
            except (OSError, ValueError, ConfigError) as error:  # ssl.SSLError is an OSError
                self._break(repository, error)
                return count
            count += len(window)
            if repository.problem is not None:
                logger.info(Event("audit repository", repository=self._name, state="can be reached again"))
            repository = self._note_sent(repository, window[-1].position)
        self._age(repository)
        return count

    def _known(self) -> Repository:
        known = self._node.index.audit.repositories().get(self._name)
        if known is not None:
            return known
        begins_behind = self._node.index.audit.chain().pruned_position
        return Repository(self._name, begins_behind, begins_behind, None, None)

    def _send(self, window: list[SealedRow]) -> None:
        """Send a window over a connection of its own.

        Raises
        ------
        OSError, ConfigError
            It may not have arrived.
        """
        with self._open_link(self._name, self._node.config.current) as link:
            for each in window:
                link.send(syslog_message(each.row.message, each.row.at, link.local_name))
            crash_point("audit window sent")
            link.finish()
        crash_point("audit window closed")

    def _note_sent(self, repository: Repository, position: int) -> Repository:
        now = time.monotonic()
        self._sent.append((now, position))
        self._retry_s = RETRY_FIRST_S
        changed = replace(repository, sent_position=position, problem=None)
        return self._noted(self._aged(changed, now))

    def _age(self, repository: Repository) -> None:
        """Note what was sent long enough ago."""
        aged = self._aged(repository, time.monotonic())
        if aged != repository:
            self._noted(aged)

    def _aged(self, repository: Repository, now: float) -> Repository:
        confirmed = repository.confirmed_position
        while self._sent and now - self._sent[0][0] >= self._node.config.current.audit.resend:
            confirmed = max(confirmed, self._sent.popleft()[1])
        if not self._sent and repository.sent_position > confirmed and repository.problem is None:
            # sent by another process, or before this one: from now on it ages here
            if self._node.config.current.audit.resend:
                self._sent.append((now, repository.sent_position))
            else:
                confirmed = repository.sent_position
        return replace(repository, confirmed_position=confirmed, confirmed_at=self._node.clock()) if (
            confirmed != repository.confirmed_position
        ) else repository

    def _break(self, repository: Repository, error: Exception) -> None:
        """Begin again behind what is confirmed, after a while."""
        problem = f"{type(error).__name__}: {error}"
        if repository.problem is None:
            logger.error(Event("audit repository", repository=self._name, problem=problem))
        self._sent.clear()
        self._noted(replace(repository, sent_position=repository.confirmed_position, problem=problem))
        self._retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 2, RETRY_LONGEST_S)

    def _noted(self, repository: Repository) -> Repository:
        self._node.index.audit.note_repository(repository)
        return repository
