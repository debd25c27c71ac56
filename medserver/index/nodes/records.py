"""A node as it stands in the index."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

HEARTBEAT_INTERVAL_S = 5.0
SILENT_AFTER_S = 30.0
"""A node that has not been heard of for so long does not run, or has lost the database."""


@dataclass(frozen=True, slots=True)
class Serves:
    """What a node works with, as far as others are concerned.

    Parameters
    ----------
    volumes : dict of str to str
        Its volumes: for each name what no other volume has, its UUID or, where it has none, where it is. Empty if that
        cannot be known, for it is away.
    primary : str
        The name of that which gets what is received; its journal lies on it.
    copies_before_success : int
        On how many volumes an object is before success is answered.
    processes : int
        How many processes receive; 0: it performs jobs only.
    """

    volumes: dict[str, str] = field(default_factory=dict)
    primary: str = ""
    copies_before_success: int = 1
    processes: int = 0

    def completed(self, before: Serves) -> Serves:
        """Return the same, with what was known before of volumes of which nobody knows now what they are."""
        known = {name: what or before.volumes.get(name, "") for name, what in self.volumes.items()}
        return replace(self, volumes=known)

    def text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node.

    Parameters
    ----------
    uuid : str
        See `host.node_uuid`.
    name : str
        What people call its machine.
    machine : str
        Which machine, since its last boot.
    role : str
        ``serve``, or ``worker`` for one that performs jobs only.
    serves : Serves
        What it works with.
    started_at, heartbeat_at : datetime or None
        When it was started, and last heard of, by the clock of the database.
    """

    uuid: str
    name: str
    machine: str
    role: str
    serves: Serves
    started_at: datetime | None = None
    heartbeat_at: datetime | None = None

    def is_heard(self, now: datetime) -> bool:
        """Whether it runs, as far as anybody can tell; a heartbeat in the future was written by a wrong clock."""
        return self.heartbeat_at is not None and abs(now - self.heartbeat_at) < timedelta(seconds=SILENT_AFTER_S)
