"""What a start does about objects that were sealed but not entered."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.findings import Problem
from medserver.archive.reconciling import Reconciliation
from medserver.store import paths
from tests.archive.conftest import receive, stored_paths
from tests.clock import Clock
from tests.peers.files import make_small

START = datetime(2026, 1, 31, 22, 59, 30, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def node(open_archive, clock):
    return open_archive(clock=clock)


def rows(node) -> dict:
    return {(one.volume, one.path): one for one in node.index.locations()}


def forget(node, paths) -> None:
    """Bring the index back to where a crash before the row would have left it."""
    for path in paths:
        assert node.index.remove_location("main", path)


def test_nothing_to_do(node, tmp_path):
    assert archive.reconcile(node) == Reconciliation()
    receive(node, make_small(tmp_path / "made")[0])
    assert archive.reconcile(node) == Reconciliation()


def test_objects_without_a_row_get_the_row_that_they_would_have_had(node, clock, tmp_path):
    for sample in make_small(tmp_path / "made", 6):
        receive(node, sample)
        clock.now += timedelta(seconds=7)
    before = rows(node)
    lost = stored_paths(node)[-3:]
    forget(node, lost)
    assert archive.reconcile(node) == Reconciliation(adopted=3)
    assert rows(node) == before
    assert archive.reconcile(node) == Reconciliation()


def test_everything_is_adopted_when_the_index_is_empty(node, clock, tmp_path):
    for sample in make_small(tmp_path / "made", 3):
        receive(node, sample)
        clock.now += timedelta(days=400)
    before = rows(node)
    forget(node, stored_paths(node))
    assert archive.reconcile(node).adopted == 3
    assert rows(node) == before


@pytest.mark.parametrize(("age", "adopted"), [(timedelta(minutes=59), 1), (timedelta(hours=3), 0)])
def test_only_the_last_hour_is_looked_at(node, clock, tmp_path, age, adopted):
    old, new = make_small(tmp_path / "made", 2)
    receive(node, old)
    clock.now += age
    receive(node, new)
    forget(node, stored_paths(node)[:1])
    assert archive.reconcile(node).adopted == adopted
    assert [finding.problem for finding in archive.check(node)] == [Problem.NOT_INDEXED] * (1 - adopted)


def test_clock_that_was_wrong_for_a_while(node, clock, tmp_path):
    future, lost = make_small(tmp_path / "made", 2)
    clock.now = datetime(2099, 1, 1, tzinfo=UTC)
    receive(node, future)
    clock.now = START
    receive(node, lost)
    assert archive.reconcile(node) == Reconciliation()


def test_what_was_sealed_after_a_clock_that_was_wrong_is_adopted(node, clock, tmp_path):
    """The newest row is the one that was entered last, not the one with the latest time."""
    future, known, lost = make_small(tmp_path / "made", 3)
    clock.now = datetime(2099, 1, 1, tzinfo=UTC)
    receive(node, future)
    clock.now = START
    receive(node, known)
    clock.now = START + timedelta(minutes=5)
    receive(node, lost)
    before = rows(node)
    forget(node, [path for path in stored_paths(node) if path.startswith("2026/01/31/2304/")])
    assert archive.reconcile(node) == Reconciliation(adopted=1)
    assert rows(node) == before


def test_second_copy_and_refused_object_are_removed_as_reception_would_have(
    open_archive, node, clock, tmp_path
):
    sample = make_small(tmp_path / "made")[0]
    receive(node, sample)
    [path] = stored_paths(node)
    root = Path(node.primary_volume.root)
    shutil.copy(root / path, root / paths.directory_of(path) / paths.file_name(paths.digest_of(path), 1))
    assert archive.reconcile(node) == Reconciliation(removed=1)
    assert stored_paths(node) == [path]
    assert list(archive.check(node, digests=True)) == []


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "pixel"])
def test_damaged_object_is_reported_and_left_alone(node, tmp_path, damage):
    first, second = make_small(tmp_path / "made", 2)
    receive(node, first)
    kept = stored_paths(node)
    receive(node, second)
    [path] = set(stored_paths(node)) - set(kept)
    forget(node, [path])
    file = Path(node.primary_volume.root) / path
    whole = file.read_bytes()
    changed = {"cut": whole[:-1], "garbage": b"x" * 2000, "empty": b"", "pixel": whole[:-1] + b"\xff"}[damage]
    file.write_bytes(changed)
    done = archive.reconcile(node)
    assert [(one.problem, one.path) for one in done.findings] == [(Problem.DAMAGED, path)]
    assert (done.adopted, done.removed) == (0, 0)
    assert file.read_bytes() == changed


def test_unfinished_files_of_a_dead_process_are_swept(node, tmp_path):
    receive(node, make_small(tmp_path / "made")[0])
    abandoned = Path(node.primary_volume.root) / "incoming" / "0123456789abcdef"
    abandoned.mkdir()
    (abandoned / "1-2.part").write_bytes(b"half")
    assert archive.reconcile(node) == Reconciliation(swept=1)
    assert not abandoned.exists()
