"""The disk of the primary volume is not mounted: its mount point is an empty directory, and is never the volume."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.corpus import Object, kinds_of, make_study

LEFT_THERE = {
    "nothing": (),
    "a file system of its own": ("lost+found/",),
    "what an earlier start has made": ("incoming/lock", "journal/00000000000000000001.spare", "tombstones/1.jsonl"),
}


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node(options={"node.processes": 2}).start()


@pytest.fixture
def client(node: Node) -> Client:
    return Client(node.address)


def unmount(node: Node, left_there: tuple[str, ...] = ()) -> Path:
    """Put a directory without objects in the place of the volume; return it."""
    mount_point = node.data / "store"
    mount_point.rename(node.data / "disk")
    mount_point.mkdir()
    for name in left_there:
        path = mount_point / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if name.endswith("/") else path.touch()
    return mount_point


def mount(node: Node) -> None:
    mount_point = node.data / "store"
    mount_point.rename(node.data / "hidden")
    (node.data / "disk").rename(mount_point)


def content(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*"))


def fetch(client: Client, objects: list[Object]) -> list[str]:
    study = {"StudyInstanceUID": objects[0].dataset.StudyInstanceUID}
    return sorted(client.get("STUDY", study, kinds_of(objects)).received)


@pytest.mark.parametrize("left_there", LEFT_THERE.values(), ids=LEFT_THERE)
def test_a_node_does_not_start_on_it(node: Node, client: Client, left_there: tuple[str, ...]) -> None:
    stored = make_study(2)
    assert client.store(*stored) == [0, 0]
    assert node.stop() == 0
    mount_point = unmount(node, left_there)
    before = content(mount_point)
    refused = node.cli("serve")
    assert refused.exit_code not in (0, None)
    [line] = refused.output.splitlines()
    assert "primary volume main" in line and "mount its disk" in line
    assert content(mount_point) == before
    mount(node)
    node.start()
    assert fetch(client, stored) == sorted(one.sop_instance_uid for one in stored)


def test_a_running_node_takes_nothing_until_it_is_back(node: Node, client: Client) -> None:
    stored, refused = make_study(2), make_study(2)
    assert client.store(*stored) == [0, 0]
    store = node.data / "store"
    wait_until(lambda: len(list(store.glob("[0-9]*/**/*.dcm"))) == 2, what="the objects in their place")
    mount_point = unmount(node)
    for _ in range(3):
        assert client.store(*refused) == [0xA700, 0xA700]
    loud = [line for line in node.output.splitlines() if " ERROR " in line and "volume main is away" in line]
    assert 1 <= len(loud) <= 5  # for each process that looks, and not for each object
    study = {"StudyInstanceUID": stored[0].dataset.StudyInstanceUID}
    assert client.find("STUDY", study).status == 0
    fetched = client.get("STUDY", study, kinds_of(stored))
    assert (fetched.received, fetched.counters["failed"]) == ({}, 2)
    assert content(mount_point) == []
    assert "away" in node.output
    mount(node)
    assert client.store(*refused) == [0, 0]
    for objects in (stored, refused):
        assert fetch(client, objects) == sorted(one.sop_instance_uid for one in objects)
    assert node.stop() == 0
    checked = node.cli("index", "check", "--digests")
    assert checked.exit_code == 0, checked.output


def test_a_process_that_was_started_meanwhile_takes_nothing_either(node: Node, client: Client) -> None:
    """It has never seen the volume itself."""
    [stored] = make_study(1)
    assert client.store(stored) == [0]
    assert node.stop() == 0
    mount_point = unmount(node)
    worker = node.cli("store", "delete", stored.sop_instance_uid, "--force", "--reason", "a test")
    assert worker.exit_code == 0, worker.output
    assert content(mount_point) == []
    status = node.cli("store", "status")
    assert status.exit_code == 1
    assert "away" in status.output
    for arguments in (("doctor",), ("store", "verify")):
        told = node.cli(*arguments)
        assert (told.exit_code, "main is away" in told.output) == (1, True), told.output
    assert content(mount_point) == []


def test_an_empty_disk_takes_the_place_of_a_lost_one_if_that_is_said(node: Node, client: Client) -> None:
    stored, more = make_study(1), make_study(1)
    assert client.store(*stored) == [0]
    assert node.stop() == 0
    unmount(node, ("lost+found/",))
    refused = node.cli("serve")
    assert refused.exit_code == 74
    assert "mount its disk" in refused.output
    node.cli("store", "replicate", "main", "--anew").check()
    node.start()
    assert client.store(*more) == [0]
    assert fetch(client, more) == [more[0].sop_instance_uid]


def test_an_index_is_not_made_anew_without_it(make_node: Callable[..., Node]) -> None:
    """What is made from the replica alone has no objects on the primary volume, and a node would start on it."""
    node = make_node(options={"volume near.path": "near", "volume near.role": "replica"}).start()
    stored = make_study(2)
    assert Client(node.address).store(*stored) == [0, 0]
    wait_until(lambda: len(list(node.data.glob("near/[0-9]*/**/*.dcm"))) == 2, what="the copies")
    assert node.stop() == 0
    unmount(node, ("lost+found/",))
    refused = node.cli("index", "rebuild")
    assert refused.exit_code == 2
    assert "objects on the volume main, which is not there: mount its disk" in refused.output
    mount(node)
    node.cli("index", "rebuild").check()
    unmount(node, ("lost+found/",))
    node.cli("store", "replicate", "main", "--anew").check()
    node.cli("index", "rebuild").check()


def test_a_disk_is_let_go_of_and_taken_again_while_the_node_runs(node: Node, client: Client) -> None:
    stored = make_study(2)
    assert client.store(*stored) == [0, 0]
    node.cli("store", "detach", "main").check()
    store, disk = node.data / "store", node.data / "disk"
    wait_until(lambda: not opened_below(store), what="every process to close what it has open there")
    assert client.store(*make_study(1)) == [0xA700]
    store.rename(disk)
    assert node.cli("store", "status").exit_code == 1
    refused = node.cli("store", "attach", "main")
    assert (refused.exit_code, "away" in refused.output) == (1, True)
    disk.rename(store)
    assert node.cli("store", "attach", "main").exit_code == 0
    wait_until(lambda: client.store(*make_study(1)) == [0], what="the volume to be taken again")
    every = sorted(one.sop_instance_uid for one in stored)
    wait_until(lambda: fetch(client, stored) == every, what="every process to take it again")
    assert node.cli("doctor").output.count("detached") == 0


def opened_below(directory: Path) -> list[str]:
    """Return what any process has open below a directory."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if os.readlink(link).startswith(str(directory)):
                found.append(str(link))
    return found
