"""Who shares an index, and who has its lock, read without opening the index: also while nobody else may."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from medserver.index.database.opening import clock_of, migrate, open_backend
from medserver.index.nodes.fence import Lock, LockTable
from medserver.index.nodes.records import NodeRecord
from medserver.index.nodes.table import NodeTable


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen.

    Parameters
    ----------
    nodes : tuple of NodeRecord
        The nodes.
    lock : Lock
        The lock.
    now : datetime
        The present moment, by the clock of the database.
    """

    nodes: tuple[NodeRecord, ...]
    lock: Lock
    now: datetime

    @property
    def problem(self) -> str | None:
        """Why nobody can write; None if everybody can."""
        is_locked = self.lock.is_incomplete or (self.lock.work is not None and not self.lock.is_left(self.now))
        return self.lock.problem if is_locked else None


def look_at_nodes(url: str, base: Path) -> Sight:
    """Return who shares an index.

    Raises
    ------
    IndexFailure
        The database cannot be read.
    """
    backend = open_backend(url, base)
    clock = clock_of(backend)
    table = LockTable(backend, clock)
    try:
        with closing(backend.connect()) as connection:
            is_there = table.exists(connection)
        if not is_there:
            migrate(backend, base)
        with closing(backend.connect()) as connection:
            lock = table.read(connection)
            return Sight(tuple(NodeTable(backend).all(connection)), lock, clock())
    except backend.errors as error:
        raise backend.failure(error) from error
