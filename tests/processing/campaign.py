"""Two hosts process images while workers, computing processes and whole nodes are killed, and one is lost for good.

They share a database and a volume; each has a data folder, a journal, a primary volume and a port of its own, and an
object is acknowledged when it is on two volumes. Of the host that is lost nothing is left. They may be machines of
their own (`tests.peers.machines`), which do not see the folder of each other.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from medserver.config import ConfigFile
from medserver.dicom.conditions import SingleValue
from medserver.index import JobFilter
from medserver.node import Node as OpenedNode
from medserver.node import open_node
from medserver.routing.deliveries import DELIVER
from medserver.workitems.content import content_of, first_item
from medserver.workitems.content import items as items_of
from tests.archive.conftest import add_volumes
from tests.crash.campaign import kill, process_ids
from tests.crash.power.archive import read_object
from tests.delivery.store_peer import Destination
from tests.peers.machines import Machine
from tests.peers.node import Node
from tests.peers.preloaded import PROGRAM, PreloadedServer
from tests.peers.proc import children_of
from tests.peers.process import wait_until
from tests.processing import items

SLICES, SLICES_MAX = 24, 3
PROCESSES = 5
"""Of a node: the supervisor, two acceptors, the placer and the worker."""

STALL_S = 300.0
"""After this time without an item that has ended, something is wrong."""

ATTEMPTS_MAX = 20
"""How often is looked for something that can be killed, at short intervals."""

WORKER = ("worker", "--kinds", ",".join(items.KINDS))
COMPUTES = "medserver.codecs.worker"


class Host:
    """A node, and a worker beside it that only processes.

    Parameters
    ----------
    folder : Path
        All of it but the volume that is shared.
    name : str
        That of its primary volume.
    index_url : str
        The database.
    shared : Path
        The volume that is shared.
    machine : Machine, optional
        On which it runs; None for that of the tests.
    hidden : Path, optional
        A folder of another machine.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        index_url: str,
        shared: Path,
        machine: Machine | None = None,
        hidden: Path | None = None,
    ) -> None:
        folder.mkdir()
        self._environment = machine.environment([hidden] if hidden else ()) if machine else {}
        options = {
            "index.url": index_url, "node.processes": 2, "store.copies_before_success": 2,
            f"volume {name}.path": "store", f"volume {name}.role": "primary",
            "volume near.path": shared, "volume near.role": "replica",
        }  # fmt: skip
        if machine is not None:
            options["node.address"] = machine.address
        self.node = Node(folder, options=options)
        if machine is not None:
            self.node.address = self.node.address._replace(host=machine.address)
        self.node.remove_section("volume main")
        (self.node.data / "store").mkdir(parents=True)
        self._workers: list[PreloadedServer] = []

    def start(self, workers: int = 1) -> None:
        """Start what does not run."""
        self.start_node()
        while len(self._workers) < workers:
            self._workers.append(self.start_worker(len(self._workers)))

    def start_node(self) -> None:
        """Start the node, if it does not run."""
        if self.node.server is None or self.node.server.process.poll() is not None:
            self.node.start(environment=self._environment)

    def start_worker(self, number: int = 0) -> PreloadedServer:
        """Start a worker."""
        log = self.node.directory / f"worker-{number}.log"
        command = [*PROGRAM, "--config", str(self.node.config), *WORKER]
        return PreloadedServer(command, log=log, environment=os.environ | self._environment)

    def kill_node(self) -> bool:
        """Kill the node, and start it again."""
        self.node.kill()
        self.start_node()
        return True

    def kill_worker(self, chance: random.Random) -> bool:
        """Kill the worker of the node, which starts another, or one beside it, which is started again."""
        number = chance.randrange(len(self._workers) + 1)
        if number < len(self._workers):
            self._workers[number].kill()
            self._workers[number] = self.start_worker(number)
            return True
        found = process_ids(self.node)
        if len(found) == PROCESSES:
            kill(found[-1])  # started last: that is the worker, whenever all are there
        return len(found) == PROCESSES

    def kill_computing(self, chance: random.Random) -> bool:
        """Kill a process that computes, if there is one."""
        parents = [*children_of(self.node.server.process.pid), *(one.process.pid for one in self._workers)]
        found = [child for parent in parents for child in children_of(parent) if COMPUTES in _command(child)]
        if found:
            kill(chance.choice(found))
        return bool(found)

    def end(self) -> None:
        """Kill all of it."""
        for one in [*self._workers, self.node]:
            one.kill()

    def logs(self) -> str:
        """Return what it has said."""
        return "\n".join(path.read_text(errors="replace") for path in self.node.directory.glob("*.log"))


def _command(process_id: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process_id}/cmdline").read_bytes().decode(errors="replace")
    return ""


class Campaign:
    """One run.

    Parameters
    ----------
    folder : Path
        For all of it.
    index_url : str
        An empty database.
    count : int
        How many items.
    kills : int
        How many kills.
    seed : int
        Decides on the items, the victims and the moments.
    report : callable
        Takes a line now and then.
    machines : sequence of Machine
        Two, on which the hosts run; none for that of the tests.
    """

    def __init__(
        self,
        folder: Path,
        index_url: str,
        count: int,
        kills: int,
        seed: int,
        report: Callable[[str], None] = lambda line: None,
        machines: Sequence[Machine] = (),
    ) -> None:
        self._chance = random.Random(seed)
        self._report = report
        self._count, self._kills_wanted = count, kills
        self._folder = folder
        (folder / "near").mkdir()
        names = ("first", "second")
        self._hosts = [
            Host(folder / name, name, index_url, folder / "near", machine, folder / other if machine else None)
            for name, other, machine in zip(names, reversed(names), machines or (None, None), strict=True)
        ]
        self._here = machines[0].here if machines else "127.0.0.1"
        self._logs = ""
        self._expected: dict[str, int] = {}
        self.kills: Counter[str] = Counter()
        self.outputs = self.resent = 0

    def run(self) -> None:
        """Have the items processed, and check all."""
        with Destination("DEST", host=self._here) as destination:
            for host in self._hosts:
                host.node.add_remote(destination.address, allow=())
            try:
                with closing(open_node(ConfigFile(self._hosts[0].node.config))) as node:
                    self._prepare(node)
                    with closing(open_node(ConfigFile(self._hosts[1].node.config))) as second:
                        add_volumes(second, "second")  # it comes to an archive that is there
                    for host in self._hosts:
                        host.start()
                    self._process(node)
                    wait_until(lambda: not self._waits(node, DELIVER), deadline_s=STALL_S, what="all deliveries")
                    self._check(node, destination)
            finally:
                for host in self._hosts:
                    host.end()

    def _prepare(self, node: OpenedNode) -> None:
        items.store_series(node, self._folder / "made", SLICES, size=64)
        for number in range(self._count):
            uids = self._chance.sample(items.instances(SLICES), self._chance.randint(1, SLICES_MAX))
            uid = f"2.25.{100_000 + number}"
            sigma = round(0.5 + number / 10_000, 5)  # nothing is asked for twice
            items.request(node, uids, ("DEST",), kind="denoise", uid=uid, parameters={"sigma": sigma})
            self._expected[uid] = len(uids)

    def _process(self, node: OpenedNode) -> None:
        """Kill until all kills are done and all items have ended; a host is lost when half of them have."""
        ended, progressed = 0, _Progress()
        while ended < self._count:
            counts = node.index.workitems.counts()
            ended = counts.get("COMPLETED", 0) + counts.get("CANCELED", 0)
            progressed.to(ended)
            if len(self._hosts) == 2 and ended >= self._count // 2:
                self._lose_a_host()
            # The kills are spread over the items, so that the last of them meets something.
            while self.kills.total() < self._kills_wanted * min(1.0, (ended + 1) / self._count) and ended < self._count:
                self._kill_something()
                progressed.say(self._report, f"{ended} items, {self}")
            progressed.wait()
            progressed.say(self._report, f"{ended} items, {self}")

    def _kill_something(self) -> None:
        host = self._chance.choice(self._hosts)
        what = self._chance.choice(["worker", "worker", "computing", "computing", "node"])
        act = {"worker": host.kill_worker, "computing": host.kill_computing}.get(what, lambda _: host.kill_node())
        for _ in range(ATTEMPTS_MAX):
            if act(self._chance):
                self.kills[what] += 1
                return
            signal.sigtimedwait([], 0.05)

    def _lose_a_host(self) -> None:
        lost = self._hosts.pop()
        lost.end()
        self._logs += lost.logs()
        shutil.rmtree(lost.node.directory)
        self.kills["host with its disk"] += 1
        self._hosts[0].start(workers=3)  # again four in all

    def _waits(self, node: OpenedNode, kind: str) -> bool:
        return any(node.index.jobs.list(JobFilter(kind=kind)))

    def _check(self, node: OpenedNode, destination: Destination) -> None:
        self._logs += self._hosts[0].logs()
        outputs: Counter[str] = Counter()
        for uid, count in self._expected.items():
            row = items.row_of(node, uid)
            assert row.state == "COMPLETED", f"{uid} is {row.state}: {row.content[:500]}"
            assert self._logs.count(f"work item sop_instance_uid={uid} state=COMPLETED") <= 1, uid
            performed = first_item(content_of(row.content), "UnifiedProcedureStepPerformedProcedureSequence")
            [information] = items_of(performed, "OutputInformationSequence")
            named = [one["00081155"]["Value"][0] for one in items_of(information, "ReferencedSOPSequence")]
            assert len(named) == count, uid
            derivation = node.index.derivations.of_item(uid)
            assert derivation is not None and {one.sop_instance_uid for one in derivation.outputs} == set(named)
            outputs.update(named)
        assert set(outputs.values()) == {1}, "no output is of two items"
        stored = {one.sop_instance_uid: one for one in node.index.select([SingleValue("PatientID", "P1")])}
        assert stored.keys() == outputs.keys() | set(items.instances(SLICES)), "no more, and none lost"
        assert self._logs.count("duplicate outcome=") == 0, "no output was made with other bytes"
        for one in stored.values():
            assert read_object(node, one)
        assert set(destination.taken) == outputs.keys()
        self.outputs, self.resent = len(outputs), len(destination.taken) - len(outputs)

    def __str__(self) -> str:
        return ", ".join(f"{count} kills of a {what}" for what, count in sorted(self.kills.items())) or "no kills"


class _Progress:
    """How many items have ended, and since when no other has."""

    def __init__(self) -> None:
        self._ended = -1
        self._silent_s = 0.0
        self._said: str = ""

    def to(self, ended: int) -> None:
        if ended != self._ended:
            self._ended, self._silent_s = ended, 0.0
        assert self._silent_s < STALL_S, f"{ended} items have ended, and no other for {STALL_S:g} s"

    def wait(self) -> None:
        threading.Event().wait(0.1)
        self._silent_s += 0.1

    def say(self, report: Callable[[str], None], line: str) -> None:
        if line != self._said and self._ended % 100 == 0:
            report(line)
            self._said = line
