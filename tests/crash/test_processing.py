"""Who processes images is killed at each step: the item is completed once, its outputs stored once, and sent once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from medserver import archive
from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.node import open_node, utc_now
from medserver.processing.computing import SHARED_INSTANCES
from tests.peers import Address
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.processing import items

POINTS = (
    "item started", "inputs staged", "output staged", "outputs computed", "output registered", "derivation noted",
    "item completed",
)  # fmt: skip
"""The crash points of this file."""

SLICES = SHARED_INSTANCES
"""So many that outputs are staged while others are computed."""

WORKER = ("worker", "--kinds", ",".join(items.KINDS))


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, make_node: Callable[..., Node], tmp_path: Path) -> Node:
    """Give a node, not started, with a series, a work item that is due, and one who is told and gets the results."""
    options = {} if request.param == "sqlite" else {"index.url": request.getfixturevalue("new_database")()}
    made = make_node(options=options)
    made.add_remote(Address("DEST", free_port()))
    with closing(open_node(ConfigFile(made.config))) as opened:
        items.store_series(opened, tmp_path / "made", SLICES)
        items.watch(opened, "DEST")
        items.request(opened, items.instances(SLICES), ("DEST",))
    return made


def a_minute_later() -> datetime:
    """Return when the jobs of who was killed are taken back."""
    return utc_now() + timedelta(minutes=1)


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_step(node: Node, point: str) -> None:
    completed = node.forked(*WORKER, environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config), clock=a_minute_later)) as opened:
        before, row = items.outputs_of(opened), items.row_of(opened)
        every = {SLICES}
        some = {*range(1, SLICES + 1)}  # they are registered at the same time
        registered = {"output registered": some, "derivation noted": every, "item completed": every}
        assert len(before) in registered.get(point, {0})
        assert row.state == ("COMPLETED" if point == "item completed" else "IN PROGRESS")
        items.perform(opened)
        after = items.check_completed(opened, SLICES)
        archive.reconcile(opened)  # as the next start does
        items.check_store(opened)
        assert before.items() <= after.items(), "what was registered is found, with the same bytes"
        items.perform(opened)
        assert items.check_completed(opened, SLICES) == after
        assert not list((opened.config.current.node.data / "processing").iterdir())
