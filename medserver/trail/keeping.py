"""The keeper: of all workers of the installation one seals, sends and prunes the trail.

A lease in the row of the chain says which one. That there is one chain does not depend on it: who seals locks the row.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, timedelta
from secrets import token_hex

from medserver.crash import crash_point
from medserver.errors import MedserverError
from medserver.host import is_dead, this_process
from medserver.index.audit.trail import PAGE_ROWS
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.trail.activity import tell_configuration
from medserver.trail.associations import finish_left
from medserver.trail.forwarding import Forwarder

INTERVAL_S = 1.0
"""How often rows are sealed."""

LEASE_S = 10.0
"""After which time another process seals in the place of one that says nothing any more."""

LOOK_FOR_LEFT_S = 5.0
PRUNE_EVERY_S = 60.0
HEAD_EVERY_S = 24 * 3600.0
"""How often the head of the chain is logged: a log that is kept elsewhere proves the trail."""

logger = logging.getLogger(__name__)


class Keeper:
    """Seals, sends and prunes, as long as it has the lease.

    Parameters
    ----------
    node : Node
        What the process works with.
    interval_s : float
        See `INTERVAL_S`.
    """

    def __init__(self, node: Node, interval_s: float = INTERVAL_S) -> None:
        self._node = node
        self._interval_s = interval_s
        self._process = this_process(node.config.current.node.data)
        self.owner = f"{self._process}:{token_hex(6)}"
        self._lease_ends_at = 0.0  # monotonic
        self._left_at = self._prune_at = self._head_at = 0.0
        self._config = None
        self._is_failing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit trail", daemon=True)
        self._forwarders = [
            Forwarder(node, name, self.has_lease) for name in node.config.current.audit.repositories
        ]

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        for forwarder in self._forwarders:
            forwarder.start()

    def stop(self) -> None:
        """End, and let another one go on at once."""
        self._ended.set()
        for forwarder in self._forwarders:
            forwarder.stop()
        if self._thread.is_alive():
            self._thread.join(LEASE_S / 2)
        try:
            if self.has_lease():
                self._lease_ends_at = 0.0
                self._node.index.audit.give_back(self.owner)
        except MedserverError as error:  # it runs out
            logger.debug("%s", error)

    def has_lease(self) -> bool:
        """Tell whether this is the one."""
        return time.monotonic() < self._lease_ends_at

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            try:
                self.keep()
                self._is_failing = False
            except MedserverError as error:
                if not self._is_failing and not self._ended.is_set():
                    logger.error(Event("audit trail", problem=str(error)))
                self._is_failing = True
            except Exception:  # a bug: the trail must go on
                logger.exception("the audit trail is not sealed")

    def keep(self) -> int:
        """Do what is due; return how many rows were sealed."""
        self._look_around()
        if not self._is_wanted() or not self.take_lease():
            return 0
        count = self.seal_all()
        now = time.monotonic()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY_S
            self.prune()
        if now >= self._head_at:
            self._head_at = now + HEAD_EVERY_S
            chain = self._node.index.audit.chain()
            logger.info(Event("audit trail", head=Whole(f"{chain.position}:{chain.digest}")))
        for forwarder in self._forwarders:
            forwarder.wake()
        return count

    def seal_all(self) -> int:
        """Seal what waits for it; return how much that was. To be called with the lease."""
        count = 0
        while sealed := self._node.index.audit.seal(self.owner):
            crash_point("audit rows sealed")
            count += sealed
            if sealed < PAGE_ROWS:
                break
            self.take_lease()
        return count

    def prune(self) -> int:
        """Delete what is older than ``[audit] keep`` and confirmed by every repository; return how many rows."""
        options, audit = self._node.config.current.audit, self._node.index.audit
        if not options.keep:
            return 0
        known = audit.repositories()
        confirmed = [known[name].confirmed_position if name in known else 0 for name in options.repositories]
        oldest = self._node.clock() - timedelta(seconds=options.keep)
        before = oldest.astimezone(UTC).isoformat(timespec="milliseconds")
        kept_behind = min([audit.chain().position, *confirmed])
        count = 0
        while pruned := audit.prune(self.owner, before, kept_behind):
            crash_point("audit rows pruned")
            count += pruned
        return count

    def _look_around(self) -> None:
        """Tell of a changed configuration, and of what associations have carried whose process is gone."""
        config, now = self._node.config.current, time.monotonic()
        if config is not self._config:
            tell_configuration(self._node)
            self._config = config
        if now >= self._left_at:
            self._left_at = now + LOOK_FOR_LEFT_S
            finish_left(self._node)

    def _is_wanted(self) -> bool:
        """Tell whether there is anything to do: a node that does nothing writes nothing."""
        audit, names = self._node.index.audit, self._node.config.current.audit.repositories
        if audit.pending(1) or time.monotonic() >= self._prune_at:
            return True
        if not names:
            return False
        position, known = audit.chain().position, audit.repositories()
        return any(name not in known or known[name].confirmed_position < position for name in names)

    def take_lease(self) -> bool:
        """Have the lease, for some seconds more; False if another process has it."""
        if self._lease_ends_at - time.monotonic() > LEASE_S / 2:
            return True
        audit, asked_at = self._node.index.audit, time.monotonic()
        owner = audit.chain().owner
        if owner is not None and owner != self.owner and is_dead(owner, self._process):
            audit.give_back(owner)
        is_taken = audit.take_lease(self.owner, self._node.clock() + timedelta(seconds=LEASE_S))
        self._lease_ends_at = asked_at + LEASE_S if is_taken else 0.0
        return is_taken


def seal_once(node: Node) -> int:
    """Seal what waits for it, if nobody else does; return how many rows that were.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    keeper = Keeper(node)
    if not keeper.take_lease():
        return 0
    try:
        return keeper.seal_all()
    finally:
        node.index.audit.give_back(keeper.owner)
