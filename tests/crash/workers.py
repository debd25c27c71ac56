"""A campaign of kills of the worker alone: while it copies under load, and while it repairs what was damaged."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.crash.campaign import KILLED, Campaign, kill, process_ids, wait_a_moment
from tests.crash.load import Load
from tests.peers.node import Node
from tests.peers.process import wait_until

OPTIONS = {"node.processes": 2, "volume near.path": "near", "volume near.role": "replica"}
PROCESSES = 5
"""The supervisor, two acceptors, the placer and the worker."""

KILLS_UNDER_LOAD = 3
PATIENCE_S = 90


class WorkerCampaign(Campaign):
    """Kills the worker of one node again and again.

    Parameters
    ----------
    node : Node
        With `OPTIONS`, not started.
    seed : int
        Decides on the load, on the moments and on the damage.
    """

    def load_some(self, count: int) -> None:
        """Have that many objects acknowledged."""
        enough = self.load.count + count
        with self.load.running():
            wait_until(lambda: self.load.count >= enough, what="some load")

    def kill_round(self) -> None:
        """Kill the worker under load some times, damage copies, and kill the worker that repairs them."""
        with self.load.running():
            for _ in range(KILLS_UNDER_LOAD):
                wait_a_moment(self._random.uniform(0.1, 0.6))
                self.kill_worker()
        wait_until_well(self.node)
        damage(self.node, self._random.choice(["store", "near"]), self._random, 0.1)
        self.node.cli("store", "verify")
        wait_a_moment(self._random.uniform(0.0, 0.5))
        self.kill_worker()

    def kill_worker(self) -> None:
        """Kill the process that was started last: that is the worker, whenever all are there."""
        self.kills += 1
        wait_until(lambda: len(process_ids(self.node)) == PROCESSES, what="a new worker")
        kill(process_ids(self.node)[-1])

    def die_at(self, point: str) -> None:
        """Wait until a worker has died at a point, then kill the rest and start anew."""
        wait_until(lambda: KILLED in self.node.output, deadline_s=PATIENCE_S, what=point)
        self.kill_everything()
        self.node.start()

    def finish(self) -> dict:
        """Everything is as it should be in the end: return what `store status` says, and stop the node."""
        found = wait_until_well(self.node)
        self.load.check()
        self.check_store()
        return found


def stored(load: Load) -> int:
    """Return how many different objects were acknowledged."""
    return sum(map(len, load.acknowledged.values()))


def wait_until_well(node: Node) -> dict:
    """Wait until every object has its copies and nothing is left to do for them; return what `store status` says."""
    seen: dict = {}

    def is_well() -> bool:
        seen.update(json.loads(node.cli("store", "status", "--json").output))
        left = [job for job in seen["jobs"] if job["kind"] in ("replicate", "repair", "delete", "remove")]
        return seen["well"] and not left

    wait_until(is_well, deadline_s=PATIENCE_S, what="all copies")
    return seen


def damage(node: Node, volume: str, chance: random.Random, share: float) -> int:
    """Flip a bit in some files of a volume; return in how many."""
    files = sorted((node.data / volume).glob("[0-9]*/**/*.dcm"))
    chosen = chance.sample(files, max(1, int(len(files) * share)))
    for file in chosen:
        flip(file, chance)
    return len(chosen)


def flip(file: Path, chance: random.Random) -> None:
    """Flip a bit of a file."""
    with file.open("r+b") as opened:
        offset = chance.randrange(opened.seek(0, 2))
        opened.seek(offset)
        [byte] = opened.read(1)
        opened.seek(offset)
        opened.write(bytes([byte ^ 4]))
