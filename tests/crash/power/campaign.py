"""A campaign of power cuts: load, cut, start, check, over and over on one store.

Every load is recorded. The power is cut at random moments of it, and at its end: each time is checked, in this process,
that what was acknowledged until then is there. From what the last cut left the node is started, and goes on.
"""

from __future__ import annotations

import random
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import closing

from pydicom.dataset import Dataset

from medserver import crash
from medserver.config import ConfigFile
from medserver.dicom import uids
from medserver.node import open_node
from medserver.scu.normalized import create_instance, proposal, set_instance
from tests.crash.campaign import Campaign, process_ids, wait_a_moment
from tests.crash.load import Load
from tests.crash.power.ledger import Ledger, mark
from tests.crash.power.recorder import VARIABLE
from tests.crash.power.recording import Cut, Recording
from tests.crash.workers import wait_until_well
from tests.hurry import hurried
from tests.peers import PeerFailed
from tests.peers.node import Node
from tests.peers.process import wait_until

STEP = uids.MODALITY_PERFORMED_PROCEDURE_STEP
LOAD_MAX_S = 1.2
IN_PASSING = ("object received", "journal written", "journal flushed", "object sealed", "row committed")
"""Crash points that every object passes: the process dies at a later visit."""


class PowerLoad(Load):
    """The load of a campaign of kills, and modalities that report, and somebody who deletes; all of it is marked."""

    recording: Recording
    deletable: list[str]

    def works(self) -> list[Callable[[threading.Event, random.Random], None]]:
        """Return two more."""
        return [*super().works(), self._report, self._delete]

    def acknowledge(self, study: str, sop_instance_uid: str, digest: str) -> None:
        """Mark it as well."""
        self.recording.acknowledge(mark("instance", study, sop_instance_uid, digest))
        super().acknowledge(study, sop_instance_uid, digest)

    def _report(self, stop: threading.Event, chance: random.Random) -> None:
        association = self.associate("STORESCU", proposal(STEP))
        while not stop.wait(0.05):
            uid = uids.new_uid()
            if create_instance(association, STEP, uid, _step()).code == 0:
                self.recording.acknowledge(mark("step", uid, "IN PROGRESS"))
            if chance.random() < 0.7 and set_instance(association, STEP, uid, _end()).code == 0:
                self.recording.acknowledge(mark("step", uid, "COMPLETED"))
        association.release()

    def _delete(self, stop: threading.Event, chance: random.Random) -> None:
        while self.deletable and not stop.wait(0.3):
            study = self.deletable.pop()
            self.recording.acknowledge(mark("deleting", study))
            command = ("store", "delete", study, "--force", "--reason", "a test")
            if self._node.forked(*command, environment=environment(self.recording)).exit_code == 0:
                self.recording.acknowledge(mark("deleted", study))


class PowerCampaign(Campaign):
    """Cuts the power of one node again and again.

    Parameters
    ----------
    node : Node
        With `workers.OPTIONS`, not started.
    seed : int
        Decides on the load, on the moments and on what each cut leaves.

    Attributes
    ----------
    ledger : Ledger
        What was acknowledged.
    cuts : int
        How many cuts there were, the kills not counted.
    """

    def __init__(self, node: Node, seed: int) -> None:
        super().__init__(node, seed)
        self.load = PowerLoad(node, seed)
        self.ledger = Ledger()
        self.cuts = 0

    def round(self, cuts: int) -> None:
        """Load the node, kill it, and cut its power as often in between, and at the end."""
        self.load.recording = recording = Recording(self.node.directory)
        self.load.deletable = self._random.sample(sorted(self.ledger.instances), min(2, len(self.ledger.instances)))
        point = self._choose_point()
        if self._start(recording, point):
            with self.load.running():
                wait_a_moment(self._random.uniform(0.1, LOAD_MAX_S))
                self.kill_everything()
        self._cut(recording, cuts, point)

    def _start(self, recording: Recording, point: str) -> bool:
        """Start the node; False if it came to its crash point, in what a start does first, and died."""
        try:
            self.node.start(environment=environment(recording) | ({crash.VARIABLE: point} if point else {}))
        except PeerFailed:
            if not point or self.node.server.process.returncode != -signal.SIGKILL:
                raise
            self.kill_everything()
            return False
        wait_until(lambda: len(process_ids(self.node)) >= 4, what="all processes")
        return True

    def _choose_point(self) -> str:
        """Return at which crash point some process dies, and at which visit; empty for none."""
        if self._random.random() < 0.4:
            return ""
        point = self._random.choice([point for point in crash.POINTS if not point.startswith(("index", "backup"))])
        return f"{point}:{self._random.randint(1, 60 if point in IN_PASSING else 4)}"

    def _cut(self, recording: Recording, cuts: int, point: str) -> None:
        for cut in recording.cuts(cuts, self._random.randrange(2**32), at_the_end=1):
            ledger = self.ledger.after(cut.acknowledged)
            is_last = cut.number == cuts
            what = f"round {self.kills}, {cut.what}, crash point {point or 'none'}"
            continued = self.node.directory / "continued"
            if is_last:
                shutil.copytree(cut.folder, continued)
            self._examine(ledger, cut, what, to_the_end=is_last or self._random.random() < 0.25)
            shutil.rmtree(cut.folder)
            self.cuts += 1
        shutil.rmtree(self.node.data)
        (continued / "data").rename(self.node.data)
        continued.rmdir()
        recording.log.unlink()
        self.ledger = ledger

    def finish(self) -> None:
        """Start the node, fetch what it is to have from it, and let it do what is left; it is stopped in order."""
        self.node.start()
        for study, instances in self.ledger.instances.items():
            assert instances.items() <= self.load.fetch(study).items(), study
        wait_until_well(self.node)
        self.check_store()

    def _examine(self, ledger: Ledger, cut: Cut, what: str, *, to_the_end: bool) -> None:
        config = ConfigFile(self.node.config, (f"node.data={cut.folder / 'data'}",))
        with hurried(), closing(open_node(config)) as node:
            ledger.check(node, what, to_the_end=to_the_end)


def environment(recording: Recording) -> dict[str, str]:
    """Return what has a process recorded."""
    return {VARIABLE: f"{recording.log}:{recording.folder}"}


def _step() -> Dataset:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = uids.new_uid()
    step = Dataset()
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PerformedProcedureStepID, step.PerformedStationAETitle = "S1", "STORESCU"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20260131", "101112"
    step.PerformedProcedureStepStatus, step.Modality = "IN PROGRESS", "OT"
    return step


def _end() -> Dataset:
    changes = Dataset()
    changes.PerformedProcedureStepStatus = "COMPLETED"
    changes.PerformedProcedureStepEndDate, changes.PerformedProcedureStepEndTime = "20260131", "102000"
    return changes
