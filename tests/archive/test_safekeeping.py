"""Success is answered when there are so many copies as the configuration demands."""

from __future__ import annotations

from pathlib import Path

import pytest

from medserver import archive, errors
from medserver.index import BAD, GOOD
from tests.archive.conftest import receive
from tests.peers.files import make_small


@pytest.fixture
def node(open_archive, tmp_path):
    """A node with two replicas and an archive, which makes two copies before it answers."""
    options = ["volume main.path=store", "store.copies_before_success=2"]
    for name, role in {"cold": "archive", "near": "replica", "far": "replica"}.items():
        options += [f"volume {name}.path={tmp_path / name}", f"volume {name}.role={role}"]
    return open_archive(*options, receives=True)


@pytest.fixture
def sample(tmp_path):
    return make_small(tmp_path / "made", 1)[0]


def take_away(node, name: str) -> None:
    """Put a file where the directory of a volume should be."""
    root = Path(node.volumes[name].root)
    root.rename(f"{root}.away")
    root.write_text("not a directory")


def give_back(node, name: str) -> None:
    root = Path(node.volumes[name].root)
    root.unlink()
    Path(f"{root}.away").rename(root)


def volumes_of(node) -> list[str]:
    [stored] = node.index.select([])
    return [copy.volume for copy in node.index.copies_of(stored) if copy.state == GOOD]


def test_there_are_two_verified_copies_when_it_is_answered(node, sample):
    assert receive(node, sample) == "stored"
    assert volumes_of(node) == ["main", "near"]
    node.primary_volume.place_all()
    assert list(archive.check(node, digests=True)) == []


def test_another_replica_takes_the_place_of_one_that_is_down(node, sample):
    take_away(node, "near")
    assert receive(node, sample) == "stored"
    assert volumes_of(node) == ["main", "far"]


def test_without_enough_replicas_nothing_is_acknowledged(node, sample):
    for name in ("near", "far"):
        take_away(node, name)
    for _ in range(2):
        with pytest.raises(errors.OutOfResources, match="1 of 2 copies"):
            receive(node, sample)
    assert volumes_of(node) == ["main"]
    give_back(node, "far")
    assert receive(node, sample) == "same"
    assert volumes_of(node) == ["main", "far"]
    assert receive(node, sample) == "same"
    assert volumes_of(node) == ["main", "far"]


def test_a_bad_copy_does_not_count(node, sample):
    receive(node, sample)
    [stored] = node.index.select([])
    node.index.mark_location("near", stored.path, BAD)
    assert receive(node, sample) == "same"
    assert volumes_of(node) == ["main", "near"]


def test_what_arrives_again_takes_the_place_of_a_bad_original(node, sample):
    receive(node, sample)
    [stored] = node.index.select([])
    node.index.mark_location("main", stored.path, BAD)
    assert receive(node, sample) == "same"
    assert volumes_of(node) == ["main", "near"]
    [again] = node.index.select([])
    assert again.path != stored.path
    with archive.open_data_set(node, again) as file:
        assert file.read() == sample.data_set()


def test_an_object_that_is_put_aside_is_copied_as_well(node, sample):
    receive(node, sample)
    assert receive(node, sample, sample.data_set() + b"\xe1\x7f\x10\x10OB\0\0\x02\0\0\0ab") == "kept"
    [aside] = node.index.duplicates()
    assert [copy.volume for copy in node.index.copies_of(aside)] == ["main", "near"]
