"""A full disk: objects are refused, nothing is lost, everything else goes on, and it recovers by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from medserver.dicom import status

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.small_disk import SmallDisk, requires_mount
from tests.services.client import Client
from tests.services.corpus import Object, kinds_of, make_study

MIB = 1024 * 1024
DISK_BYTES = 256 * MIB
RESERVE_BYTES = 48 * MIB
"""More than a segment of the journal, so that one can be placed on a full disk."""
OBJECTS_MAX = 400
"""More than fit."""

MakeDisk = Callable[[int], SmallDisk]


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Give a function that mounts a small file system."""
    requires_mount()
    disks: list[SmallDisk] = []

    def make(size_bytes: int) -> SmallDisk:
        disks.append(SmallDisk(tmp_path / "disk", size_bytes))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


@pytest.fixture
def start(make_disk: MakeDisk, make_node: Callable[..., Node]) -> Callable[..., Node]:
    """Give a function that starts a node; it is killed before its disk is taken away."""

    def start_node(data: Path, **options: object) -> Node:
        return make_node(options={"node.data": data, "node.processes": 1, **options}).start()

    return start_node


def fill_with_objects(
    client: Client, size_bytes: int, refill: Callable[[], None] = lambda: None
) -> tuple[list[Object], list[int]]:
    """Send objects until one is refused; return those that were stored, and the statuses of the others.

    The node gives space back when it has put objects in their place: `refill` takes that.
    """
    stored: list[Object] = []
    refused: list[int] = []
    for start in range(0, OBJECTS_MAX, 10):
        objects = make_study(10, PixelData=bytes(size_bytes))
        for one, code in zip(objects, client.store(*objects), strict=True):
            if code == status.SUCCESS:
                stored.append(one)
            else:
                refused.append(code)
        if refused:
            return stored, refused
        refill()
    raise AssertionError("everything was stored: the disk is not full")


def waiting_in_journal(node: Node) -> list[str]:
    """Return the segments that are not placed yet; when they are, they give space back."""
    return [path.name for path in (node.data / "store/journal").iterdir() if path.suffix in (".active", ".sealed")]


def all_there(client: Client, objects: list[Object]) -> bool:
    """Tell whether objects are found, and come back bit by bit."""
    for study in {str(one.dataset.StudyInstanceUID) for one in objects}:
        expected = {
            one.sop_instance_uid: (one.transfer_syntax_uid, one.encoded)
            for one in objects
            if one.dataset.StudyInstanceUID == study
        }
        keys = {"StudyInstanceUID": study}
        received = client.get("STUDY", keys, kinds_of(objects)).received
        found = client.find("STUDY", keys | {"NumberOfStudyRelatedInstances": ""})
        if received != expected or found.values("NumberOfStudyRelatedInstances") != [str(len(expected))]:
            return False
    return True


def test_full_disk_refuses_and_recovers(make_disk: MakeDisk, start: Callable[..., Node]) -> None:
    disk = make_disk(DISK_BYTES)
    node = start(disk.path / "data", **{"volume main.free_min_bytes": RESERVE_BYTES})
    disk.fill(left_bytes=2 * RESERVE_BYTES)
    client = Client(node.address)
    stored, refused = fill_with_objects(client, 900_000)
    assert set(refused) == {status.OUT_OF_RESOURCES}
    assert disk.free_bytes > RESERVE_BYTES / 4
    assert all_there(client, stored)

    wait_until(lambda: not waiting_in_journal(node), what="the placing of all objects")
    large = make_study(1, PixelData=bytes(4 * MIB))

    def is_full() -> bool:
        disk.fill(left_bytes=RESERVE_BYTES // 2)
        return client.store(*large) == [status.OUT_OF_RESOURCES]

    # The next segment of the journal may just have been made ready, and given up for want of space.
    wait_until(is_full, what="a disk of which nothing is given back any more")
    assert client.store(*make_study(1)) == [status.OUT_OF_RESOURCES]

    node.kill()
    node.start()
    assert all_there(client, stored)
    assert client.store(*make_study(1)) == [status.OUT_OF_RESOURCES]

    disk.release()
    assert client.store(*large) == [status.SUCCESS]
    assert all_there(client, [*stored, *large])
    assert node.stop() == 0
    check = node.cli("index", "check", "--digests")
    assert check.exit_code == 0, check.output


def test_disk_without_a_byte_left_loses_nothing(make_disk: MakeDisk, start: Callable[..., Node]) -> None:
    """Without a reserve the index runs out of space as well: what was acknowledged is there all the same."""
    disk = make_disk(DISK_BYTES)
    node = start(disk.path / "data", **{"volume main.free_min_bytes": 0})
    client = Client(node.address)
    before = make_study(3, PixelData=bytes(1000))
    assert client.store(*before) == [0] * 3
    disk.fill(left_bytes=100_000)
    stored, refused = fill_with_objects(client, 20_000, lambda: disk.fill(left_bytes=100_000))
    assert set(refused) == {status.OUT_OF_RESOURCES}
    disk.fill()
    assert client.store(*make_study(1, PixelData=bytes(2 * MIB))) == [status.OUT_OF_RESOURCES]
    disk.release()
    after = make_study(3, PixelData=bytes(1000))
    wait_until(lambda: client.store(*after) == [0] * 3, what="a success after space has returned")
    assert all_there(client, [*before, *stored, *after])
    assert node.stop() == 0
    check = node.cli("index", "check", "--digests")
    assert check.exit_code == 0, check.output


def test_index_on_a_full_disk_of_its_own(make_disk: MakeDisk, start: Callable[..., Node], tmp_path: Path) -> None:
    disk = make_disk(8 * MIB)
    node = start(tmp_path / "data", **{"index.url": f"sqlite:///{disk.path}/index.db"})
    client = Client(node.address)
    before = make_study(3, PixelData=bytes(1000))
    assert client.store(*before) == [0] * 3
    disk.fill()
    stored, refused = fill_with_objects(client, 1000)
    assert set(refused) == {status.OUT_OF_RESOURCES}
    assert all_there(client, [*before, *stored])
    disk.release()
    after = make_study(3, PixelData=bytes(1000))
    assert client.store(*after) == [0] * 3
    assert all_there(client, [*before, *stored, *after])
