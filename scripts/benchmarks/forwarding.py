"""What is received goes on to another AE by a rule: how soon, and how fast."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from scripts.benchmarks import clients
from scripts.benchmarks.candidates import MEDSERVER, Candidate
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from tests.peers import PeerFailed
from tests.peers.dcmtk_servers import StoreSCP

SINGLE_IMAGES = 20
PATIENCE_S = 120
LOOK_EVERY_S = 0.002

LUA = """
function OnStoredInstance(instanceId, tags, metadata, origin)
   SendToModality(instanceId, 'storescp')
end
"""


class Forwarding(Stage):
    """A server that sends everything on to a storescp."""

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the images that arrive in a second, or the median of the delays of single images [ms]."""
        with ExitStack() as stack:
            sink, running = self._started(candidate, stack)
            paths = self.material.study(cell.subject or "CT").paths
            if cell.operation == "delay":
                return statistics.median(_delays_ms(running, sink, paths[:SINGLE_IMAGES]))
            paths = paths[: int(cell.operation)]
            begin = time.perf_counter()
            clients.store(running.address, [paths])
            sink.wait_for(len(paths))
            return len(paths) / (time.perf_counter() - begin)

    def _started(self, candidate: str, stack: ExitStack) -> tuple[Sink, Candidate]:
        sink = Sink(self.folder / f"sink-{next(self._numbers)}", stack)
        settings: dict[str, object] = {"route all.to": "STORESCP"}
        if candidate != MEDSERVER:
            script = self.folder / "forward.lua"
            script.write_text(LUA)
            settings = {"LuaScripts": [str(script)]}
        running = self.start(candidate, stack, sink.storescp.address, settings)
        running.settle()
        return sink, running


def _delays_ms(running: Candidate, sink: Sink, paths: Iterable[Path]) -> Iterator[float]:
    """Yield the time from success to the arrival of each of some images, sent one by one on one association."""
    client = AE("STORESCU")
    client.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    remote = running.address
    association = client.associate(remote.host, remote.port, ae_title=remote.ae_title)
    try:
        for count, path in enumerate(paths, start=1):
            answer = association.send_c_store(path)
            begin = time.perf_counter()
            if answer.get("Status") != 0x0000:
                raise PeerFailed(f"an image was not taken: {answer}")
            sink.wait_for(count)
            yield (time.perf_counter() - begin) * 1000
    finally:
        association.release()


class Sink:
    """A storescp, and what has arrived there."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder / "received"
        self._folder.mkdir(parents=True)
        self.storescp = StoreSCP("STORESCP", self._folder, (*StoreSCP.DEFAULT_OPTIONS, "--quiet"))
        stack.callback(self.storescp.server.kill)
        self.storescp.server.wait_for_port(self.storescp.address)

    def count(self) -> int:
        """Return how many files there are."""
        return len(os.listdir(self._folder))

    def wait_for(self, count: int) -> None:
        """Wait until there are so many."""
        pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
        while self.count() < count:
            if time.monotonic() > deadline:
                raise PeerFailed(f"{self.count()} of {count} images have arrived")
            pause.wait(LOOK_EVERY_S)
