"""A campaign of kills: load, kill, start, check, over and over on one store."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress

from medserver.crash import VARIABLE
from tests.crash.load import Load
from tests.peers import PeerFailed
from tests.peers.node import Node
from tests.peers.proc import children_of
from tests.peers.process import wait_until

CHECK_STORE_EVERY = 5
LOAD_MAX_S = 0.6
ACKNOWLEDGED_MIN = 100
"""How many objects are to be stored before what happens only after the load can happen."""
KILLED = "exit_code=-9"
"""What the log of the supervisor says of a process that was killed."""


class Campaign:
    """Kills one node again and again.

    Parameters
    ----------
    node : Node
        Not started.
    seed : int
        Decides on the load and on the moments.
    """

    def __init__(self, node: Node, seed: int) -> None:
        self.node = node
        self.load = Load(node, seed)
        self._random = random.Random(seed)
        self.kills = 0

    def kill_at_random(self) -> None:
        """Load the node and kill it after a random time: all of it, or one of its processes first."""
        self.node.start()
        with self.load.running():
            wait_a_moment(self._random.uniform(0.02, LOAD_MAX_S))
            if self._random.random() < 0.3:
                victims = process_ids(self.node)[1:]
                if victims:
                    kill(self._random.choice(victims))
                wait_a_moment(self._random.uniform(0.0, 0.2))
            self.kill_everything()
        self.check()

    def kill_at(self, point: str, times: int = 1) -> bool:
        """Load a node of which a process dies at a crash point, check all, and tell whether one did; it is stopped."""
        self.node.start(environment={VARIABLE: f"{point}:{times}"})
        enough = self.load.count + ACKNOWLEDGED_MIN
        with self.load.running():
            wait_until(lambda: self.load.count > enough or KILLED in self.node.output, what="some load")
        # Objects are placed when the load is over.
        with suppress(PeerFailed):
            wait_until(lambda: KILLED in self.node.output, deadline_s=10, what=point)
        died = KILLED in self.node.output
        self.kill_everything()
        self.node.start()
        self.load.check()
        self.check_store()
        return died

    def kill_everything(self) -> None:
        """Kill every process of the node at once."""
        self.kills += 1
        self.node.kill()  # the process group, so that none that has just been forked is left

    def check(self) -> None:
        """Start again and check what was acknowledged; now and then compare index and store as well."""
        self.node.start()
        self.load.check()
        if self.kills % CHECK_STORE_EVERY == 0:
            self.check_store()
        else:
            self.node.kill()

    def check_store(self) -> None:
        """Stop in order; index and store must agree, and nothing unfinished may be left."""
        assert self.node.stop() == 0
        self.check_nothing_is_left()

    def check_nothing_is_left(self) -> None:
        """Compare index and store of a node that is stopped; nothing unfinished may be left."""
        completed = self.node.cli("index", "check", "--digests", "--restart")
        assert completed.exit_code == 0, completed.output
        store = self.node.data / "store"
        left = [path for path in (store / "incoming").rglob("*") if path.is_file() and path.name != "lock"]
        left += [path for path in (store / "journal").iterdir() if path.suffix != ".spare"]
        assert left == [], left


def process_ids(node: Node) -> list[int]:
    """Return the supervisor and its children."""
    supervisor = node.server.process.pid
    return [supervisor, *children_of(supervisor)]


def kill(process_id: int) -> None:
    """Kill a process as a power cut would, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)


def wait_a_moment(seconds: float) -> None:
    """Let the load run for a while: the length of it is what a campaign varies."""
    signal.sigtimedwait([], seconds)
