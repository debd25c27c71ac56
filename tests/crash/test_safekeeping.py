"""Workers are killed while they copy, repair and delete: what they did is done again, and nothing is lost.

They are killed at crash points here; at random moments by `scripts/crash --worker`.
"""

from __future__ import annotations

import random

import pytest

from tests.crash.workers import OPTIONS, WorkerCampaign, damage, stored, wait_until_well

COPYING = ("copies written", "copies entered")
REPAIRING = ("copy written", "copy verified", "copy entered")
DELETING = ("tombstones written", "rows deleted", "file deleted")
POINTS = (*COPYING, *REPAIRING, *DELETING)
"""The crash points of this file; `test_kills` has those that are in no file of their own."""

SEED = 20261126
OBJECTS_MIN = 60


@pytest.fixture
def campaign(make_node) -> WorkerCampaign:
    return WorkerCampaign(make_node(options=OPTIONS), SEED)


@pytest.mark.parametrize("point", COPYING)
def test_a_kill_while_copying(campaign: WorkerCampaign, point: str) -> None:
    campaign.node.start(environment={"MEDSERVER_CRASH_POINT": point})
    campaign.load_some(OBJECTS_MIN)
    campaign.die_at(point)
    assert campaign.finish()["good_copies"] == {"2": stored(campaign.load)}


@pytest.mark.parametrize("point", REPAIRING)
def test_a_kill_while_repairing(campaign: WorkerCampaign, point: str) -> None:
    campaign.node.start()
    campaign.load_some(OBJECTS_MIN)
    wait_until_well(campaign.node)
    assert campaign.node.stop() == 0
    count = damage(campaign.node, "store", random.Random(SEED), 0.3)
    campaign.node.start(environment={"MEDSERVER_CRASH_POINT": f"{point}:2"})
    found = campaign.node.cli("store", "verify")
    assert found.exit_code == 1
    assert f"{count} finding" in found.output
    campaign.die_at(point)
    campaign.finish()


@pytest.mark.parametrize("point", DELETING)
def test_a_kill_while_deleting(campaign: WorkerCampaign, point: str) -> None:
    campaign.node.start()
    campaign.load_some(OBJECTS_MIN)
    wait_until_well(campaign.node)
    assert campaign.node.stop() == 0
    campaign.node.start(environment={"MEDSERVER_CRASH_POINT": point})
    study, _ = campaign.load.acknowledged.popitem()
    assert campaign.node.cli("store", "delete", study).exit_code != 0
    deleted = campaign.node.cli("store", "delete", study, "--force", "--reason", "a test")
    assert deleted.exit_code == 0, deleted.output
    campaign.die_at(point)
    campaign.finish()
    campaign.node.start()
    assert campaign.load.fetch(study) == {}
    assert campaign.node.stop() == 0
    left = {path for volume in ("store", "near") for path in (campaign.node.data / volume).glob("[0-9]*/**/*.dcm")}
    assert len(left) == 2 * stored(campaign.load)
