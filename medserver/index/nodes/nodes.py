"""The nodes that share an index: who they are, and when they were last heard of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from medserver.errors import BadUsage
from medserver.index.database.access import Access
from medserver.index.nodes.records import NodeRecord
from medserver.index.nodes.table import NodeTable
from medserver.index.nodes.topology import problem_of


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
        self._table = NodeTable(access.backend)

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
            every, serves = self._table.all(connection), node.serves
            for other in every:
                is_same = other.uuid == node.uuid
                if other.machine != node.machine and other.is_heard(now) and (is_same or backend.name == "sqlite"):
                    raise NodeRuns(_running(other, is_same))
                if is_same:
                    serves = serves.completed(other.serves)
            # One host on SQLite: what another one has left was brought here with the database.
            others = [one for one in every if backend.name != "sqlite" or one.machine == node.machine]
            if (problem := problem_of(replace(node, serves=serves), others)) is not None:
                raise BadUsage(problem)
            for uuid in {node.uuid, *(one.uuid for one in every if one not in others)}:
                self._table.remove(connection, uuid)
            self._table.add(connection, node, serves, now)

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
        self._access.writer.run(lambda connection: self._table.beat(connection, node.uuid, serves, now))
        return problem_of(replace(node, serves=serves), others)

    def list(self) -> list[NodeRecord]:
        """Return all nodes."""
        return self._access.read(self._table.all)

    def volumes(self) -> set[str]:
        """Return the names of the volumes that any node has."""
        return {name for node in self.list() for name in node.serves.volumes}

    def forget(self, uuid: str) -> bool:
        """Forget a node that is gone for good; False if there is none of this UUID.

        Raises
        ------
        BadUsage
            It runs.
        """
        now = self._access.clock()

        def perform(connection: Any) -> bool:
            found = [node for node in self._table.all(connection) if node.uuid == uuid]
            if any(node.is_heard(now) for node in found):
                raise BadUsage(f"{found[0].name} runs: stop it before")
            self._table.remove(connection, uuid)
            return bool(found)

        return self._access.writer.run(perform)


def _running(other: NodeRecord, is_same: bool) -> str:
    if is_same:
        return (
            f"this node runs on {other.name} as well: if its data folder was copied, remove the file 'node' from the "
            "copy; if the machine has crashed, wait half a minute"
        )
    return f"{other.name} uses this index as well: an index that several hosts share has to be in PostgreSQL"
