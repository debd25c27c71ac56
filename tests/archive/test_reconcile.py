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
from medserver.work.runner import Runner
from tests.archive.conftest import receive, stored_paths
from tests.clock import Clock
from tests.index import samples
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
        assert samples.forget(node.index, "main", path)


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


class Interrupting(Clock):
    """A clock that ends the work that asks it, once."""

    left: int | None = None

    def __call__(self) -> datetime:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise KeyboardInterrupt
        return super().__call__()


def test_what_an_interrupted_start_had_not_adopted_is_not_routed_by_the_next(open_archive, tmp_path):
    """The whole store is not news, whatever number of starts it takes."""
    clock = Interrupting(START)
    node = open_archive(
        "ae PACS.address=127.0.0.1:104", "route all.to=PACS", clock=clock
    )
    for sample in make_small(tmp_path / "made", 6):
        receive(node, sample)
        clock.now += timedelta(minutes=2)
    node.index.jobs.drop([job.id for job in node.index.jobs.list()])
    forget(node, stored_paths(node))
    clock.left = 3
    with pytest.raises(KeyboardInterrupt):
        archive.reconcile(node)
    begun = node.index.counts().instances
    assert 0 < begun < 6
    assert archive.reconcile(node).adopted == 6 - begun
    assert [job.kind for job in node.index.jobs.list()] == []
    forget(node, stored_paths(node)[:1])
    archive.reconcile(node)  # one that a crash left is news


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


def test_a_second_copy_is_surplus_and_removed_by_a_job(
    open_archive, node, clock, tmp_path
):
    sample = make_small(tmp_path / "made")[0]
    receive(node, sample)
    [path] = stored_paths(node)
    root = Path(node.primary_volume.root)
    shutil.copy(root / path, root / paths.directory_of(path) / paths.file_name(paths.digest_of(path), 1))
    assert archive.reconcile(node) == Reconciliation(surplus=1)
    assert len(stored_paths(node)) == 2
    assert list(archive.check(node, digests=True)) == []  # it is ordered to be removed
    Runner(node, periodic=()).run_due()
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
    assert (done.adopted, done.surplus) == (0, 0)
    assert file.read_bytes() == changed


def test_unfinished_files_of_a_dead_process_are_swept(node, tmp_path):
    receive(node, make_small(tmp_path / "made")[0])
    abandoned = Path(node.primary_volume.root) / "incoming" / "0123456789abcdef"
    abandoned.mkdir()
    (abandoned / "1-2.part").write_bytes(b"half")
    assert archive.reconcile(node) == Reconciliation(unfinished=1)
    assert not abandoned.exists()
