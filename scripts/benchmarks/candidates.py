"""The servers that are compared, each with what it has by default and on a disk of its own.

Where a default only limits the network, the peers get the better value: PDUs of 128 KiB and, but for the cells
with default sockets, no Nagle algorithm (see `stage`). Orthanc is configured as Debian ships it, with its index
and its fsync.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.peers import Address
from tests.peers.dcmtk_servers import QueryRetrieveSCP, StoreSCP
from tests.peers.node import REPOSITORY
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.proc import children_of, is_alive
from tests.peers.process import Server, run, wait_until

MEDSERVER, ORTHANC, STORESCP, DCMQRSCP = "medserver", "Orthanc", "storescp", "dcmqrscp"

SHA256SUM, CP, GDCMCONV = "sha256sum", "cp", "gdcmconv"
"""What medserver is compared with that is no server."""

SCRIPT = "numpy script"
"""What somebody writes with numpy and scipy, see `bare`."""

ALONE, RAW, UNCOMPRESSED = "without replica", "uncompressed of that size", "uncompressed"
"""Itself, otherwise."""

SETTLE_INTERVAL_S, SETTLE_MAX_S = 0.25, 10.0
SETTLED_CPU = 0.05
"""A server has settled when it uses less of a core than this."""

_SCHEDULED = 2
"""The kind of the clock of a process that clock_getcpuclockid(3) returns, which Python has for threads only."""

ORTHANC_DEFAULTS = {
    "SyncStorageArea": True,
    "StableAge": 60,
    "SaveJobs": True,
    "DicomAssociationCloseDelay": 5,
    "DicomAlwaysAllowFind": True,
    "DicomAlwaysAllowMove": True,
}
"""What differs from the configuration of the tests, which has a faster and less durable Orthanc."""


@dataclass(frozen=True)
class Candidate:
    """A running server.

    Attributes
    ----------
    name : str
        Its name in the tables.
    address : Address
        Where it listens.
    server : Server
        Its process.
    """

    name: str
    address: Address
    server: Server

    def process_ids(self) -> list[int]:
        """Return its processes: the one that was started, and its children."""
        parent = self.server.process.pid
        return [parent, *children_of(parent)] if is_alive(parent) else []

    def cpu_s(self) -> float:
        """Return the seconds that its processes have run so far, with the threads of them that have ended."""
        return sum(map(_cpu_s, self.process_ids()))

    def settle(self) -> None:
        """Wait until it has nothing more to do: one that has just started is not at its best yet."""
        pause = threading.Event()
        deadline = time.monotonic() + SETTLE_MAX_S
        last = self.cpu_s()
        while not pause.wait(SETTLE_INTERVAL_S) and time.monotonic() < deadline:
            before, last = last, self.cpu_s()
            if last - before < SETTLED_CPU * SETTLE_INTERVAL_S:
                return

    def end(self) -> None:
        """Kill it, and wait until none of its processes can write any more."""
        process_ids = self.process_ids()
        self.server.kill()
        wait_until(lambda: not any(map(is_alive, process_ids)), what=f"the end of {self.name}")


def start(
    name: str,
    folder: Path,
    stack: ExitStack,
    destination: Address | None = None,
    settings: Mapping[str, object] | None = None,
    echo_options: Sequence[str] = (),
) -> Candidate:
    """Start a candidate with an empty store, and wait until it answers a C-ECHO.

    Parameters
    ----------
    name : str
        A key of `STARTERS`.
    folder : Path
        Made here; its store and its log.
    stack : ExitStack
        Kills it, with all its processes, when it is closed.
    destination : Address, optional
        The destination of C-MOVE requests.
    settings : mapping of str to object, optional
        Options that are not as shipped: of medserver 'section.option' to value, of Orthanc those of its file.
    echo_options : sequence of str
        Options of the echoscu that looks whether it answers.
    """
    folder.mkdir(parents=True)
    candidate = STARTERS[name](folder, destination, settings or {})
    stack.callback(candidate.end)
    candidate.server.wait_for_port(candidate.address, deadline_s=60)
    title, port, host = candidate.address
    run(["echoscu", "-q", *echo_options, "-aec", title, host, str(port)]).check()
    candidate.settle()
    return candidate


def start_destination(folder: Path, stack: ExitStack) -> Address:
    """Start a storescp that throws away what it receives, and return where it is."""
    folder.mkdir(parents=True)
    options = ("--accept-all", "--promiscuous", "--ignore", "--quiet")
    destination = StoreSCP("STORESCP", folder, options)
    stack.callback(destination.server.kill)
    destination.server.wait_for_port(destination.address)
    return destination.address


def _cpu_s(process_id: int) -> float:
    """Return the seconds that a process has run; 0 if it is gone."""
    try:
        return time.clock_gettime(~process_id << 3 | _SCHEDULED)
    except OSError:
        return 0.0


def _start_medserver(folder: Path, destination: Address | None, settings: Mapping[str, object]) -> Candidate:
    address = Address("MEDSERVER", free_port())
    settings = {"node.port": address.port, "node.data": folder / "data", **settings}
    if destination is not None:
        settings["ae STORESCP.address"] = f"{destination.host}:{destination.port}"
    options = [text for path, value in settings.items() for text in ("--set", f"{path}={value}")]
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    server = Server(
        [sys.executable, "-m", "medserver", "--config", REPOSITORY / "config.ini", *options, "serve"],
        log=folder / "serve.log",
        environment={"PYTHONPATH": os.pathsep.join(paths)},
        directory=folder,
    )
    return Candidate(MEDSERVER, address, server)


def _start_orthanc(folder: Path, destination: Address | None, settings: Mapping[str, object]) -> Candidate:
    remotes = {} if destination is None else {"storescp": destination}
    orthanc = Orthanc(folder, remotes=remotes, options={**ORTHANC_DEFAULTS, **settings})
    return Candidate(ORTHANC, orthanc.address, orthanc.server)


def _start_storescp(folder: Path, destination: Address | None, settings: Mapping[str, object]) -> Candidate:
    received = folder / "received"
    received.mkdir()
    storescp = StoreSCP("STORESCP", received, (*StoreSCP.DEFAULT_OPTIONS, "--quiet"))
    return Candidate(STORESCP, storescp.address, storescp.server)


def _start_dcmqrscp(folder: Path, destination: Address | None, settings: Mapping[str, object]) -> Candidate:
    remotes = [] if destination is None else [destination]
    dcmqrscp = QueryRetrieveSCP("DCMQRSCP", folder, remotes, ("--quiet",))
    return Candidate(DCMQRSCP, dcmqrscp.address, dcmqrscp.server)


STARTERS: Mapping[str, Callable[[Path, Address | None, Mapping[str, object]], Candidate]] = {
    MEDSERVER: _start_medserver,
    ORTHANC: _start_orthanc,
    STORESCP: _start_storescp,
    DCMQRSCP: _start_dcmqrscp,
}
