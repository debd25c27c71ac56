"""What a node holds at a moment, seen from outside: through /proc and in its folders."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from medserver.config import ConfigFile
from tests.peers.node import Node
from tests.peers.proc import children_of, start_time_of

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ESTABLISHED, _CLOSE_WAIT = "01", "08"

# The index keeps a few connections to its database open once they were needed, the journal its active segment, and
# each process the lock on its folder for what is being received, and the folder of the volume: none grows with what
# peers do.
_KEPT_FILES = ("/index.db", "/journal/", "/lock")
_KEPT_FOLDER = "/data/store"


WAKING_THREADS = 2
"""Each acceptor process starts the thread that tells workers of jobs with its first job, and keeps it."""


@dataclass(frozen=True)
class Residue:
    """What could be left behind by an attack.

    Attributes
    ----------
    threads, descriptors : int
        Of all processes of the node.
    connections : int
        TCP connections at its port that are not closed on both sides.
    temporary_files : int
        In the folders of what is being received.
    resident_bytes : int
        Memory of all its processes.
    """

    threads: int
    descriptors: int
    connections: int
    temporary_files: int
    resident_bytes: int

    @classmethod
    def of(cls, node: Node) -> Residue:
        """Look at a running node."""
        processes = [Path(f"/proc/{process_id}") for process_id, _ in processes_of(node)]
        return cls(
            threads=sum(_count(process / "task") for process in processes),
            descriptors=sum(map(_count_descriptors, processes)) - _count_index_connections(node),
            connections=_count_connections(node.address.port),
            temporary_files=sum(1 for _ in node.data.glob("*/incoming/**/*.part")),
            resident_bytes=sum(map(_resident_bytes, processes)),
        )

    def excess(self, before: Residue, memory_allowance_bytes: int) -> dict[str, tuple[int, int]]:
        """Return what is more than it was before, with both values."""
        allowed = {"resident_bytes": memory_allowance_bytes, "threads": WAKING_THREADS}
        return {
            name: (getattr(before, name), getattr(self, name))
            for name in self.__dataclass_fields__
            if getattr(self, name) > getattr(before, name) + allowed.get(name, 0)
        }


def processes_of(node: Node) -> list[tuple[int, int | None]]:
    """Return process ID and start time of the supervisor and its children; the two name a process for ever."""
    supervisor = node.server.process.pid
    return [(process_id, start_time_of(process_id)) for process_id in sorted((supervisor, *children_of(supervisor)))]


def acceptors_of(node: Node) -> list[int]:
    """Return the process IDs of those that hold the listening socket, without the supervisor."""
    inodes = {
        fields[9] for fields in _tcp_table() if fields[1].endswith(f":{node.address.port:04X}") and fields[3] == "0A"
    }
    holders = {f"socket:[{inode}]" for inode in inodes}
    children = [process_id for process_id, _ in processes_of(node) if process_id != node.server.process.pid]
    return [one for one in children if holders & set(_descriptors(Path(f"/proc/{one}")))]


def descriptors_of(node: Node) -> list[str]:
    """Return what every descriptor of every process is open on, for people."""
    return [
        f"{process_id} {target}"
        for process_id, _ in processes_of(node)
        for target in sorted(_descriptors(Path(f"/proc/{process_id}")))
    ]


def _count(directory: Path) -> int:
    return len(os.listdir(directory))


def _descriptors(process: Path) -> list[str]:
    targets = []
    for link in (process / "fd").iterdir():
        with suppress(OSError):  # closed since
            targets.append(os.readlink(link))
    return targets


def _count_descriptors(process: Path) -> int:
    return sum(
        not target.endswith(_KEPT_FOLDER) and not any(part in target for part in _KEPT_FILES)
        for target in _descriptors(process)
    )


def _count_index_connections(node: Node) -> int:
    """Return how many connections to PostgreSQL it has: like those to a file, a few stay open once they were needed."""
    url = ConfigFile(node.config).current.index.url
    if not url.startswith("postgresql://"):
        return 0
    with psycopg.connect(url) as connection:
        statement = (
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return connection.execute(statement).fetchone()[0]


def _resident_bytes(process: Path) -> int:
    return int((process / "statm").read_text().split()[1]) * _PAGE_BYTES


def _tcp_table() -> list[list[str]]:
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]


def _count_connections(port: int) -> int:
    local = f":{port:04X}"
    return sum(
        fields[1].endswith(local) and fields[3] in (_ESTABLISHED, _CLOSE_WAIT) for fields in _tcp_table()
    )
