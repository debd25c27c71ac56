"""What is deleted on purpose stays deleted; nothing else ever is."""

from __future__ import annotations

import logging

import pytest

from medserver import archive, errors
from medserver.archive.findings import Problem
from medserver.archive.follow_ups import compression_job
from medserver.archive.promotion import promote
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.index import GOOD, JobFilter, NewJob
from medserver.safekeeping.deletion import duplicates_of, order_deletion
from medserver.safekeeping.drained import is_draining, set_draining
from medserver.safekeeping.draining import begin_draining
from medserver.safekeeping.status import status_of
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.index.samples import forget
from tests.archive.conftest import receive
from tests.peers.files import make_series, make_small
from tests.safekeeping.conftest import all_good, bring_back, flip, paths, root, run_all, sent, served, states, take_away


@pytest.fixture
def kept(node, samples, worker, clock):
    """The node, with all copies made."""
    run_all(worker)
    clock.advance(60)
    return node


def delete(node, *samples) -> None:
    wanted = {sample.sop_instance_uid for sample in samples}
    objects = [one for one in node.index.select([]) if one.sop_instance_uid in wanted]
    objects += duplicates_of(node, objects)
    order_deletion(node, objects, by="test", reason="a test")


def files(node, name: str) -> set[str]:
    return set(node.volumes[name].walk())


def rebuilt(open_volumes, *names: str) -> dict[str, bytes]:
    """Return what an index that is made anew from some volumes serves."""
    node = open_volumes("index.url=sqlite:///another.db")
    for name in [name for name in node.volumes if name not in names]:
        del node.volumes[name]
    found = list(archive.rebuild(node))
    assert {one.problem for one in found} <= {Problem.SURPLUS}
    return served(node)


def test_a_copy_goes_though_the_index_has_lost_its_row(kept, worker, samples):
    """As after a power cut: the copy had been made, and its row was not yet durable."""
    [copy] = [
        one for one in kept.index.locations(("near", ""))
        if one.volume == "near" and one.sop_instance_uid == samples[0].sop_instance_uid
    ]  # fmt: skip
    assert forget(kept.index, "near", copy.path)
    assert copy.path in files(kept, "near")
    delete(kept, samples[0])
    run_all(worker)
    assert all(copy.path not in files(kept, name) for name in kept.volumes)


def test_every_copy_goes_and_a_tombstone_stays(kept, worker, samples, open_volumes, caplog):
    caplog.set_level(logging.INFO)
    delete(kept, *samples[:3])
    run_all(worker)
    assert states(kept) == all_good(9)
    assert served(kept) == sent(samples[3:])
    assert all(len(files(kept, name)) == 9 for name in kept.volumes)
    assert {one.sop_instance_uid for one in kept.index.tombstones.all()} == {
        sample.sop_instance_uid for sample in samples[:3]
    }  # fmt: skip
    audit = [record.getMessage() for record in caplog.records if record.getMessage().startswith("deleted")]
    assert len(audit) == 3 and all("by=test" in line and "a test" in line for line in audit)
    assert list(archive.check(kept, digests=True)) == []
    assert status_of(kept).is_well
    for name in kept.volumes:
        assert rebuilt(open_volumes, name) == sent(samples[3:])


def test_a_volume_that_was_away_is_cleaned_when_it_is_back(kept, worker, samples, open_volumes, clock):
    take_away(root(kept, "near"))
    delete(kept, samples[0])
    run_all(worker)
    assert kept.index.jobs.counts()[0].kind == "remove"
    bring_back(root(kept, "near"))
    assert len(files(kept, "near")) == 12
    # The index is lost at this moment, and its jobs with it: the tombstones of the other volumes speak.
    assert rebuilt(open_volumes, "near", "main", "cold") == sent(samples[1:])
    clock.advance(200)
    run_all(worker)
    assert len(files(kept, "near")) == 11
    assert list(kept.index.jobs.counts()) == []
    assert states(kept) == all_good(11)


def test_a_start_does_not_take_in_what_waits_to_be_removed(kept, samples, clock):
    delete(kept, samples[0])
    Runner(kept, [kind for kind in JOB_KINDS if kind.name == "delete"], periodic=()).run_due()
    assert len(files(kept, "main")) == 12
    done = archive.reconcile(kept)
    assert (done.adopted, done.surplus) == (0, 1)
    assert served(kept) == sent(samples[1:])
    assert len(files(kept, "main")) == 12
    Runner(kept, [kind for kind in JOB_KINDS if kind.name == "remove"], periodic=()).run_due()
    assert len(files(kept, "main")) == 11


def test_what_is_sent_again_is_stored_again(kept, worker, samples, open_volumes, clock):
    delete(kept, samples[0])
    run_all(worker)
    clock.advance(1)
    assert receive(kept, samples[0]) == "stored"
    run_all(worker)
    assert states(kept) == all_good(12)
    assert rebuilt(open_volumes, "main", "near", "cold") == sent(samples)


def test_nothing_stays_of_an_instance_with_several_objects(open_volumes, clock, tmp_path):
    """Whichever of them goes first: an instance without a file would still be found."""
    node = open_volumes("store.duplicates=replace")
    [sample] = make_small(tmp_path / "made")
    receive(node, sample)
    assert receive(node, sample, sample.data_set()[:-1] + b"\x77") == "replaced"
    clock.advance(60)
    delete(node, sample)
    run_all(Runner(node, periodic=()))
    counts = node.index.counts()
    assert (counts.patients, counts.instances, counts.locations) == (0, 0, 0)
    assert receive(node, sample) == "stored"


@pytest.mark.parametrize("changed", [False, True], ids=["the same", "with other bytes"])
def test_what_is_sent_again_after_the_order_stays(kept, worker, samples, open_volumes, clock, caplog, changed):
    """Success was answered for it before a worker came to the deletion."""
    caplog.set_level(logging.INFO)
    delete(kept, *samples[:2])
    clock.advance(1)
    data_set = samples[0].data_set()[:-1] + b"\x77" if changed else samples[0].data_set()
    assert receive(kept, samples[0], data_set) == ("kept" if changed else "same")
    run_all(worker)
    assert served(kept) == sent([samples[0], *samples[2:]])
    assert [one.sop_instance_uid for one in kept.index.tombstones.all()] == [samples[1].sop_instance_uid]
    assert any("not deleted" in line and samples[0].sop_instance_uid in line for line in caplog.messages)
    for name in kept.volumes:
        assert rebuilt(open_volumes, name) == sent([samples[0], *samples[2:]])
    delete(kept, samples[0])
    run_all(worker)
    assert served(kept) == sent(samples[2:])


def test_an_order_that_was_given_twice_deletes_once(kept, worker, samples, clock):
    delete(kept, samples[0])
    delete(kept, samples[0])
    [first, second] = kept.index.jobs.list(JobFilter("delete"))
    kept.index.jobs.drop([second.id])
    run_all(worker)
    clock.advance(1)
    assert receive(kept, samples[0]) == "stored"
    kept.index.add_jobs([NewJob("delete", second.payload)])
    run_all(worker)
    assert served(kept) == sent(samples)


def test_a_clock_that_was_set_back_does_not_delete_what_came_later(kept, worker, samples, clock):
    delete(kept, samples[0])
    clock.advance(-3600)
    assert receive(kept, samples[0]) == "same"
    clock.advance(3601)
    run_all(worker)
    assert served(kept) == sent(samples)


def test_what_was_put_aside_goes_too(kept, worker, samples):
    assert receive(kept, samples[0], samples[0].data_set()[:-1] + b"\x77") == "kept"
    run_all(worker)
    delete(kept, samples[0])
    run_all(worker)
    assert states(kept) == all_good(11)
    assert list(kept.index.duplicates()) == []


def test_an_object_that_is_copied_while_it_is_deleted_leaves_nothing(kept, worker, samples):
    [location] = [one for one in kept.index.select([]) if one.sop_instance_uid == samples[0].sop_instance_uid]
    delete(kept, samples[0])
    run_all(worker)
    with pytest.raises(errors.StoreFailure):
        archive.copy_object(kept, location, kept.volumes["near"])
    assert len(files(kept, "near")) == 11


def test_an_object_in_a_journal_goes_when_it_can(open_volumes, samples, node, clock, tmp_path):
    receiving = open_volumes(receives=True)
    [sample] = make_small(tmp_path / "more", 1)
    receive(receiving, sample)
    worker = Runner(node, periodic=())
    delete(node, sample)
    run_all(worker)
    assert {one.kind for one in node.index.jobs.counts()} == {"remove"}
    receiving.primary_volume.place_all()
    clock.advance(10)
    run_all(worker)
    assert list(node.index.jobs.counts()) == []
    assert len(files(node, "main")) == 12


def test_a_replica_is_drained(kept, worker, samples):
    begin_draining(kept, "near")
    run_all(worker)
    assert states(kept) == all_good(12, ("main", "cold"))
    assert files(kept, "near") == set()
    assert served(kept) == sent(samples)
    assert {one.name: one.role for one in status_of(kept).volumes}["near"] == "draining"
    assert status_of(kept).is_well
    [again] = [receive(kept, samples[0])]
    run_all(worker)
    assert again == "same" and files(kept, "near") == set()
    set_draining(kept, "near", False)
    assert not is_draining(kept, "near")


def test_the_primary_is_not_drained(kept):
    with pytest.raises(errors.BadUsage):
        begin_draining(kept, "main")


def test_draining_never_removes_the_last_good_copy(kept, worker, samples, clock):
    only, made_anew, *_ = paths(kept)
    for name in ("main", "cold"):
        flip(root(kept, name) / only, -1)
        flip(root(kept, name) / made_anew, -1)
    flip(root(kept, "near") / only, -1)  # this one is lost
    begin_draining(kept, "near")
    run_all(worker)
    assert paths(kept, "near") == [only]
    assert (root(kept, "near") / only).exists()
    [job] = kept.index.jobs.list(JobFilter("drain"))
    assert "without another good copy" in job.last_error
    [made] = [one for one in kept.index.locations() if (one.volume, one.path) == ("main", made_anew)]
    assert made.state == GOOD
    kept.volumes["main"].verify(archive.as_stored(made))


@pytest.mark.parametrize("started", ["before the deletion", "after it"])
def test_a_form_that_an_interrupted_compression_left_goes_with_its_original(
    node, worker, open_volumes, clock, tmp_path, started
):
    """Nobody knew of it when the deletion was ordered."""
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    rle = SHORT_NAMES["rle"]
    receive(node, sample, compress_to=rle)
    [original] = node.index.select([])
    Runner(node, [kind for kind in JOB_KINDS if kind.name == "compress"], periodic=()).run_due()
    [form] = node.index.select([])
    assert forget(node.index, "main", form.path)  # its row was never written, nor the end of its job
    node.index.add_jobs([compression_job("main", original.path, rle)])
    promote(node, original.key, by="test", why="as before the compression")
    clock.advance(60)
    delete(node, sample)
    if started == "before the deletion":
        assert archive.reconcile(node).adopted == 0
    run_all(worker)
    assert archive.reconcile(node).adopted == 0
    assert served(node) == {}
    assert {path for name in node.volumes for path in files(node, name)} == set()
    assert rebuilt(open_volumes, *node.volumes) == {}


def test_a_form_stays_when_its_original_alone_is_deleted(node, worker, open_volumes, tmp_path):
    """It is a duplicate since it was compressed; earlier versions had all of them deleted."""
    [sample] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    receive(node, sample, compress_to=SHORT_NAMES["rle"])
    run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name != "retire"], periodic=()))
    [form] = node.index.select([])
    order_deletion(node, list(node.index.duplicates()), by="compression", reason="to save space")
    run_all(worker)
    [kept] = node.index.select([])
    assert kept.key == form.key
    other = open_volumes(index_url=f"sqlite:///{tmp_path / 'other.db'}")
    assert list(archive.rebuild(other)) == []
    assert [one.key for one in other.index.select([])] == [form.key]
