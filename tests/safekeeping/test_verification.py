"""Every flipped bit is found, repaired while there is a good copy, and never served."""

from __future__ import annotations

import os
import random
import shutil
from datetime import timedelta

import pytest

from medserver import archive, errors
from medserver.archive.findings import Problem
from medserver.index import BAD, GOOD, NewJob
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.renewal import renew
from medserver.safekeeping.repair import repair_copy
from medserver.safekeeping.schedule import VERIFY
from medserver.safekeeping.seeking import queue_repairs
from medserver.safekeeping.status import status_of
from medserver.safekeeping.verification import verify_copies
from medserver.volumes import record_present
from tests.safekeeping.conftest import (
    START, all_good, bring_back, flip, paths, root, run_all, sent, served, states, take_away,
)  # fmt: skip
from tests.safekeeping.flips import Flips

FLIPS = 400


def verify_all(node) -> list:
    found = []
    for name in node.volumes:
        found += verify_copies(node, node.index.upkeep.to_verify(name, node.clock() + timedelta(seconds=1)), Pace(None))
    return found


@pytest.fixture
def kept(node, samples, worker):
    """The node, with all copies made."""
    run_all(worker)
    return node


def test_what_is_good_is_noted(kept, clock):
    clock.advance(60)
    assert verify_all(kept) == []
    assert {one.verified_at for one in kept.index.locations()} == {clock.now}
    assert list(kept.index.upkeep.to_verify("main", clock.now)) == []


def test_the_oldest_comes_first(kept, clock):
    everything = list(kept.index.locations(("main", "")))
    first, second, third, *_ = [one for one in everything if one.volume == "main"]
    for copy in (second, first):
        clock.advance(60)
        kept.index.upkeep.note_verified([copy], clock.now)
    clock.advance(60)
    order = [one.path for one in kept.index.upkeep.to_verify("main", clock.now)]
    assert order[-2:] == [second.path, first.path]
    assert third.path in order[:-2]
    assert len(order) == 12
    tally = kept.index.upkeep.tally().volumes["main"]
    assert tally.first_never_verified == order[0]
    assert tally.first_verified_at == START.replace(minute=1)
    assert status_of(kept).unverified_since == START


def test_the_job_verifies_what_is_due_and_not_more(kept, worker, clock):
    def verify() -> None:
        for name in kept.volumes:
            kept.index.add_jobs([NewJob(VERIFY, destination=name)])
        run_all(worker)

    verify()
    assert {one.verified_at for one in kept.index.locations() if one.volume == "main"} == {None}
    clock.advance(31 * 86_400)
    damaged = root(kept, "near") / paths(kept)[3]
    flip(damaged, -1)
    verify()
    assert states(kept) == all_good(12)  # found, and repaired by the job that followed
    assert {one.verified_at for one in kept.index.locations()} == {clock.now}
    assert list(archive.check(kept, digests=True)) == []


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "missing", "a directory"])
@pytest.mark.parametrize("volume", ["main", "near"])
def test_every_kind_of_damage_is_found_and_repaired(kept, worker, samples, clock, volume, damage):
    file = root(kept, volume) / paths(kept)[5]
    if damage == "flip":
        flip(file, 200)
    elif damage == "cut":
        os.truncate(file, 1000)
    elif damage == "longer":
        file.write_bytes(file.read_bytes() + b"\0")
    else:
        file.unlink()
    if damage == "a directory":
        file.mkdir()
    clock.advance(1)
    [found] = verify_all(kept)
    assert (found.volume, found.path) == (volume, paths(kept)[5])
    assert states(kept)[volume].count(BAD) == (damage != "a directory")
    if damage == "a directory":  # nobody knows what that is: it is said, and left to people
        assert found.problem == Problem.UNREADABLE
        return
    assert served(kept) == sent(samples)
    run_all(worker)
    assert states(kept) == all_good(12)
    assert list(archive.check(kept, digests=True)) == []


def test_a_read_that_finds_damage_has_it_repaired(kept, worker, samples):
    flip(root(kept, "main") / paths(kept)[0], -1)
    assert served(kept) == sent(samples)
    assert states(kept)["main"].count(BAD) == 1
    assert {(one.kind, one.destination) for one in kept.index.jobs.counts()} == {("repair", "main")}
    run_all(worker)
    assert states(kept) == all_good(12)


def test_a_bad_copy_stays_until_a_good_one_is_in_its_place(kept):
    path = paths(kept)[0]
    contents = {}
    for name in kept.volumes:
        flip(root(kept, name) / path, 300)
        contents[name] = (root(kept, name) / path).read_bytes()
    assert len(verify_all(kept)) == 3
    for location in list(kept.index.upkeep.bad()):
        with pytest.raises(errors.DamagedObject):
            repair_copy(kept, location)
    assert {name: (root(kept, name) / path).read_bytes() for name in kept.volumes} == contents
    assert status_of(kept).lost == 1
    # The last copy is brought back by hand, and everything heals from there.
    flip(root(kept, "cold") / path, 300)
    kept.index.jobs.retry([job.id for job in kept.index.jobs.list()])
    for location in sorted(kept.index.upkeep.bad(), key=lambda one: one.volume):
        repair_copy(kept, location)
    assert states(kept) == all_good(12)
    assert list(archive.check(kept, digests=True)) == []


def test_damage_without_a_job_gets_one(kept, worker):
    flip(root(kept, "near") / paths(kept)[0], -1)
    verify_all(kept)
    assert queue_repairs(kept) == 0
    kept.index.jobs.drop([job.id for job in kept.index.jobs.list()])
    assert queue_repairs(kept) == 1
    run_all(worker)
    assert states(kept) == all_good(12)


def test_flips(kept, worker, samples, clock):
    flips = Flips(kept, random.Random(20261126), ("main", "near"))
    for count in (1, 3, 12, 40, FLIPS - 56):
        flips.flip(count)
        assert served(kept) == sent(samples)
        clock.advance(1)
        verify_all(kept)
        assert flips.not_found() == []
        run_all(worker)
        assert states(kept) == all_good(12)
        assert list(archive.check(kept, digests=True)) == []
    assert flips.count == FLIPS


def test_a_primary_that_is_lost_comes_back_from_the_replica(kept, worker, samples, clock):
    main = root(kept, "main")
    shutil.rmtree(main)
    assert served(kept) == sent(samples)
    run_all(worker)
    assert not main.exists()
    assert status_of(kept).volumes[0].state == "away"
    renew(kept, kept.volumes["main"])
    assert status_of(kept).volumes[0].bad == 12
    assert served(kept) == sent(samples)
    run_all(worker)
    assert states(kept) == all_good(12)
    assert list(archive.check(kept, digests=True)) == []
    assert {one.volume for one in kept.index.select([])} == {"main"}
    assert served(kept) == sent(samples)


def test_a_volume_with_objects_is_never_renewed(kept):
    with pytest.raises(errors.BadUsage, match="not lost"):
        renew(kept, kept.volumes["main"])
    take_away(root(kept, "near"))
    renew(kept, kept.volumes["near"])
    bring_back(root(kept, "near"))
    with pytest.raises(errors.StoreFailure, match="foreign"):
        repair_copy(kept, next(kept.index.upkeep.bad()))
    record_present(kept.index, [kept.volumes["near"]])  # as `medserver store attach`
    for location in list(kept.index.upkeep.bad()):
        before = (root(kept, "near") / location.path).stat()
        repair_copy(kept, location)
        assert (root(kept, "near") / location.path).stat() == before  # it was good, and was not written
    assert states(kept) == all_good(12)
    assert all(one.state == GOOD for one in kept.index.locations())


def test_a_wrong_verdict_is_undone_without_an_administrator(kept, worker):
    """Also where the job that repairs has given up."""
    for location in list(kept.index.locations()):
        kept.index.mark_location(location.volume, location.path, BAD)
    kept.index.jobs.drop([job.id for job in kept.index.jobs.list()])
    for name in ("main", "near", "cold"):
        kept.index.add_jobs([NewJob(VERIFY, destination=name)])
    run_all(worker)
    assert states(kept) == all_good(12)
    assert status_of(kept).is_well
