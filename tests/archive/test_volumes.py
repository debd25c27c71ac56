"""Which volumes belong to an archive: when a marker is made, and when never."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive import Problem
from medserver.archive.tombstones import write_tombstones
from medserver.errors import BadUsage, OutOfResources, StoreFailure
from medserver.index import GOOD
from medserver.index.database.opening import open_backend
from medserver.store import AWAY, FOREIGN, READY
from medserver.store.marker import NAME
from medserver.volumes import add
from tests.archive.conftest import add_volumes, receive
from tests.peers.files import Sample, make_small

NEAR = ("volume main.path=store", "volume main.role=primary", "volume near.path=near", "volume near.role=replica")


@pytest.fixture(params=["sqlite", "postgresql"])
def index_option(request: pytest.FixtureRequest) -> str:
    url = "sqlite:///index.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    return f"index.url={url}"


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return make_small(tmp_path / "made", 4)


def forget_markers(node) -> None:
    """Make of a node what an older version left."""
    backend = open_backend(node.config.current.index.url, node.config.current.node.data)
    for volume in node.volumes.values():
        (volume.root / NAME).unlink(missing_ok=True)
    with backend.database.connection_context():
        backend.database.execute_sql("DELETE FROM volumes")


def states(node) -> dict[str, str]:
    return {name: volume.condition().state for name, volume in node.volumes.items()}


def test_all_volumes_of_a_new_archive_get_a_marker_once(open_archive, index_option):
    first = open_archive(*NEAR, index_option)
    recorded = first.index.volumes.all()
    assert states(first) == {"main": READY, "near": READY}
    assert all(one.marked and not one.detached for one in recorded.values())
    assert len({one.archive_uuid for one in recorded.values()}) == 1
    second = open_archive(*NEAR, index_option)
    assert second.index.volumes.all() == recorded
    for name, volume in second.volumes.items():
        assert volume.marker().volume_uuid == recorded[name].volume_uuid


def test_a_volume_that_comes_later_waits_for_an_administrator(open_archive, index_option, samples):
    receive(open_archive("volume main.path=store", index_option), samples[0])
    node = open_archive(*NEAR, index_option)
    assert states(node) == {"main": READY, "near": AWAY}
    assert not node.volumes["near"].root.exists()
    add_volumes(node, "near")
    assert states(node) == {"main": READY, "near": READY}


def test_a_volume_of_an_older_version_is_known_by_its_objects(open_archive, index_option, samples):
    node = open_archive(*NEAR, index_option)
    for sample in samples:
        receive(node, sample)
    node.primary_volume.place_all()
    forget_markers(node)
    disk, root = node.primary_volume.root.with_name("disk"), node.primary_volume.root
    root.rename(disk)
    root.mkdir()
    unmounted = open_archive(*NEAR, index_option)
    assert states(unmounted) == {"main": AWAY, "near": AWAY}
    assert list(root.iterdir()) == []
    with pytest.raises(BadUsage, match="mount its disk"):
        add(unmounted.index, unmounted.primary_volume)
    root.rmdir()
    disk.rename(root)
    assert set(unmounted.watch.look()) == {"near"}
    assert states(unmounted) == {"main": READY, "near": AWAY}
    assert (root / NAME).is_file()


def test_where_the_index_is_lost_too_what_holds_objects_is_the_archive(open_archive, samples):
    node = open_archive(*NEAR)
    receive(node, samples[0])
    node.primary_volume.place_all()
    forget_markers(node)
    new = open_archive(*NEAR, index_url="sqlite:///new.db")
    assert states(new) == {"main": READY, "near": AWAY}
    assert list(archive.rebuild(new))[0].problem == Problem.UNREADABLE
    assert new.index.counts().instances == 1


def test_a_new_index_takes_the_archive_from_the_markers(open_archive, samples):
    node = open_archive(*NEAR)
    receive(node, samples[0])
    new = open_archive(*NEAR, index_url="sqlite:///new.db")
    assert new.index.volumes.all() == node.index.volumes.all()


def test_volumes_of_two_archives_are_not_put_together(open_archive, tmp_path):
    node = open_archive(*NEAR)
    other = open_archive("volume main.path=elsewhere", index_url="sqlite:///other.db")
    node.close()
    other.close()
    with pytest.raises(StoreFailure, match="belong to different archives") as raised:
        open_archive(*NEAR[:2], f"volume near.path={other.primary_volume.root}", NEAR[3], index_url="sqlite:///new.db")
    assert "\n" not in str(raised.value)


def test_two_nodes_with_folders_of_one_name_do_not_share_a_volume(open_archive, index_option, samples, tmp_path):
    """Each on a disk of its own: the second one would hold objects that the first cannot find."""
    first = open_archive("volume main.path=store", index_option)
    receive(first, samples[0])
    second = open_archive(f"volume main.path={tmp_path / 'second'}", index_option)
    with pytest.raises(OutOfResources, match="away"):
        receive(second, samples[1])
    assert not (tmp_path / "second").exists()
    assert states(first) == {"main": READY}


def test_a_copy_of_a_volume_under_another_name_is_another_one(open_archive, samples, tmp_path):
    first = open_archive("volume main.path=store")
    receive(first, samples[0])
    first.primary_volume.place_all()
    shutil.copytree(first.primary_volume.root, tmp_path / "data" / "near")
    node = open_archive(*NEAR)
    assert states(node) == {"main": READY, "near": FOREIGN}
    with pytest.raises(BadUsage, match="has a marker already"):
        add(node.index, node.volumes["near"])


@pytest.mark.parametrize("copies", [1, 2])
def test_a_replica_that_is_not_mounted_takes_nothing_and_does_not_count(open_archive, index_option, samples, copies):
    options = (*NEAR, index_option, f"store.copies_before_success={copies}")
    node = open_archive(*options)
    receive(node, samples[0])
    near = node.volumes["near"].root
    near.rename(near.with_name("disk"))
    near.mkdir()
    for each in (node, open_archive(*options)):
        if copies == 2:
            with pytest.raises(OutOfResources, match="1 of 2 copies"):
                receive(each, samples[1])
        else:
            receive(each, samples[1])
        write_tombstones(each, [])  # a tombstone does not make it ready
        assert states(each) == {"main": READY, "near": AWAY}
        assert list(near.iterdir()) == []
    assert {one.state for one in node.index.locations()} == {GOOD}
    near.rmdir()
    near.with_name("disk").rename(near)
    receive(node, samples[1])
    assert {one.volume for one in node.index.locations()} == ({"main", "near"} if copies == 2 else {"main"})


def test_who_runs_follows_what_an_administrator_says(open_archive, index_option, samples):
    running, other = open_archive(*NEAR, index_option), open_archive(*NEAR, index_option)
    assert other.index.volumes.set_detached("main", True)
    running.watch.look()
    with pytest.raises(OutOfResources, match="detached"):
        receive(running, samples[0])
    assert other.index.volumes.set_detached("main", False)
    running.watch.look()
    assert receive(running, samples[0]) == "stored"
    assert not other.index.volumes.set_detached("elsewhere", True)


def test_a_running_process_follows_by_itself(open_archive, samples):
    from tests.peers.process import wait_until

    running = open_archive(*NEAR)
    running.watch.start()
    with closing(open_archive(*NEAR)) as other:
        other.index.volumes.set_detached("near", True)
    wait_until(lambda: states(running)["near"] == AWAY, what="the volume to be let go of")
