"""Every object gets its copies, also when a replica is not there for a while."""

from __future__ import annotations

import pytest

from medserver import archive, errors
from medserver.archive.follow_ups import replication_job
from medserver.archive.tombstones import write_tombstones
from medserver.index import JobFilter, NewJob, Tombstone
from medserver.index.nodes.records import NodeRecord, Serves
from medserver.safekeeping.deletion import order_deletion
from medserver.safekeeping.repair import repair_copy
from medserver.safekeeping.replication import copy_now
from medserver.safekeeping.schedule import SEEK
from medserver.safekeeping.seeking import missing_on, queue_missing, queue_repairs
from medserver.safekeeping.status import status_of
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import add_volumes, receive
from tests.index.samples import forget
from tests.peers.files import make_small
from tests.peers.small_disk import SmallDisk, requires_mount
from tests.safekeeping.conftest import (
    START,
    all_good,
    bring_back,
    paths,
    root,
    run_all,
    sent,
    served,
    states,
    take_away,
)  # fmt: skip


def waiting(node) -> dict[tuple[str, str], int]:
    return {(one.kind, one.destination): one.count for one in node.index.jobs.counts()}


@pytest.fixture
def kept(node, samples, worker):
    """The node, with all copies made."""
    run_all(worker)
    return node


def test_an_object_and_the_jobs_that_copy_it_are_added_together(node, samples, worker):
    assert waiting(node) == {("replicate", "near"): 12, ("replicate", "cold"): 12}
    run_all(worker)
    assert states(node) == all_good(12)
    assert waiting(node) == {}
    assert list(archive.check(node, digests=True)) == []
    assert status_of(node).is_well


def test_what_is_to_be_done_on_a_volume_of_another_host_is_left_to_that(node, samples, worker, open_archive, clock):
    """Who does not have the volume would take it for one that is not configured any more."""
    volumes = {name: name for name in node.volumes}
    node.index.nodes.register(NodeRecord("1", "other", "this", "serve", Serves(volumes, "main")))
    run_all(Runner(open_archive("volume main.path=store", "volume main.role=primary", clock=clock), periodic=()))
    assert waiting(node) == {("replicate", "near"): 12, ("replicate", "cold"): 12}
    run_all(worker)
    assert states(node) == all_good(12)


def test_a_volume_of_another_host_learns_of_a_deletion(node, samples, worker, open_archive, open_volumes, clock):
    """From it alone comes an index without what was deleted, also while the file is still there."""
    run_all(worker)
    volumes = {name: name for name in node.volumes}
    node.index.nodes.register(NodeRecord("1", "other", "this", "serve", Serves(volumes, "main")))
    other = open_archive("volume main.path=store", "volume main.role=primary", clock=clock)
    order_deletion(other, [one for one in node.index.select([])][:1], by="test", reason="")
    run_all(Runner(other, periodic=()))
    node.index.add_jobs([NewJob(SEEK, destination="near")])
    run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name == SEEK], periodic=()))
    alone = open_volumes("index.url=sqlite:///alone.db")
    for name in ("main", "cold"):
        del alone.volumes[name]
    list(archive.rebuild(alone))
    assert len(served(alone)) == 11


def test_what_comes_twice_is_copied_once(node, samples, worker):
    receive(node, samples[0])
    assert waiting(node)["replicate", "near"] == 12
    run_all(worker)
    assert states(node) == all_good(12)


@pytest.mark.parametrize("loss", ["gone", "a file in its place", "an empty directory in its place"])
def test_a_replica_that_is_away_catches_up_when_it_is_back(node, samples, worker, clock, tmp_path, loss):
    run_all(worker)
    near = root(node, "near")
    take_away(near)
    if loss == "a file in its place":
        near.write_text("not a directory")
    elif loss != "gone":
        near.mkdir()
    more = make_small(tmp_path / "more", 5)
    for sample in more:
        receive(node, sample)
    run_all(worker)
    assert [one.state for one in status_of(node).volumes] == ["ready", "away", "ready"]
    assert waiting(node) == {("replicate", "near"): 5}
    there = sorted(near.iterdir()) if near.is_dir() else near.read_text() if near.exists() else None
    assert there == {"gone": None, "a file in its place": "not a directory"}.get(loss, [])  # no false replica
    [first, *_] = node.index.jobs.list()
    assert "away" in first.last_error
    assert served(node) == sent([*samples, *more])
    bring_back(near)
    clock.advance(200)
    run_all(worker)
    assert states(node) == all_good(17)
    assert status_of(node).is_well


def test_a_replica_without_space_catches_up(open_volumes, worker, samples, node, clock, tmp_path):
    requires_mount()
    run_all(worker)
    disk = SmallDisk(tmp_path / "disk", 4_000_000)
    try:
        small = open_volumes("volume tight.role=replica", f"volume tight.path={disk.path / 'tight'}",
                             "volume tight.free_min_bytes=0")  # fmt: skip
        assert queue_missing(small, "tight")
        add_volumes(small, "tight")
        disk.fill()
        run_all(Runner(small, periodic=()))
        assert {one.name: one.state for one in status_of(small).volumes}["tight"] == "full"
        assert waiting(small) == {("replicate", "tight"): 12}
        disk.release()
        clock.advance(200)
        run_all(Runner(small, periodic=()))
        assert states(small) == all_good(12, ("main", "near", "cold", "tight"))
        small.close()
    finally:
        disk.close()


def test_a_new_replica_gets_everything_and_nothing_is_queued_twice(node, samples, worker, tmp_path):
    node.index.jobs.drop([job.id for job in node.index.jobs.list()])
    for _ in range(2):
        assert queue_missing(node, "near")
        assert waiting(node) == {("replicate", "near"): 12}
    run_all(worker)
    assert len(list(missing_on(node, "cold"))) == 12
    assert len(list(missing_on(node, "near"))) == 0
    assert list(copy_now(node, missing_on(node, "cold"), node.volumes["cold"])) == [None] * 12
    assert states(node) == all_good(12)


def test_an_object_that_was_put_aside_is_copied_too(node, samples, worker):
    assert receive(node, samples[0], samples[0].data_set()[:-1] + b"\x77") == "kept"
    node.index.jobs.drop([job.id for job in node.index.jobs.list()])
    queue_missing(node, "near")
    assert waiting(node) == {("replicate", "near"): 13}
    run_all(worker)
    assert states(node)["near"] == ["good"] * 13


def test_a_volume_that_is_not_configured_any_more_is_left_alone(node, samples, worker):
    node.index.jobs.drop([job.id for job in node.index.jobs.list()])
    node.index.add_jobs([replication_job("sold", "main", paths(node)[0])])
    run_all(worker)
    assert waiting(node) == {}


def test_without_a_good_copy_the_job_is_dead_and_the_object_counted_as_lost(node, samples, worker, clock):
    path = paths(node)[0]
    (root(node, "main") / path).write_bytes(b"")
    run_all(worker)
    clock.advance(300)
    run_all(worker)
    dead = list(node.index.jobs.list(JobFilter(state="dead")))
    assert {(job.kind, job.destination) for job in dead} == {
        ("replicate", "near"), ("replicate", "cold"), ("repair", "main"),
    }  # fmt: skip
    assert all("no good copy" in job.last_error for job in dead)
    assert status_of(node).lost == 1
    assert not status_of(node).is_well
    assert queue_repairs(node) == 0  # the dead one waits for an administrator
    [bad] = node.index.upkeep.bad()
    with pytest.raises(errors.DamagedObject):
        repair_copy(node, bad)


def test_an_empty_directory_is_never_a_replica_that_has_objects(kept, worker, samples, open_volumes):
    """Its disk is not mounted: nothing is written there, and nothing that is missing is bad."""
    near = root(kept, "near")
    take_away(near)
    near.mkdir()
    for reopened in (kept, open_volumes()):  # one has seen the volume, the other has not
        write_tombstones(reopened, [Tombstone("1.2", "0" * 64, "1.2", START, "test", "")])
        with pytest.raises(errors.OutOfResources, match="near is away"):
            reopened.volumes["near"].backups.put("20260131T120000Z-000000", [b"x"])
        [copy, *_] = reopened.index.locations(("main", ""))
        with pytest.raises(errors.OutOfResources, match="near is away"):
            reopened.volumes["near"].create(b"meta", copy.path)
        with pytest.raises(errors.StoreFailure, match="near is away"):
            reopened.volumes["near"].stat(copy.path)
    assert list(near.iterdir()) == []
    assert {one.name: one.state for one in status_of(kept).volumes}["near"] == "away"
    assert states(kept) == all_good(12)
    bring_back(near)
    write_tombstones(kept, [Tombstone("1.2", "0" * 64, "1.2", START, "test", "")])
    assert len(list((near / "tombstones").iterdir())) == 1
    assert status_of(kept).is_well


def test_the_primary_gets_what_only_the_others_have(kept, worker):
    """As after a rebuild that found a file of the primary damaged or missing."""
    lost = paths(kept)[3]
    (root(kept, "main") / lost).unlink()
    assert forget(kept.index, "main", lost)
    kept.index.add_jobs([NewJob(SEEK, destination="main")])
    run_all(worker)
    assert states(kept) == all_good(12)
    assert list(archive.check(kept, digests=True)) == []


def test_what_was_lost_and_is_received_again_leaves_nothing_bad(kept, worker, samples):
    """It has another path then, and what is known of the lost file goes: it would be reported for ever."""
    lost = paths(kept)[3]
    [sample] = [one for one in samples if one.sop_instance_uid == kept.index.location("main", lost).sop_instance_uid]
    for name in kept.volumes:
        (root(kept, name) / lost).unlink()
        archive.report_damage(kept, name, lost, "a test")
    run_all(worker)
    assert {job.state for job in kept.index.jobs.list()} == {"dead"}
    kept.clock.advance(3600)
    assert receive(kept, sample) == "same"
    run_all(worker)
    queue_repairs(kept)
    run_all(worker)
    assert list(kept.index.upkeep.bad()) == []
    assert states(kept) == all_good(12)
    assert list(archive.check(kept, digests=True)) == []
