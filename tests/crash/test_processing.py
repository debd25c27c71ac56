"""Who processes images is killed at each step: the item is completed once, its outputs stored once, and sent once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from medserver import archive
from medserver.archive.compression import compress_object
from medserver.archive.promotion import promote
from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.dicom.transfer_syntaxes import JPEG_2000_LOSSLESS
from medserver.index import JobFilter, ObjectKey
from medserver.node import Node as OpenedNode
from medserver.node import open_node, utc_now
from medserver.processing.computing import SHARED_INSTANCES
from medserver.routing.deliveries import DELIVER
from medserver.safekeeping.deletion import order_deletion
from tests.archive.conftest import receive
from tests.peers import Address
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.peers.process import wait_until
from tests.processing import items, phantoms

POINTS = (
    "item started", "inputs staged", "output staged", "outputs computed", "output registered", "derivation noted",
    "item completed",
)  # fmt: skip
"""The crash points of this file."""

SLICES = SHARED_INSTANCES
"""So many that outputs are staged while others are computed."""

UID = items.instances(SLICES)[0]
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


def deleted(node: Node, opened: OpenedNode, tmp_path: Path) -> None:
    order_deletion(opened, list(opened.index.instances([UID]).values()), by="somebody", reason="")
    items.carry_out_deletions(opened)
    assert opened.index.instances([UID]) == {}


def replaced(node: Node, opened: OpenedNode, tmp_path: Path) -> None:
    changes = {"SOPInstanceUID": UID, "SeriesInstanceUID": f"{phantoms.UID}.1"}
    one = phantoms.changed(phantoms.ct_slice(np.full((16, 16), 1234, np.uint16)), changes)
    [path] = phantoms.write(tmp_path / "new", [one]).iterdir()
    assert receive(opened, Sample(path, phantoms.CT, UID, phantoms.EXPLICIT)) == "replaced"


def compressed(node: Node, opened: OpenedNode, tmp_path: Path) -> None:
    assert compress_object(opened, opened.index.instances([UID])[UID], JPEG_2000_LOSSLESS)


def without_destination(node: Node, opened: OpenedNode, tmp_path: Path) -> None:
    node.remove_remote("DEST")
    wait_until(lambda: opened.config.current.destination("DEST") is None, what="the configuration")


@pytest.mark.parametrize("change", [deleted, replaced, compressed, without_destination])
@pytest.mark.parametrize("point", POINTS)
def test_what_changes_after_a_kill_at_each_step(
    make_node: Callable[..., Node], tmp_path: Path, point: str, change: Callable[..., None]
) -> None:
    node = make_node(options={"store.duplicates": "replace"})
    node.add_remote(Address("DEST", free_port()))
    with closing(open_node(ConfigFile(node.config))) as opened:
        items.store_series(opened, tmp_path / "made", SLICES)
        if change is compressed:
            replaced(node, opened, tmp_path)  # by what becomes shorter
        items.request(opened, items.instances(SLICES), ("DEST",))
    completed = node.forked(*WORKER, environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config), clock=a_minute_later)) as opened:
        archive.reconcile(opened)
        before = items.outputs_of(opened)
        change(node, opened, tmp_path)
        items.perform(opened)
        items.carry_out_deletions(opened)
        state, after = items.row_of(opened).state, items.outputs_of(opened)
        if change is deleted and POINTS.index(point) < POINTS.index("derivation noted"):
            assert items.reason_of(opened) == "110523" and after == {}, "what was registered is no result"
            return
        assert state == "COMPLETED" and len(after) == SLICES and items.named_outputs(opened) == after.keys()
        is_made_anew = change is replaced and POINTS.index(point) < POINTS.index("derivation noted")
        assert is_made_anew or before.items() <= after.items()
        deliveries = [job.payload["sop_instance_uid"] for job in opened.index.jobs.list(JobFilter(DELIVER, "DEST"))]
        assert sorted(deliveries) == sorted(after)
        items.check_store(opened)


def test_what_was_registered_of_an_object_that_is_another_since_is_not_taken_for_the_result(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    """A duplicate is promoted after the kill: what is made of it has UIDs of its own."""
    node = make_node()
    with closing(open_node(ConfigFile(node.config))) as opened:
        items.store_series(opened, tmp_path / "made", SLICES)
        items.request(opened, items.instances(SLICES))
        for uid in items.instances(SLICES):
            changes = {"SOPInstanceUID": uid, "SeriesInstanceUID": f"{phantoms.UID}.1"}
            one = phantoms.changed(phantoms.ct_slice(np.full((16, 16), 1234, np.uint16)), changes)
            [path] = phantoms.write(tmp_path / uid, [one]).iterdir()
            assert receive(opened, Sample(path, phantoms.CT, uid, phantoms.EXPLICIT)) == "kept"
    completed = node.forked(*WORKER, environment={VARIABLE: "output registered"})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config), clock=a_minute_later)) as opened:
        archive.reconcile(opened)
        before = items.outputs_of(opened)
        assert before
        for uid in items.instances(SLICES):
            current = opened.index.instances([uid])[uid].digest
            [other] = [each for each in opened.index.versions.of(uid) if each.digest != current]
            promote(opened, ObjectKey(uid, other.digest, phantoms.EXPLICIT), by="somebody", why="")
        items.perform(opened)
        assert items.row_of(opened).state == "COMPLETED", items.reason_of(opened)
        items.carry_out_deletions(opened)
        made = items.named_outputs(opened)
        assert len(made) == SLICES and not made & before.keys() and items.outputs_of(opened).keys() == made
        items.check_store(opened)


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
