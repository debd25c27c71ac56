"""Originals are let go when their compressed form has proved itself, and at no other time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.adoption import record_of_file
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.index import GOOD, StoredCopy
from medserver.node import Node
from medserver.safekeeping.deletion import duplicates_of, order_deletion
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.verification import verify_copies
from medserver.store.paths import sealed_minute
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import receive, stored_paths
from tests.clock import Clock
from tests.peers.files import Sample, make_series
from tests.safekeeping.conftest import VOLUMES, flip, root, run_all, sent, served
from tests.safekeeping.lost_pixels import compress_as_before, make_image, overlay

RLE = SHORT_NAMES["rle"]


def run(node: Node, *kinds: str) -> int:
    """Run what is due of some kinds of jobs, and what follows from it."""
    return run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name in kinds], periodic=()))


def waiting(node: Node, kind: str) -> int:
    return sum(one.count for one in node.index.jobs.counts() if one.kind == kind)


def current(node: Node) -> StoredCopy:
    [instance] = node.index.select([])
    return instance


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, open_volumes: Callable[..., Node]) -> Node:
    """Give a node on each database."""
    url = "sqlite:///index.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    return open_volumes(f"index.url={url}")


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return make_series(tmp_path / "made", 1, rows=64, columns=64)[0]


@pytest.fixture
def original(node: Node, sample: Sample) -> StoredCopy:
    """Give an original that lies beside its compressed form on every volume."""
    assert receive(node, sample, compress_to=RLE) == "stored"
    received = current(node)
    run(node, "replicate")
    run(node, "compress")
    run(node, "replicate")
    assert current(node).transfer_syntax_uid == RLE
    return received


def files_of(node: Node, copy: StoredCopy) -> list[str]:
    """Return the volumes that have the file of a copy."""
    return [name for name in VOLUMES if (root(node, name) / copy.path).exists()]


def test_it_waits_for_every_volume_that_has_the_original(node: Node, sample: Sample, clock: Clock) -> None:
    receive(node, sample, compress_to=RLE)
    received = current(node)
    run(node, "replicate")
    run(node, "compress")
    run(node, "retire", "remove")  # the compressed form is on the primary volume alone
    assert files_of(node, received) == list(VOLUMES)
    [job] = [one for one in node.index.jobs.list() if one.kind == "retire"]
    assert job.last_error == "its compressed form is not yet on cold, near"
    run(node, "replicate")
    clock.advance(10)
    run(node, "retire", "remove")
    assert files_of(node, received) == []
    assert (waiting(node, "retire"), waiting(node, "remove")) == (0, 0)


def test_to_look_again_and_again_adds_nothing(node: Node, original: StoredCopy, clock: Clock) -> None:
    """While nothing is removed, nothing is ordered to be removed a second time."""
    for _ in range(5):
        clock.advance(7200)
        run(node, "retire")
    assert waiting(node, "remove") == len(VOLUMES)
    assert files_of(node, original) == list(VOLUMES)


@pytest.mark.parametrize("damaged", [("main",), ("near", "cold"), VOLUMES], ids="-".join)
def test_a_compressed_form_that_goes_bad_meanwhile_keeps_its_original(
    node: Node, original: StoredCopy, sample: Sample, damaged: tuple[str, ...], caplog
) -> None:
    run(node, "retire")
    assert node.index.copies_of(original) == []
    for name in damaged:
        flip(root(node, name) / current(node).path, -1)
    run(node, "remove")
    assert files_of(node, original) == list(damaged)
    assert {copy.volume for copy in node.index.copies_of(original)} == set(damaged)
    assert sum("not removed" in line for line in caplog.messages) == len(damaged)
    if set(damaged) == set(VOLUMES):  # there is no good copy of the form left
        assert served(node) == sent([sample])
    run_all(Runner(node, periodic=()))
    assert len(served(node)) == 1


def test_pixels_that_are_not_those_of_the_original_keep_it(node: Node, tmp_path: Path, caplog) -> None:
    sample = make_image(tmp_path / "made", overlay)
    receive(node, sample)
    received = current(node)
    compress_as_before(node, sample)
    run_all(Runner(node, periodic=()))
    assert files_of(node, received) == list(VOLUMES)
    assert waiting(node, "retire") == 0
    assert any("original kept" in line for line in caplog.messages)


def test_an_original_that_was_received_again_is_let_go_all_the_same(
    node: Node, original: StoredCopy, sample: Sample
) -> None:
    """Its sender is told of the form: that is what is good."""
    assert receive(node, sample) == "same"
    run(node, "retire")
    assert receive(node, sample) == "same"
    run(node, "remove")
    assert receive(node, sample) == "same"
    assert files_of(node, original) == []
    assert len(stored_paths(node)) == len(VOLUMES)


def test_an_original_that_is_current_again_stays(node: Node, original: StoredCopy, sample: Sample) -> None:
    record = record_of_file(node.primary_volume, original.path, verify=True)
    promotions = node.index.promotions
    assert promotions.perform(record, by="", why="", sealed_at=sealed_minute, jobs_of=lambda promotion: ())
    run(node, "retire", "remove")
    assert files_of(node, original) == list(VOLUMES)
    assert served(node) == sent([sample])


def test_what_is_deleted_before_its_file_is_removed_goes_too(node: Node, original: StoredCopy, clock: Clock) -> None:
    """Also by a clock that was ahead when it was received."""
    run(node, "retire")
    clock.advance(-3600)
    found = [current(node)]
    order_deletion(node, [*found, *duplicates_of(node, found)], by="test", reason="")
    run(node, "delete")
    clock.advance(3660)
    run(node, "remove")
    assert stored_paths(node) == []
    assert list(archive.check(node)) == []


def test_a_start_and_a_check_leave_what_waits_to_be_removed(node: Node, original: StoredCopy) -> None:
    run(node, "retire")
    before = current(node)
    done = archive.reconcile(node)
    assert (done.adopted, done.surplus) == (0, 1)
    assert list(archive.check(node)) == []  # it is removed by jobs that wait
    assert current(node) == before
    assert archive.remove_surplus(node, node.volumes["near"], original.path)
    run(node, "remove")
    assert files_of(node, original) == []
    assert [copy.state for copy in node.index.locations()] == [GOOD] * len(VOLUMES)


def test_surplus_stays_where_what_is_in_its_place_is_not_good(node: Node, original: StoredCopy) -> None:
    run(node, "retire")
    flip(root(node, "near") / current(node).path, -1)
    assert not archive.remove_surplus(node, node.volumes["near"], original.path)
    assert files_of(node, original) == list(VOLUMES)


def verify(node: Node) -> int:
    """Read every copy; return how many are bad."""
    return len(list(verify_copies(node, list(node.index.locations()), Pace(0))))


def test_an_original_that_was_stored_again_beside_its_bad_form_goes_when_that_is_repaired(
    node: Node, original: StoredCopy, sample: Sample, clock: Clock
) -> None:
    run(node, "retire", "remove")
    flip(root(node, "main") / current(node).path, -1)
    assert verify(node) == 1
    assert receive(node, sample) == "same"  # stored: no good copy of the form is on this volume
    assert len(list(node.index.duplicates())) == 1
    run_all(Runner(node, periodic=()))
    clock.advance(7200)
    run_all(Runner(node, periodic=()))
    assert list(node.index.duplicates()) == []
    assert len(stored_paths(node)) == len(VOLUMES)
    assert list(archive.check(node, digests=True)) == []


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "damaged"])
def test_an_original_takes_its_place_again_when_its_form_is_lost(node: Node, sample: Sample, is_lost: bool) -> None:
    """The form had no copy yet. What can be had is found and sent."""
    receive(node, sample, compress_to=RLE)
    run(node, "compress")
    form = root(node, "main") / current(node).path
    if is_lost:
        form.unlink()
    else:
        flip(form, -1)
    assert verify(node) == 1
    run_all(Runner(node, periodic=()))
    assert served(node) == sent([sample])
    assert not form.exists()
    assert list(node.index.duplicates()) == []
    assert list(archive.check(node, digests=True)) == []
