"""Which node and which process this is, so that others can tell us from everybody else, also after we have died.

A node has a UUID, in a file of its data folder: it stays the same however the host is called and whichever container it
runs in. A process is known by the machine, as long as that runs (the boot ID of its kernel), the namespace of its
process ID, the ID, and when it was started: host names are given twice, and process IDs again and again.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

from medserver import modes
from medserver.errors import StoreFailure

FILE_NAME = "node"
"""The file, in the data folder, of the UUID of the node."""

_SEPARATOR = ":"
_START_TIME = 19
"""Where the start of a process stands in its ``stat``, behind its name: field 22, in ticks since the boot."""


class Process(NamedTuple):
    """A process, as it is written to where others see it.

    Parameters
    ----------
    node : str
        The UUID of its node.
    machine : str
        The boot ID of the kernel, or the node where there is none.
    namespace : str
        Where its process ID means something.
    process_id, started : str
        Its ID, and when it was started.
    """

    node: str
    machine: str
    namespace: str
    process_id: str
    started: str

    def __str__(self) -> str:
        return _SEPARATOR.join(self)

    @property
    def is_here(self) -> bool:
        """Whether its ID means something in this process."""
        return (self.machine, self.namespace) == (machine(self.node), _namespace())

    @property
    def is_gone(self) -> bool:
        """Whether it ran where we run, and does not any more; False if that cannot be known."""
        return self.is_here and _start_of(self.process_id) != self.started


def this_process(data: Path) -> Process:
    """Return what this process is, whose data folder is given. Raises as `node_uuid`."""
    node = node_uuid(data)
    return Process(node, machine(node), _namespace(), str(os.getpid()), _start_of("self"))


def process_of(owner: str) -> Process | None:
    """Return the process whose name, perhaps with more behind it, is given; None if it is not one of today's names."""
    parts = owner.split(_SEPARATOR)
    return Process(*parts[: len(Process._fields)]) if len(parts) >= len(Process._fields) else None


def is_dead(owner: str, process: Process) -> bool:
    """Tell whether a process does not run any more, by its name, perhaps with more behind it; False if unknown.

    Parameters
    ----------
    owner : str
        Its name.
    process : Process
        This process, whose node is registered: there is none with its UUID on another machine.
    """
    other = process_of(owner)
    if other is None:
        return False
    return other.is_gone or (other.node == process.node and other.machine != process.machine)


def node_uuid(data: Path) -> str:
    """Return the UUID of the node with a data folder; it is made with its first use.

    Raises
    ------
    StoreFailure
        It cannot be read or written, or is damaged.
    """
    path = data / FILE_NAME
    try:
        modes.make_directories(data)
        if not path.exists():
            _make(path)
        return str(UUID(path.read_text(encoding="ascii").strip()))
    except OSError as error:
        raise StoreFailure(f"{path}: {error.strerror}") from error
    except ValueError:
        raise StoreFailure(f"{path} holds no UUID: remove it, and this is a new node") from None


def host_name() -> str:
    """Return what people call this machine."""
    return socket.gethostname()


def machine(node: str) -> str:
    """Return what no other machine has, and this one not after its next boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return node


def _make(path: Path) -> None:
    """Make the file as a whole; another process or thread may be quicker."""
    made = uuid4()
    temporary = path.with_name(f"{FILE_NAME}.{made}")
    descriptor = modes.create(temporary, os.O_WRONLY)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{made}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        modes.flush_directory(path.parent)
    finally:
        os.unlink(temporary)


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "-"


def _start_of(process_id: str) -> str:
    """Return when a process was started; empty if there is none."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[_START_TIME]
