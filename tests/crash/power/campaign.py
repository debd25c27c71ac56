"""A campaign of power cuts: load, cut, start, check, over and over on one store.

Every load is recorded. The power is cut at random moments of it, and at its end: each time is checked, in this process,
that what was acknowledged until then is there. From what the last cut left the node is started, and goes on.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from medserver import archive, crash
from medserver.config import ConfigFile
from medserver.dicom.part10 import read_file_meta
from medserver.errors import AssociationAborted, NotPart10
from medserver.node import Node as OpenedNode
from medserver.node import open_node
from tests.clock import Clock
from tests.crash.campaign import KILLED, Campaign, process_ids, wait_a_moment
from tests.crash.power.ledger import Ledger
from tests.crash.power.load import PowerLoad, Witness
from tests.crash.power.recorder import VARIABLE
from tests.crash.power.recording import Cut, Recording
from tests.crash.power.versions import KEEP, REPLACE
from tests.crash.workers import OPTIONS, flip
from tests.hurry import hurried
from tests.peers import PeerFailed
from tests.peers.node import Node
from tests.peers.process import wait_until

LOAD_MAX_S = 1.2
QUIET_MAX_S = 3.0
"""How long a node is left alone after a load: it compresses then, lets go of originals, copies, repairs and deletes."""

DAMAGED_MAX = 3
ELSEWHERE = (
    "index", "backup", "decision", "item", "inputs", "output", "derivation", "film", "images", "print", "audit window",
    "audit rows pruned",
)  # fmt: skip
PASSED = tuple(point for point in crash.POINTS if not point.startswith(ELSEWHERE))
"""Crash points at which a process may die."""
IN_PASSING = ("object received", "journal written", "journal flushed", "object sealed", "row committed")
"""Crash points that every object passes: the process dies at a later visit."""


def options_of(chance: random.Random) -> dict[str, object]:
    """Return the options of a node: what is stored in several versions, in how many copies, and compressed to what."""
    return OPTIONS | {
        "store.duplicates": chance.choice([KEEP, REPLACE]),
        "store.compress": chance.choice(["none", "rle", "rle", "htj2k"]),
        "store.copies_before_success": chance.choice([1, 2]),
    }


class PowerCampaign(Campaign):
    """Cuts the power of one node again and again.

    Parameters
    ----------
    node : Node
        With `options_of`, not started.
    seed : int
        Decides on the load, on the moments and on what each cut leaves.

    Attributes
    ----------
    ledger : Ledger
        What was acknowledged.
    cuts : int
        How many cuts there were, the kills not counted.
    died_at : Counter of str
        At which crash points a process died.
    """

    def __init__(self, node: Node, seed: int) -> None:
        super().__init__(node, seed)
        self.load = PowerLoad(node, seed)
        config = ConfigFile(node.config).current
        self.ledger = Ledger(config.store.duplicates, config.store.copies_before_success)
        self.cuts = 0
        self.died_at: Counter[str] = Counter()
        self._damaged: set[tuple[str, str]] = set()
        self._point, self._said = "", 0

    def round(self, cuts: int) -> None:
        """Load the node, kill it, and cut its power as often in between, and at the end."""
        recording = Recording(self.node.directory)
        point = self._load_and_kill(recording, environment(recording))
        self._cut(recording, cuts, point)
        self._damage_sometimes()

    def _load_and_kill(self, witness: Witness, variables: dict[str, str]) -> str:
        """Load the node until it is killed, or has been left alone for a while; return the crash point it was given."""
        self.load.begin(witness, variables, self._choose_deletable())
        point = self._choose_point()
        if self._start(variables | ({crash.VARIABLE: point} if point else {})):
            with self.load.running() as stop:
                wait_a_moment(self._random.uniform(0.1, LOAD_MAX_S))
                if self._random.random() < 0.6:
                    stop.set()
                    wait_a_moment(self._random.uniform(0.1, QUIET_MAX_S))
                self._end(witness)
        else:
            self._end(witness)
        return point

    def _end(self, witness: Witness) -> None:
        said = self.node.output.count(KILLED)
        if said > self._said or self.node.server.process.poll() is not None:
            self.died_at[self._point] += 1
        self._said = said
        witness.end()
        self.kill_everything()

    def _choose_deletable(self) -> list[str]:
        certain = [uid for uid, history in self.ledger.histories.items() if history.is_certain]
        found = [*self._some(sorted(self.ledger.instances), 1), *self._some(certain, 3)]
        self._random.shuffle(found)
        return found

    def _some(self, several: list[str], count: int) -> list[str]:
        return self._random.sample(several, min(count, len(several)))

    def _start(self, variables: dict[str, str]) -> bool:
        """Start the node; False if it came to its crash point, in what a start does first, and died."""
        try:
            self.node.start(environment=variables)
        except PeerFailed:
            if crash.VARIABLE not in variables or self.node.server.process.returncode != -signal.SIGKILL:
                raise
            return False
        wait_until(lambda: len(process_ids(self.node)) >= 4, what="all processes")
        return True

    def _choose_point(self) -> str:
        """Return at which crash point some process dies, and at which visit; empty for none."""
        self._point = "" if self._random.random() < 0.4 else self._random.choice(PASSED)
        return self._point and f"{self._point}:{self._random.randint(1, 60 if self._point in IN_PASSING else 4)}"

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

    def _damage_sometimes(self) -> None:
        if self._random.random() < 0.4:
            self._damage()

    def _damage(self) -> None:
        """Flip a bit in some files of a volume, of which another volume has a good copy; what is bad stays so."""
        chosen, other = self._random.sample([self.node.data / "store", self.node.data / "near"], 2)
        names = {"store": "main", "near": "near"}
        found = [file.relative_to(chosen) for file in sorted(chosen.glob("[0-9]*/**/*.dcm"))]
        both = [path for path in found if (other / path).is_file() and _is_whole(other / path)]
        for path in self._random.sample(both, min(DAMAGED_MAX, len(both))):
            if (other / path).read_bytes() == (chosen / path).read_bytes():
                flip(chosen / path, self._random)
                self._damaged.add((names[chosen.name], str(path)))

    def finish(self) -> None:
        """Start the node, fetch what it is to have from it, and let it do what is left; it is stopped in order.

        Then nothing is surplus, and an index that is made anew from the volumes says the same.
        """
        self.node.start()
        for study, instances in self.ledger.instances.items():
            assert instances.items() <= self._fetch(study).items(), study
        assert self.node.stop() == 0
        with self._opened(self.node.data) as (node, clock):
            self.ledger.check(node, clock, "at the end", to_the_end=True, damaged=self._damaged)
        self.check_nothing_is_left()
        with self._opened(self.node.data, "index.url=sqlite:///another.db") as (node, clock):
            list(archive.rebuild(node))
            self.ledger.check_at_rest(node, clock, "with a new index")

    def _fetch(self, study: str) -> dict[str, str]:
        """Fetch a study as who asks again: a large object that turns out to be bad at its end ends the association."""
        for _ in range(len(self._damaged)):
            with suppress(AssociationAborted):
                return self.load.fetch(study)
        return self.load.fetch(study)

    def _examine(self, ledger: Ledger, cut: Cut, what: str, *, to_the_end: bool) -> None:
        with self._opened(cut.folder / "data") as (node, clock):
            ledger.check(node, clock, what, to_the_end=to_the_end, damaged=self._damaged)

    @contextmanager
    def _opened(self, data: Path, *options: str) -> Iterator[tuple[OpenedNode, Clock]]:
        clock = Clock(datetime.now(UTC))
        config = ConfigFile(self.node.config, (f"node.data={data}", *options))
        with hurried(), closing(open_node(config, clock=clock)) as node:
            yield node, clock


def _is_whole(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            opened.seek(read_file_meta(opened).data_set_offset)
            return hashlib.sha256(opened.read()).hexdigest() == file.name[:64]
    except NotPart10:
        return False


def environment(recording: Recording) -> dict[str, str]:
    """Return what has a process recorded."""
    return {VARIABLE: f"{recording.log}:{recording.folder}"}
