"""Whose turn it is among the jobs of one lane and order key: at most one of them is `ready` or runs.

Who changes which jobs there are takes the lock of the order key first. Otherwise one transaction could add a job
behind another one while a second transaction removes that, and neither would make it ready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from peewee import SQL, Case, Expression, Model, ModelAlias, Node, Query, fn

from medserver.index.database.backend import Backend
from medserver.index.database.models import Jobs
from medserver.index.database.statements import PARAMETER, statement


class OrderKey(NamedTuple):
    """What jobs have in common that are done one after the other."""

    kind: str
    destination: str
    order_key: str


def is_ready() -> Node:
    """Build the number that tells whether a row of jobs has nobody before it; to be used where that row is changed."""
    other = Jobs.alias()
    same = (other.kind == Jobs.kind) & (other.destination == Jobs.destination) & (other.order_key == Jobs.order_key)
    others = other.select(SQL("1")).where(same & (other.order_key != ""))
    runs = fn.EXISTS(others.where((other.state == "running") & (other.id != Jobs.id)))
    waits = fn.EXISTS(others.where((other.state == "waiting") & (other.id < Jobs.id)))
    return Case(None, [((Jobs.order_key != "") & (runs | waits), 0)], 1)


def _of_key(jobs: type[Model] | ModelAlias, state: str) -> Expression:
    """Build the condition that a job is in a state and has an order key, whose three texts are given."""
    lane = (jobs.kind == PARAMETER) & (jobs.destination == PARAMETER)
    return lane & (jobs.order_key == PARAMETER) & (jobs.order_key != "") & (jobs.state == state)


class Order:
    """Keeps `ready` true.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _any(self) -> Query:
        waiting, running = (Jobs.select(SQL("1")).where(_of_key(Jobs, state)) for state in ("waiting", "running"))
        return waiting.union_all(running).limit(1)

    @statement
    def _promote(self) -> Query:
        first, running = Jobs.alias(), Jobs.alias()
        oldest = first.select(fn.MIN(first.id)).where(_of_key(first, "waiting"))
        runs = fn.EXISTS(running.select(SQL("1")).where(_of_key(running, "running")))
        return Jobs.update({Jobs.ready: 1}).where((Jobs.ready == 0) & (Jobs.id == oldest) & ~runs)

    @statement
    def _demote(self) -> Query:
        first = Jobs.alias()
        oldest = first.select(fn.MIN(first.id)).where(_of_key(first, "waiting"))
        return Jobs.update({Jobs.ready: 0}).where(_of_key(Jobs, "waiting") & (Jobs.ready == 1) & (Jobs.id > oldest))

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
