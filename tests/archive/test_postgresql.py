"""The archive on PostgreSQL: the order of rows, the outcomes and the repairs are those of SQLite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.findings import Problem
from medserver.archive.reconciling import Reconciliation
from tests.archive.conftest import receive, stored_paths
from tests.index.samples import forget
from tests.peers.files import make_small, samples


@pytest.fixture
def node(open_archive, new_database):
    return open_archive(f"index.url={new_database()}")


def test_everything_that_is_stored_is_found_and_can_be_rebuilt(node, open_archive, new_database, tmp_path):
    several = [*samples(), *make_small(tmp_path / "made", 20)]
    outcomes = [receive(node, sample) for sample in several]
    assert outcomes.count("stored") == node.index.counts().instances
    assert list(archive.check(node, digests=True)) == []
    assert archive.reconcile(node) == Reconciliation()
    for instance in node.index.select([]):
        assert archive.read_header(node, instance).SOPInstanceUID == instance.sop_instance_uid
    new = open_archive(index_url=new_database())
    assert list(archive.rebuild(new)) == []
    assert list(new.index.locations()) == [replace(one, receipts=1, verified_at=None) for one in node.index.locations()]
    assert new.index.counts() == node.index.counts()


def test_what_is_missing_is_found_and_adopted(node, tmp_path):
    for sample in make_small(tmp_path / "made", 10):
        receive(node, sample)
    paths = stored_paths(node)
    forget(node.index, "main", paths[3])
    (Path(node.primary_volume.root) / paths[7]).unlink()
    found = [(one.problem, one.path) for one in archive.check(node)]
    assert found == [(Problem.NOT_INDEXED, paths[3]), (Problem.MISSING, paths[7])]
    assert archive.reconcile(node) == Reconciliation(adopted=1)
