"""The short forms of `scripts/crash --cuts` and `--postgresql`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.crash.load import Load
from tests.crash.power.campaign import PowerCampaign, environment
from tests.crash.power.kills import KillCampaign
from tests.crash.power.recording import Recording
from tests.crash.workers import OPTIONS
from tests.peers.process import wait_until

SEED = 20261129
VARIED = {"store.duplicates": "replace", "store.compress": "rle", "store.copies_before_success": 2}


def test_a_node_whose_power_is_cut(make_node) -> None:
    """Slow: a node is loaded, killed and started three times, and what it is to have is looked for nine times."""
    campaign = PowerCampaign(make_node(options=OPTIONS | VARIED), SEED)
    for _ in range(2):
        campaign.round(3)
    campaign.finish()
    assert campaign.ledger.count and campaign.ledger.steps and campaign.ledger.histories


def test_a_node_on_postgresql_that_is_killed(make_node, new_database: Callable[[], str]) -> None:
    """Its files are its own, so that no power cut can be played: `scripts/crash --postgresql` kills."""
    campaign = KillCampaign(make_node(options=OPTIONS | VARIED | {"index.url": new_database()}), SEED)
    for _ in range(2):
        campaign.round()
    campaign.finish()
    assert campaign.ledger.count and campaign.ledger.histories


def test_the_recorder_sees_all_that_a_node_does(make_node, tmp_path: Path) -> None:
    """What is played from the log is what lies on the disk: else a cut could show nothing."""
    node = make_node(options=OPTIONS)
    recording = Recording(node.directory)
    node.start(environment=environment(recording))
    load = Load(node, SEED)
    with load.running():
        wait_until(lambda: load.count > 50, what="some load")
    # Not by a command in this process: that would place objects, and nobody would record it.
    wait_until(lambda: 10 < _objects(node.data / "store") == _objects(node.data / "near"), what="copies of all")
    node.kill()
    disk = recording.finish()
    disk.store(tmp_path / "played")
    assert tree(tmp_path / "played" / "data") == tree(node.data)


def _objects(volume: Path) -> int:
    return sum(1 for _ in volume.glob("[0-9]*/**/*.dcm"))


def tree(folder: Path) -> dict[str, str]:
    """Return the digests of all files, but for the memory that processes of SQLite share."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }
