"""Versions of one SOP Instance: which one is at the front when they come again."""

from __future__ import annotations

import pytest

from medserver import archive
from tests.archive.conftest import receive, stored_paths
from tests.archive.test_rebuild import variant
from tests.peers.files import make_small


@pytest.mark.parametrize(("duplicates", "front"), [("keep", 0), ("replace", 1)])
def test_a_version_that_was_put_aside_and_comes_again_stays_aside(open_archive, tmp_path, duplicates, front):
    """It is stored already: success, no further file, and nothing changes its place."""
    node = open_archive(f"store.duplicates={duplicates}")
    [sample] = make_small(tmp_path / "made")
    versions = [sample.data_set(), variant(sample, ImageComments="second")]
    for data_set in versions:
        receive(node, sample, data_set)
    paths = stored_paths(node)
    assert len(paths) == 2
    for data_set in (*versions, *versions):
        assert receive(node, sample, data_set) == "same"
    assert stored_paths(node) == paths
    [found] = node.index.select([])
    with archive.open_data_set(node, found) as file:
        assert file.read() == versions[front]
    assert len(list(node.index.duplicates())) == 1
