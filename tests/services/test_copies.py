"""A node whose files are damaged: the right bytes come from another volume, or none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from medserver import archive
from medserver.config import ConfigFile
from medserver.dicom import status, uids
from medserver.errors import AssociationAborted
from medserver.index import BAD, GOOD, StoredCopy
from medserver.node import open_node

from tests.conftest import NodeFactory
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.s3 import S3Service
from tests.services.client import Client
from tests.services.corpus import Object, kinds_of, make_study
from tests.peers.receiver import Receiver
from tests.store.conftest import s3 as s3  # noqa: PLC0414

LARGE_BYTES = 3_000_000


@pytest.fixture
def start(make_node: NodeFactory, tmp_path: Path) -> Callable[..., Node]:
    """Give a function that starts a node with a replica in a directory; nothing is copied or repaired by itself."""

    def start(**options: object) -> Node:
        replica = {"volume near.path": tmp_path / "near", "volume near.role": "replica"}
        return make_node(options={"node.processes": 1, "jobs.workers": 0, **replica, **options}).start()

    return start


@pytest.fixture
def destination() -> Iterator[Receiver]:
    """A destination of C-MOVE."""
    receiver = Receiver("DESTINATION", {"1.2.840.10008.5.1.4.1.1.2": [uids.EXPLICIT_VR_LITTLE_ENDIAN]})
    yield receiver
    receiver.close()


def replicate(node: Node, name: str = "near") -> list[StoredCopy]:
    """Copy everything to a volume and return the original locations."""
    with closing(open_node(ConfigFile(node.config))) as opened:
        originals = [one for one in opened.index.locations() if one.volume == "main"]
        for location in originals:
            archive.copy_object(opened, location, opened.volumes[name])
    return originals


def states(node: Node) -> dict[tuple[str, str], str]:
    with closing(open_node(ConfigFile(node.config))) as opened:
        return {(one.volume, one.sop_instance_uid): one.state for one in opened.index.locations()}


def file_of(node: Node, location: StoredCopy, root: Path | None = None) -> Path:
    return (root or node.data / "store") / location.path


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def get(client: Client, objects: list[Object]) -> dict[str, bytes]:
    keys = {"StudyInstanceUID": str(objects[0].dataset.StudyInstanceUID)}
    answers = client.get("STUDY", keys, kinds_of(objects))
    return {uid: data_set for uid, (_, data_set) in answers.received.items()}


def filled(node: Node, objects: list[Object], volume: str = "near") -> list[StoredCopy]:
    """Store objects, and copy them when they are in their places."""
    assert set(Client(node.address).store(*objects)) == {status.SUCCESS}
    node.stop()  # places what is in the journal
    originals = replicate(node, volume)
    node.start()
    return originals


def expected(objects: list[Object]) -> dict[str, bytes]:
    return {one.sop_instance_uid: one.encoded for one in objects}


def test_flipped_and_lost_files_are_served_from_the_replica(
    start: Callable[..., Node], destination: Receiver
) -> None:
    node, objects = start(), make_study(20, PixelData=bytes(range(256)) * 100)
    originals = filled(node, objects)
    node.add_remote(destination.address, allow=())
    chance = random.Random(4)
    for location in originals[:10]:
        flip(file_of(node, location), chance.randrange(8 * file_of(node, location).stat().st_size))
    for location in originals[10:15]:
        file_of(node, location).unlink()
    client = Client(node.address)
    assert get(client, objects) == expected(objects)
    answers = client.move("DESTINATION", "STUDY", {"StudyInstanceUID": objects[0].dataset.StudyInstanceUID})
    assert (answers.status, answers.counters["completed"]) == (status.SUCCESS, 20)
    bad = {uid for (volume, uid), state in states(node).items() if state == BAD}
    assert bad == {location.sop_instance_uid for location in originals[:15]}
    assert node.output.count("not read again until it is repaired") == 15  # each is said once
    replicate(node)
    for location in originals[:15]:
        with closing(open_node(ConfigFile(node.config))) as opened:
            archive.copy_object(opened, location, opened.primary_volume)
    assert set(states(node).values()) == {GOOD}
    assert get(client, objects) == expected(objects)


def test_what_has_no_good_copy_fails_alone(start: Callable[..., Node], tmp_path: Path) -> None:
    node, objects = start(), make_study(5, PixelData=bytes(10_000))
    originals = filled(node, objects)
    for root in (node.data / "store", tmp_path / "near"):
        flip(file_of(node, originals[2], root), 30_000)
    keys = {"StudyInstanceUID": str(objects[0].dataset.StudyInstanceUID)}
    for _ in range(2):
        answers = Client(node.address).get("STUDY", keys, kinds_of(objects))
        assert answers.status == status.SUBOPERATIONS_WARNING
        assert answers.failed_uids == [originals[2].sop_instance_uid]
        assert len(answers.received) == 4


def test_a_large_object_is_not_sent_to_its_end_when_it_is_bad(
    start: Callable[..., Node], destination: Receiver
) -> None:
    node, objects = start(), make_study(2, PixelData=bytes(LARGE_BYTES))
    originals = filled(node, objects)
    node.add_remote(destination.address, allow=())
    flip(file_of(node, originals[0]), 8 * LARGE_BYTES)
    client = Client(node.address)
    with pytest.raises(AssociationAborted):
        get(client, objects)
    assert get(client, objects) == expected(objects)  # from the replica
    flip(file_of(node, originals[1]), 8 * LARGE_BYTES)
    answers = client.move("DESTINATION", "STUDY", {"StudyInstanceUID": objects[0].dataset.StudyInstanceUID})
    assert (answers.status, answers.counters["completed"]) == (status.SUCCESS, 2)  # sent again, from the replica


def test_a_replica_that_is_down_refuses_what_must_have_two_copies(
    start: Callable[..., Node], tmp_path: Path
) -> None:
    node, [first, second] = start(**{"store.copies_before_success": 2}), make_study(2)
    client = Client(node.address)
    assert client.store(first) == [status.SUCCESS]
    assert set(states(node)) == {("main", first.sop_instance_uid), ("near", first.sop_instance_uid)}
    (tmp_path / "near").rename(tmp_path / "away")
    assert client.store(second) == [status.OUT_OF_RESOURCES]
    assert get(client, [first]) == expected([first, second])  # it is there, but nobody was told that it is safe
    (tmp_path / "away").rename(tmp_path / "near")
    assert client.store(second) == [status.SUCCESS]
    assert len(states(node)) == 4


def test_what_is_damaged_comes_from_a_bucket(make_node: NodeFactory, s3: S3Service) -> None:
    place = s3.place("of-a-node")
    options = {
        "volume far.url": place.url,
        "volume far.endpoint": place.endpoint,
        "volume far.credentials": place.credentials,
        "volume far.role": "archive",
    }
    node = make_node(options={"node.processes": 2, **options}).start()
    objects = make_study(4, PixelData=bytes(9000))
    originals = filled(node, objects, "far")
    for location in originals[:2]:
        flip(file_of(node, location), 20_000)
    assert get(Client(node.address), objects) == expected(objects)
    wait_until(lambda: node.output.count(" repaired volume=main") == 2, what="the repair of both")
    node.stop()
    flip(file_of(node, originals[0]), 20_000)
    assert node.cli("index", "check", "--digests").exit_code == 1
    assert "nothing is wrong" in node.cli("index", "rebuild").output
    with closing(open_node(ConfigFile(node.config))) as opened:
        assert opened.index.counts().locations == 8
    assert node.cli("doctor").output.count("bucket") == 1


def test_a_node_starts_and_stores_without_its_replica(make_node: NodeFactory, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = very-secret\n")
    (tmp_path / "keys").chmod(0o600)
    options = {
        "volume far.url": "s3://bucket/prefix",
        "volume far.endpoint": "http://127.0.0.1:9",
        "volume far.credentials": tmp_path / "keys",
        "volume far.role": "replica",
    }
    node, objects = make_node(options=options).start(), make_study(3)
    client = Client(node.address)
    assert set(client.store(*objects)) == {status.SUCCESS}
    assert get(client, objects) == expected(objects)
    assert node.stop() == 0
    assert node.output.count("far cannot be reached") <= 7  # start and its two notes, worker, twice the placer, end
    shown = node.cli("config", "show").output
    assert "s3://bucket/prefix" in shown
    assert "very-secret" not in shown + node.output
