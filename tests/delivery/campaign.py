"""Instances go to three destinations, one of which flaps, while workers are killed: each arrives at each, once."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pydicom

from tests.crash.campaign import kill, process_ids
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.process import wait_until

STEADY = ("ONE", "TWO")
FLAPPING = "FLAPPING"
PATIENCE_S = 300
OPTIONS = {"node.processes": 2}
PROCESSES = 5
"""The supervisor, two acceptors, the placer and the worker."""


def prepare(node: Node, dcmtk: Dcmtk) -> list[StoreSCP]:
    """Start three destinations, and give a node with `OPTIONS` a rule that sends all there; it is not started."""
    found = [dcmtk.start_storescp(title) for title in (*STEADY, FLAPPING)]
    for storescp in found:
        node.add_remote(storescp.address, allow=())
    node.set_section("route all", {"to": ", ".join((*STEADY, FLAPPING))})
    return found


class Campaign:
    """One run.

    Parameters
    ----------
    node : Node
        As `prepare` has left it, started.
    destinations : list of StoreSCP
        What `prepare` has started; the last one flaps.
    chance : random.Random
        Decides on the moments.
    report : callable
        Takes a line now and then.
    """

    def __init__(
        self,
        node: Node,
        destinations: list[StoreSCP],
        chance: random.Random,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._node = node
        self._destinations = destinations
        self._chance = chance
        self._report = report
        self.restarts = self.kills = 0

    def run(self, dcmtk: Dcmtk, samples: list[Sample], *, portion: int, kill_workers: bool) -> None:
        """Send the instances, a portion at a time, while all that goes on."""
        stop = threading.Event()
        trouble = threading.Thread(target=self._trouble, args=(stop, kill_workers))
        trouble.start()
        try:
            for start in range(0, len(samples), portion):
                dcmtk.store(self._node.address, *[one.path for one in samples[start : start + portion]]).check()
                self._report(f"{start + portion} sent, {self.restarts} restarts, {self.kills} kills")
        finally:
            stop.set()
            trouble.join()

    def _trouble(self, stop: threading.Event, kill_workers: bool) -> None:
        while not stop.wait(self._chance.uniform(0.5, 2.0)):
            if kill_workers and self._chance.random() < 0.5:
                processes = process_ids(self._node)
                if len(processes) == PROCESSES:
                    kill(processes[-1])  # started last: that is the worker, whenever all are there
                    self.kills += 1
            else:
                self._destinations[-1].restart()
                self.restarts += 1

    def check(self, samples: list[Sample]) -> None:
        """Everything arrives everywhere, nothing else does, and the outbox is empty."""
        wait_until(self._is_empty, deadline_s=PATIENCE_S, what="an empty outbox")
        expected = sorted(sample.sop_instance_uid for sample in samples)
        for storescp in self._destinations:
            received = sorted(_uid(path) for path in storescp.files())
            assert received == expected, f"{storescp.address.ae_title}: {len(received)} of {len(expected)}"

    def _is_empty(self) -> bool:
        jobs = json.loads(self._node.cli("jobs", "--json").check().output)
        return not [job for job in jobs if job["kind"] in ("route", "hold", "deliver")]


def _uid(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
