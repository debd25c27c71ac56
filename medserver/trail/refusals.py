"""Refusals that anybody can cause at full speed: the first of a kind are recorded one by one, the others counted."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from medserver.audit import Actor, events
from medserver.audit.codes import Code
from medserver.errors import MedserverError
from medserver.node import Node
from medserver.trail.recording import node_actor, record

WITHIN_S = 60.0
SINGLE_MAX = 5
"""So many refusals of a kind within that time are messages of their own; then there is one, with their number."""

KINDS_MAX = 200
"""So many kinds are told apart within that time; the others are counted together."""


@dataclass
class _Count:
    began_at: float
    single: int = 0
    further: int = 0


class Refusals:
    """Counts refusals by who was refused, and why. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[Actor, Code, str], _Count] = {}

    def note(self, node: Node, who: Actor, event_type: Code, why: str) -> None:
        """Record a refusal, or count it with others of its kind."""
        now = time.monotonic()
        with self._lock:
            key = (who, event_type, why)
            if key not in self._counts and len(self._counts) >= KINDS_MAX:
                key = (Actor(), event_type, "refusals of many others")
            count = self._counts.setdefault(key, _Count(now))
            if count.single >= SINGLE_MAX or not who:
                count.further += 1
                return
            count.single += 1
        _record(node, who, event_type, why)

    def flush(self, node: Node, *, all_of_them: bool = False) -> None:
        """Record the numbers of those of which a minute is over; or of all, because this process ends."""
        now = time.monotonic()
        with self._lock:
            due = [key for key, count in self._counts.items() if all_of_them or now - count.began_at >= WITHIN_S]
            counts = {key: self._counts.pop(key) for key in due}
        for (who, event_type, why), count in counts.items():
            if count.further:
                _record(node, who, event_type, f"{why}: {count.further} times more")


def _record(node: Node, who: Actor, event_type: Code, why: str) -> None:
    ours = node_actor(node.config.current)
    subject = who.address or ours.address
    performers = [who] if who.ae_title or who.user else []
    alert = events.security_alert(ours, event_type, subject, why, performers=performers)
    try:
        record(node, [alert])
    except MedserverError:
        pass  # it is refused anyway, and the log has it


refusals = Refusals()
"""Those of this process."""
