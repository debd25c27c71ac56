"""The table of nodes: its SQL. Every method works in a transaction of its caller."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from peewee import Query

from medserver.index.database.backend import Backend
from medserver.index.database.models import Nodes
from medserver.index.database.moments import from_text, to_text
from medserver.index.database.statements import PARAMETER, insertion, statement
from medserver.index.nodes.records import HEARTBEAT_INTERVAL_S, NodeRecord, Serves

_COLUMNS = ("uuid", "name", "machine", "role", "serves", "started_at", "heartbeat_at")


class NodeTable:
    """The table of nodes.

    Parameters
    ----------
    backend : Backend
        The database.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @statement
    def _all(self) -> Query:
        return Nodes.select(*(getattr(Nodes, name) for name in _COLUMNS)).order_by(Nodes.name, Nodes.uuid)

    @statement
    def _delete(self) -> Query:
        return Nodes.delete().where(Nodes.uuid == PARAMETER)

    @statement
    def _insert(self) -> Query:
        return insertion(Nodes, _COLUMNS)

    @statement
    def _beat(self) -> Query:
        is_old = (Nodes.heartbeat_at < PARAMETER) | (Nodes.heartbeat_at > PARAMETER) | (Nodes.serves != PARAMETER)
        beaten = Nodes.update({Nodes.heartbeat_at: PARAMETER, Nodes.serves: PARAMETER})
        return beaten.where((Nodes.uuid == PARAMETER) & is_old)

    def all(self, connection: Any) -> list[NodeRecord]:
        """Return all nodes."""
        return [_node(row) for row in connection.execute(self._all).fetchall()]

    def add(self, connection: Any, node: NodeRecord, serves: Serves, now: datetime) -> None:
        """Add a node that starts now."""
        identity = (node.uuid, node.name, node.machine, node.role)
        connection.execute(self._insert, (*identity, serves.text(), to_text(now), to_text(now)))

    def remove(self, connection: Any, uuid: str) -> None:
        """Remove a node."""
        connection.execute(self._delete, (uuid,))

    def beat(self, connection: Any, uuid: str, serves: Serves, now: datetime) -> None:
        """Note that a node lives, and what it works with, unless the same was noted a moment ago."""
        recent = to_text(now - timedelta(seconds=HEARTBEAT_INTERVAL_S / 2))
        noted = (to_text(now), serves.text())
        connection.execute(self._beat, (*noted, uuid, recent, *noted))


def _node(row: Sequence[Any]) -> NodeRecord:
    serves = Serves(**json.loads(row[4]))
    return NodeRecord(*row[:4], serves, from_text(row[5]), from_text(row[6]))
