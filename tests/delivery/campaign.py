"""Instances go to destinations of every temper while workers are killed and rules change: each arrives at each, once.

*STEADY* takes everything, *FLAPPING* is killed again and again (both are storescp), *SLOW* takes its time, *FULL* has
no resources now and then, *REFUSING* understands one in twenty only when it is asked again. The rule that sends all is
corrected, renamed, and removed and put back: each instance is changed as the rule said when it was received.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from zlib import crc32

import pydicom

from tests.crash.campaign import kill, process_ids
from tests.delivery.store_peer import Destination
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample, make_small
from tests.peers.node import Node
from tests.peers.process import wait_until

STEADY, FLAPPING, SLOW, FULL, REFUSING = "STEADY", "FLAPPING", "SLOW", "FULL", "REFUSING"
PATIENCE_S = 600
OPTIONS = {"node.processes": 2}
PROCESSES = 5
"""The supervisor, two acceptors, the placer and the worker."""

STUDIES = 7
SLOW_S = 0.02
REFUSED_ONE_IN = 20
OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000
RULE, OTHER_NAME = "route all", "route everything"


class Destinations:
    """All of them, started; `close` ends those that are ours.

    Parameters
    ----------
    dcmtk : Dcmtk
        Starts two of them.
    chance : random.Random
        Decides what they answer.
    """

    def __init__(self, dcmtk: Dcmtk, chance: random.Random) -> None:
        self._chance = chance
        self._refused: set[str] = set()
        self._stack = ExitStack()
        self.is_full = False
        self.storescps = {title: dcmtk.start_storescp(title) for title in (STEADY, FLAPPING)}
        answers = {SLOW: self._slowly, FULL: self._unless_full, REFUSING: self._at_the_second_time}
        self.ours = {
            title: self._stack.enter_context(Destination(title, answer)) for title, answer in answers.items()
        }

    @property
    def all(self) -> dict[str, StoreSCP | Destination]:
        """Every destination, by its AE title."""
        return self.storescps | self.ours

    def close(self) -> None:
        """End those that are ours."""
        self._stack.close()

    def _slowly(self, uid: str) -> int:
        del uid
        threading.Event().wait(SLOW_S)
        return 0

    def _unless_full(self, uid: str) -> int:
        del uid
        return OUT_OF_RESOURCES if self.is_full else 0

    def _at_the_second_time(self, uid: str) -> int:
        if uid in self._refused or crc32(uid.encode()) % REFUSED_ONE_IN:
            return 0
        self._refused.add(uid)
        return CANNOT_UNDERSTAND


@contextmanager
def prepared(node: Node, dcmtk: Dcmtk, chance: random.Random) -> Iterator[Destinations]:
    """Start the destinations, and give a node with `OPTIONS` entries for them; it is not started."""
    found = Destinations(dcmtk, chance)
    try:
        for title, one in found.all.items():
            node.add_remote(one.address, allow=(), options={"send_associations": 2} if title == SLOW else None)
        yield found
    finally:
        found.close()


def make_studies(folder: Path, count: int) -> list[Sample]:
    """Write small images of several studies, one of each study after the other."""
    of_studies = [make_small(folder / str(number), -(-count // STUDIES)) for number in range(STUDIES)]
    return [sample for of_one in zip(*of_studies, strict=True) for sample in of_one][:count]


class Campaign:
    """One run.

    Parameters
    ----------
    node : Node
        As `prepared` has left it.
    destinations : Destinations
        Those of `prepared`.
    chance : random.Random
        Decides on the moments.
    report : callable
        Takes a line now and then.

    Attributes
    ----------
    restarts, kills, decisions, changes, resent : int
        How often FLAPPING was killed, a worker was killed, somebody decided on what was refused, and the rule was
        changed; and how many instances were sent to a destination of ours that had taken them.
    """

    def __init__(
        self,
        node: Node,
        destinations: Destinations,
        chance: random.Random,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._node = node
        self._destinations = destinations
        self._chance = chance
        self._report = report
        self._version = 0
        self._section = RULE
        self._expected: dict[str, str] = {}  # SOP Instance UID -> Station Name
        self._lost: set[str] = set()  # what was without a rule for a while
        self.restarts = self.kills = self.decisions = self.changes = self.resent = 0
        self._write_rule()

    def run(self, dcmtk: Dcmtk, samples: list[Sample], *, portion: int) -> None:
        """Send the instances, a portion at a time and each by another rule, while all that goes on."""
        self._node.program("jobs", "pause", "decide").check()  # we decide, and know on what
        stop = threading.Event()
        trouble = threading.Thread(target=self._trouble, args=(stop,))
        trouble.start()
        try:
            for start in range(0, len(samples), portion):
                some = samples[start : start + portion]
                self._expected |= {one.sop_instance_uid: self._station for one in some}
                dcmtk.store(self._node.address, *[one.path for one in some]).check()
                self._report(f"{start + len(some)} sent: {self}")
                self._change_rule()
        finally:
            stop.set()
            trouble.join()

    def __str__(self) -> str:
        return (
            f"{self.changes} changes of the rule, {self.restarts} restarts of one, {self.kills} kills of workers, "
            f"{self.decisions} decisions"
        )

    # The rule

    @property
    def _station(self) -> str:
        return f"V{self._version}"

    @property
    def _to(self) -> str:
        return ", ".join(self._destinations.all)

    def _write_rule(self) -> None:
        self._node.set_section(self._section, {"to": self._to, "set": f"StationName = {self._station}"})

    def _change_rule(self) -> None:
        self.changes += 1
        change = self._chance.choice(["corrected", "renamed", "removed"])
        if change == "corrected":
            self._version += 1
            self._write_rule()
        elif change == "renamed":
            former = self._section
            self._section = OTHER_NAME if former == RULE else RULE
            self._write_rule()
            self._node.remove_section(former)
        else:
            self._node.remove_section(self._section)
            threading.Event().wait(self._chance.uniform(0.5, 2.0))  # some of what waits is looked at meanwhile
            self._write_rule()

    # The trouble

    def _trouble(self, stop: threading.Event) -> None:
        kinds: list[str] = []
        while not stop.wait(self._chance.uniform(0.5, 2.0)):
            if not kinds:  # each has its share, in an order of its own
                kinds = self._chance.sample(["worker", "flapping", "full", "flapping", "full", "decision"], 6)
            what = kinds.pop()
            if what == "worker":
                processes = process_ids(self._node)
                if len(processes) == PROCESSES:
                    kill(processes[-1])  # started last: that is the worker, whenever all are there
                    self.kills += 1
            elif what == "flapping":
                self._destinations.storescps[FLAPPING].restart()
                self.restarts += 1
            elif what == "full":
                self._destinations.is_full = not self._destinations.is_full
            else:
                self._decide()

    def _decide(self) -> None:
        """Have everything tried again that was refused, or had lost its rule: what came later was not held up by it."""
        for state in ("dead", "undecided"):
            chosen = ("--kind", "deliver", "--state", state, "--limit", "1000", "--json")
            listed = json.loads(self._node.program("jobs", "list", *chosen).check().output)
            if listed:
                self._node.program("jobs", "retry", *[str(job["id"]) for job in listed]).check()
            if state == "undecided":
                self._lost |= {job["payload"]["sop_instance_uid"] for job in listed}
        self.decisions += 1

    # The end

    def check(self) -> None:
        """Everything has arrived everywhere, once, in order and as it should be; nothing else; nothing waits."""
        self._destinations.is_full = False
        former = OTHER_NAME if self._section == RULE else RULE  # its versions wait for a rule of their name
        self._node.set_section(former, {"to": self._to, "PatientID": "NOBODY"})
        wait_until(self._is_empty, deadline_s=PATIENCE_S, what="an empty outbox")
        for title, one in self._destinations.storescps.items():
            assert dict(map(_read, one.files())) == self._expected, title
            assert len(one.files()) == len(self._expected), title
        order = list(self._expected)
        for title, one in self._destinations.ours.items():
            taken = Counter(one.taken)
            assert taken.keys() == self._expected.keys(), f"{title}: {len(taken)} of {len(self._expected)}"
            self.resent += sum(taken.values()) - len(taken)
            assert {uid: one.stations[uid] for uid in taken} == {
                uid: {station} for uid, station in self._expected.items()
            }, title
            first = one.first_requests
            for study in range(STUDIES):
                of_study = [uid for uid in order[study::STUDIES] if uid not in self._lost]
                assert [uid for uid in first if uid in set(of_study)] == of_study, f"{title}: out of order"

    def _is_empty(self) -> bool:
        threading.Event().wait(0.5)
        self._decide()
        jobs = json.loads(self._node.cli("jobs", "--json").check().output)
        return not [job for job in jobs if job["kind"] in ("route", "hold", "deliver")]


def _read(path: Path) -> tuple[str, str]:
    """Read a whole file, and return what it is and which rule has changed it."""
    dataset = pydicom.dcmread(path)
    assert len(dataset.PixelData) == dataset.Rows * dataset.Columns * 2
    return str(dataset.SOPInstanceUID), str(dataset.StationName)
