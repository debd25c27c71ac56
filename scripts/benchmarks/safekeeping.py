"""Copies: what they cost those who send, and how fast they are made and verified beside cp and sha256sum."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path

from medserver.config import ConfigFile
from medserver.node import Node, open_node
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.replication import copy_now
from medserver.safekeeping.seeking import missing_on
from medserver.safekeeping.verification import verify_copies
from medserver.volumes import replace
from scripts.benchmarks import clients
from scripts.benchmarks.candidates import ALONE, CP, MEDSERVER, SHA256SUM
from scripts.benchmarks.cell import Cell
from scripts.benchmarks.stage import Stage
from scripts.benchmarks.storing import Storing
from tests.peers.node import REPOSITORY

NOT_WAITING = Pace(None)
MB = 1e6


class Replicated(Storing):
    """C-STORE into a node that has a replica on the same disk, and into one that has none."""

    def start(self, name, stack, destination=None, settings=None):  # noqa: ANN001, ANN201 - those of Stage
        """Start a node with or without a replica."""
        if name != ALONE:
            settings = {"volume near.path": "near", "volume near.role": "replica"}
        return super().start(MEDSERVER, stack, destination, settings)


class Copying(Stage):
    """A store with one study, verified and copied in this process."""

    def prepare(self, cells: list[Cell]) -> None:
        """Have a study of each modality stored."""
        self._nodes: dict[str, Node] = {}
        for modality in sorted({cell.subject for cell in cells}):
            with ExitStack() as stack:
                running = self.start(MEDSERVER, stack, settings={"jobs.workers": 0})
                clients.store(running.address, self.material.study(modality).parts(4))
                data = running.server.log.parent / "data"
            settings = (f"node.data={data}", "volume near.path=near", "volume near.role=replica")
            node = open_node(ConfigFile(REPOSITORY / "config.ini", settings))
            self.stack.enter_context(closing(node))
            node.primary_volume.place_all()
            self._nodes[modality] = node

    def measure(self, cell: Cell, candidate: str) -> float:
        """Return the bytes that were read or copied in a second."""
        node = self._nodes[cell.subject]
        root = Path(node.primary_volume.root)
        files = [root / path for path in node.primary_volume.walk()]
        for file in files:
            file.read_bytes()
        os.sync()
        work = {MEDSERVER: _verify, SHA256SUM: _sha256sum, CP: _cp}[candidate]
        if candidate == MEDSERVER and cell.operation == "replicate":
            work = _replicate
        began_at = time.perf_counter()
        work(node, files)
        seconds = time.perf_counter() - began_at
        _forget_copies(node)
        return sum(file.stat().st_size for file in files) / MB / seconds


def _verify(node: Node, files: list[Path]) -> None:
    copies = node.index.upkeep.to_verify("main", node.clock())
    assert list(verify_copies(node, copies, NOT_WAITING)) == []


def _sha256sum(node: Node, files: list[Path]) -> None:
    names = "\0".join(map(str, files)).encode()
    subprocess.run(["xargs", "-0", "sha256sum"], input=names, stdout=subprocess.DEVNULL, check=True)


def _replicate(node: Node, files: list[Path]) -> None:
    assert set(copy_now(node, missing_on(node, "near"), node.volumes["near"])) == {None}


def _cp(node: Node, files: list[Path]) -> None:
    """Copy, and wait until it is on the disk: medserver does not say that a copy is there before."""
    copied = Path(node.volumes["near"].root)
    years = sorted({file.relative_to(node.primary_volume.root).parts[0] for file in files})
    copied.mkdir(exist_ok=True)
    subprocess.run(["cp", "-r", *(Path(node.primary_volume.root) / year for year in years), copied], check=True)
    subprocess.run(["sync", "-f", copied], check=True)


def _forget_copies(node: Node) -> None:
    for copy in list(node.index.locations(("near", ""))):
        if copy.volume == "near":
            node.index.release([copy])
    near = node.volumes["near"]
    near.close()
    shutil.rmtree(near.root, ignore_errors=True)
    replace(node.index, near)
