"""Whose turn it is among the jobs of one lane and order key: at most one of them is `ready` or runs.

Who changes which jobs there are takes the lock of the order key first. Otherwise one transaction could add a job
behind another one while a second transaction removes that, and neither would make it ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from medserver.index.database.backend import Backend


class OrderKey(NamedTuple):
    """What jobs have in common that are done one after the other."""

    kind: str
    destination: str
    order_key: str


_SAME = "other.kind = {0}kind AND other.destination = {0}destination AND other.order_key = {0}order_key"

IS_READY = (
    "CASE WHEN order_key <> '' AND ("
    f"EXISTS (SELECT 1 FROM jobs AS other WHERE {_SAME.format('jobs.')} AND other.order_key <> '' "
    "AND other.state = 'running' AND other.id <> jobs.id) OR "
    f"EXISTS (SELECT 1 FROM jobs AS other WHERE {_SAME.format('jobs.')} AND other.order_key <> '' "
    "AND other.state = 'waiting' AND other.id < jobs.id)) THEN 0 ELSE 1 END"
)
"""Whether a row of jobs has nobody before it; to be used where that row is changed."""

_KEY = "kind = ? AND destination = ? AND order_key = ? AND order_key <> ''"


class Order:
    """Keeps `ready` true.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._any = backend.sql(
            f"SELECT 1 FROM jobs WHERE {_KEY} AND state = 'waiting' "
            f"UNION ALL SELECT 1 FROM jobs WHERE {_KEY} AND state = 'running' LIMIT 1"
        )
        self._promote = backend.sql(
            "UPDATE jobs SET ready = 1 WHERE ready = 0 "
            f"AND id = (SELECT MIN(id) FROM jobs WHERE {_KEY} AND state = 'waiting') "
            f"AND NOT EXISTS (SELECT 1 FROM jobs WHERE {_KEY} AND state = 'running')"
        )
        self._demote = backend.sql(
            f"UPDATE jobs SET ready = 0 WHERE {_KEY} AND state = 'waiting' AND ready = 1 "
            f"AND id > (SELECT MIN(id) FROM jobs WHERE {_KEY} AND state = 'waiting')"
        )

    def lock(self, connection: Any, keys: Iterable[OrderKey]) -> list[OrderKey]:
        """Lock those of the keys that are not empty, always in the same order, and return them."""
        ordered = sorted({key for key in keys if key.order_key})
        for key in ordered:
            self._backend.lock(connection, "\n".join(("job", *key)))
        return ordered

    def has_any(self, connection: Any, key: OrderKey) -> bool:
        """Whether a job of a key that is locked waits or runs."""
        return bool(connection.execute(self._any, (*key, *key)).fetchall())

    def promote(self, connection: Any, keys: Iterable[OrderKey]) -> None:
        """Let the oldest job that waits be ready, for keys that are locked and from which jobs have gone."""
        for key in keys:
            connection.execute(self._promote, (*key, *key))

    def renew(self, connection: Any, keys: Iterable[OrderKey]) -> None:
        """Do the same for keys to which old jobs have come back."""
        for key in keys:
            connection.execute(self._demote, (*key, *key))
            connection.execute(self._promote, (*key, *key))
