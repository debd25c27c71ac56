"""The nodes that share an index: who they are, and when they were last heard of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from medserver.errors import BadUsage
from medserver.index.database.access import Access
from medserver.index.database.backend import Backend
from medserver.index.database.moments import from_text, to_text
from medserver.index.nodes.records import HEARTBEAT_INTERVAL_S, NodeRecord, Serves
from medserver.index.nodes.topology import problem_of

_COLUMNS = "uuid, name, machine, role, serves, started_at, heartbeat_at"


class NodeRuns(BadUsage):
    """The UUID of this node is that of one that was heard of on another machine a moment ago."""


class Nodes:
    """The nodes of an index, `Index.nodes`.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        sql = access.backend.sql
        self._delete = sql("DELETE FROM nodes WHERE uuid = ?")
        self._insert = sql(f"INSERT INTO nodes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)")
        self._beat = sql(
            "UPDATE nodes SET heartbeat_at = ?, serves = ? "
            "WHERE uuid = ? AND (heartbeat_at < ? OR heartbeat_at > ? OR serves <> ?)"
        )

    def register(self, node: NodeRecord) -> None:
        """Enter a node that starts, if it may share the index with those that are there.

        Raises
        ------
        NodeRuns
            Another machine has its UUID, and runs.
        BadUsage
            It may not share the index.
        """
        backend, now = self._access.backend, self._access.clock()

        def perform(connection: Any) -> None:
            backend.lock(connection, "nodes")
            others, serves = self._all(connection), node.serves
            for other in others:
                is_same = other.uuid == node.uuid
                if other.machine != node.machine and other.is_heard(now) and (is_same or backend.name == "sqlite"):
                    raise NodeRuns(_running(other, is_same))
                if is_same:
                    serves = serves.completed(other.serves)
            if backend.name == "sqlite":  # one host: what another one has left was brought here with the database
                others = [other for other in others if other.machine == node.machine]
            if (problem := problem_of(replace(node, serves=serves), others)) is not None:
                raise BadUsage(problem)
            for uuid in {node.uuid} | {other.uuid for other in self._all(connection)} - {one.uuid for one in others}:
                connection.execute(self._delete, (uuid,))
            identity = (node.uuid, node.name, node.machine, node.role, serves.text())
            connection.execute(self._insert, (*identity, to_text(now), to_text(now)))

        self._access.writer.run(perform)

    def beat(self, node: NodeRecord) -> str | None:
        """Say that a node lives, and what it works with now; another of its processes may just have said so.

        Returns
        -------
        str or None
            Why it may not share the index with the others any more: its configuration has changed, for example.
        """
        now = self._access.clock()
        others = self.list()
        [*before] = [other for other in others if other.uuid == node.uuid]
        serves = node.serves.completed(before[0].serves) if before else node.serves
        recent = to_text(now - timedelta(seconds=HEARTBEAT_INTERVAL_S / 2))
        row = (to_text(now), serves.text(), node.uuid, recent, to_text(now), serves.text())
        self._access.writer.run(lambda connection: connection.execute(self._beat, row) and None)
        return problem_of(replace(node, serves=serves), others)

    def list(self) -> list[NodeRecord]:
        """Return all nodes."""
        return self._access.read(self._all)

    def forget(self, uuid: str) -> bool:
        """Forget a node that is gone for good; False if there is none of this UUID.

        Raises
        ------
        BadUsage
            It runs.
        """
        now = self._access.clock()

        def perform(connection: Any) -> bool:
            found = [node for node in self._all(connection) if node.uuid == uuid]
            if any(node.is_heard(now) for node in found):
                raise BadUsage(f"{found[0].name} runs: stop it before")
            connection.execute(self._delete, (uuid,))
            return bool(found)

        return self._access.writer.run(perform)

    def _all(self, connection: Any) -> list[NodeRecord]:
        return read_nodes(self._access.backend, connection)


def read_nodes(backend: Backend, connection: Any) -> list[NodeRecord]:
    """Return all nodes."""
    statement = backend.sql(f"SELECT {_COLUMNS} FROM nodes ORDER BY name, uuid")
    return [_node(row) for row in connection.execute(statement).fetchall()]


def _running(other: NodeRecord, is_same: bool) -> str:
    if is_same:
        return (
            f"this node runs on {other.name} as well: if its data folder was copied, remove the file 'node' from the "
            "copy; if the machine has crashed, wait half a minute"
        )
    return f"{other.name} uses this index as well: an index that several hosts share has to be in PostgreSQL"


def _node(row: Sequence[Any]) -> NodeRecord:
    serves = Serves(**json.loads(row[4]))
    return NodeRecord(*row[:4], serves, from_text(row[5]), from_text(row[6]))
