"""Workers are killed while they copy, repair and delete: what they did is done again, and nothing is lost."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.crash.campaign import KILLED, Campaign, kill, process_ids, wait_a_moment
from tests.crash.load import Load
from tests.peers.node import Node
from tests.peers.process import wait_until

COPYING = ("copies written", "copies entered")
REPAIRING = ("copy written", "copy verified", "copy entered")
DELETING = ("tombstones written", "rows deleted", "file deleted")
POINTS = (*COPYING, *REPAIRING, *DELETING)
"""The crash points of this file; `test_kills` has the others."""

OPTIONS = {"node.processes": 2, "volume near.path": "near", "volume near.role": "replica"}
SEED = 20261126
PROCESSES = 5
"""The supervisor, two acceptors, the placer and the worker."""

ROUNDS = 3
OBJECTS_MIN = 60
PATIENCE_S = 90


@pytest.fixture
def campaign(make_node) -> Campaign:
    return Campaign(make_node(options=OPTIONS), SEED)


def load_some(load: Load) -> None:
    """Have some objects acknowledged."""
    enough = load.count + OBJECTS_MIN
    with load.running():
        wait_until(lambda: load.count >= enough, what="some load")


def stored(load: Load) -> int:
    """Return how many different objects were acknowledged."""
    return sum(map(len, load.acknowledged.values()))


def status(node: Node) -> dict:
    """Return what `store status` says."""
    return json.loads(node.cli("store", "status", "--json").output)


def wait_until_well(node: Node) -> dict:
    """Wait until every object has its copies and nothing is left to do for them."""
    seen: dict = {}

    def is_well() -> bool:
        seen.update(status(node))
        left = [job for job in seen["jobs"] if job["kind"] in ("replicate", "repair", "delete", "remove")]
        return seen["well"] and not left

    wait_until(is_well, deadline_s=PATIENCE_S, what="all copies")
    return seen


def die_at(campaign: Campaign, point: str) -> None:
    """Wait until a worker has died at a point, then kill the rest and start anew."""
    wait_until(lambda: KILLED in campaign.node.output, deadline_s=PATIENCE_S, what=point)
    campaign.kill_everything()
    campaign.node.start()


def finish(campaign: Campaign) -> dict:
    """Everything is as it should be in the end."""
    found = wait_until_well(campaign.node)
    campaign.load.check()
    campaign.check_store()
    return found


def kill_worker(node: Node) -> None:
    """Kill the process that was started last: that is the worker, whenever all are there."""
    wait_until(lambda: len(process_ids(node)) == PROCESSES, what="a new worker")
    kill(process_ids(node)[-1])


def damage(node: Node, volume: str, chance: random.Random, share: float) -> int:
    """Flip a bit in some files of a volume; return in how many."""
    files = sorted((node.data / volume).glob("[0-9]*/**/*.dcm"))
    chosen = chance.sample(files, max(1, int(len(files) * share)))
    for file in chosen:
        with Path(file).open("r+b") as opened:
            offset = chance.randrange(opened.seek(0, 2))
            opened.seek(offset)
            [byte] = opened.read(1)
            opened.seek(offset)
            opened.write(bytes([byte ^ 4]))
    return len(chosen)


@pytest.mark.parametrize("point", COPYING)
def test_a_kill_while_copying(campaign: Campaign, point: str) -> None:
    campaign.node.start(environment={"MEDSERVER_CRASH_POINT": point})
    load_some(campaign.load)
    die_at(campaign, point)
    assert finish(campaign)["good_copies"] == {"2": stored(campaign.load)}


@pytest.mark.parametrize("point", REPAIRING)
def test_a_kill_while_repairing(campaign: Campaign, point: str) -> None:
    campaign.node.start()
    load_some(campaign.load)
    wait_until_well(campaign.node)
    assert campaign.node.stop() == 0
    count = damage(campaign.node, "store", random.Random(SEED), 0.3)
    campaign.node.start(environment={"MEDSERVER_CRASH_POINT": f"{point}:2"})
    found = campaign.node.cli("store", "verify")
    assert found.exit_code == 1
    assert f"{count} finding" in found.output
    die_at(campaign, point)
    finish(campaign)


@pytest.mark.parametrize("point", DELETING)
def test_a_kill_while_deleting(campaign: Campaign, point: str) -> None:
    campaign.node.start()
    load_some(campaign.load)
    wait_until_well(campaign.node)
    assert campaign.node.stop() == 0
    campaign.node.start(environment={"MEDSERVER_CRASH_POINT": point})
    study, _ = campaign.load.acknowledged.popitem()
    assert campaign.node.cli("store", "delete", study).exit_code != 0
    deleted = campaign.node.cli("store", "delete", study, "--force", "--reason", "a test")
    assert deleted.exit_code == 0, deleted.output
    die_at(campaign, point)
    finish(campaign)
    campaign.node.start()
    assert campaign.load.fetch(study) == {}
    assert campaign.node.stop() == 0
    left = {path for volume in ("store", "near") for path in (campaign.node.data / volume).glob("[0-9]*/**/*.dcm")}
    assert len(left) == 2 * stored(campaign.load)


def test_random_kills_of_the_worker(campaign: Campaign) -> None:
    chance = random.Random(SEED)
    campaign.node.start()
    for _ in range(ROUNDS):
        with campaign.load.running():
            for _ in range(3):
                wait_a_moment(chance.uniform(0.1, 0.6))
                kill_worker(campaign.node)
        wait_until_well(campaign.node)
        damage(campaign.node, chance.choice(["store", "near"]), chance, 0.1)
        campaign.node.cli("store", "verify")
        wait_a_moment(chance.uniform(0.0, 0.5))
        kill_worker(campaign.node)
    finish(campaign)
