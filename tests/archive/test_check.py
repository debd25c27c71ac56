"""Index and volumes compared both ways."""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.findings import Problem
from tests.index.samples import forget
from tests.archive.conftest import receive, stored_paths
from tests.peers.files import make_small


@pytest.fixture
def several(node, tmp_path) -> list[Path]:
    """Store 12 instances; give their files, sorted."""
    for sample in make_small(tmp_path / "made", 12):
        receive(node, sample)
    return [Path(node.primary_volume.root) / path for path in stored_paths(node)]


def found(node, **arguments) -> list[tuple[Problem, str]]:
    root = str(node.primary_volume.root)
    return [(one.problem, f"{root}/{one.path}") for one in archive.check(node, **arguments)]


def test_nothing_is_wrong(node, several):
    counted = []
    assert list(archive.check(node, counted.append, digests=True)) == []
    assert sum(counted) == 12


def test_every_kind_of_damage_is_found_and_nothing_else(node, several):
    several[0].unlink()
    several[3].write_bytes(several[3].read_bytes()[:-1])
    changed = bytearray(several[5].read_bytes())
    changed[-1] ^= 1
    several[5].write_bytes(changed)
    changed = bytearray(several[7].read_bytes())
    changed[1] ^= 1
    several[7].write_bytes(changed)
    forget(node.index, "main", str(several[11].relative_to(node.primary_volume.root)))
    extra = several[2].with_name("f" * 64 + ".dcm")
    extra.write_bytes(b"anything")
    by_size = [
        (Problem.MISSING, str(several[0])),
        (Problem.DAMAGED, str(several[3])),
        (Problem.NOT_INDEXED, str(several[11])),
        (Problem.NOT_INDEXED, str(extra)),
    ]
    assert sorted(found(node)) == sorted(by_size)
    by_digest = [(Problem.DAMAGED, str(several[5])), (Problem.DAMAGED, str(several[7]))]
    assert sorted(found(node, digests=True)) == sorted(by_size + by_digest)


def test_all_files_or_all_rows_gone(node, several):
    for file in several:
        file.unlink()
    assert found(node) == [(Problem.MISSING, str(file)) for file in several]


def test_rows_of_a_volume_that_is_not_configured(node, several):
    other = dataclasses.replace(node, volumes={"another": node.primary_volume})
    [finding] = [one for one in archive.check(other) if one.problem is Problem.UNKNOWN_VOLUME]
    assert finding.volume == "main"


def test_what_was_found_before_an_interruption_is_not_forgotten(node, several):
    for file in several[:3]:
        file.unlink()
    list(islice(archive.check(node, noted_every=2), 3))
    [mark] = archive.interrupted_check(node)
    assert (mark.volume, mark.found) == ("main", 2)
    assert str(several[1]).endswith(mark.path)
    assert len(list(archive.check(node))) == 1
    assert archive.interrupted_check(node) == []


@pytest.mark.parametrize("digests", [False, True])
def test_a_check_does_not_go_on_where_one_of_the_other_kind_stopped(node, several, digests):
    """What was only looked at plainly is not passed over by a check with digests."""
    several[0].unlink()
    several[9].unlink()
    list(islice(archive.check(node, digests=not digests, noted_every=1), 2))
    assert [mark.found for mark in archive.interrupted_check(node, digests=not digests)] == [1]
    assert archive.interrupted_check(node, digests=digests) == []
    assert len(list(archive.check(node, digests=digests))) == 2
    assert len(archive.interrupted_check(node, digests=not digests)) == 1
    archive.restart_check(node, digests=not digests)
    assert archive.interrupted_check(node, digests=not digests) == []


def test_check_goes_on_where_it_was_interrupted(node, several):
    for file in several:
        file.unlink()
    first = [one.path for one in islice(archive.check(node, noted_every=1), 5)]
    rest = [one.path for one in archive.check(node)]
    assert first[:4] + rest == [str(file.relative_to(node.primary_volume.root)) for file in several]
    assert len(list(archive.check(node))) == 12  # the one before came to its end: this one begins anew
    list(islice(archive.check(node, noted_every=1), 5))
    archive.restart_check(node)
    assert len(list(archive.check(node))) == 12
