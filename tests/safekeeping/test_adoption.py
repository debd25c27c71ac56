"""Files that have no row are entered by jobs, as the migration from earlier versions adds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from medserver.index import JobFilter, NewJob, StoredCopy
from medserver.node import Node
from medserver.safekeeping.adoption import ADOPT
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.peers.files import Sample
from tests.safekeeping.conftest import bring_back, flip, root, run_all, take_away


def forgotten(node: Node, sample: Sample) -> list[StoredCopy]:
    """Take an instance out of the index, and leave its files."""
    copies = [one for one in node.index.locations() if one.sop_instance_uid == sample.sop_instance_uid]
    node.index.release(copies)
    return copies


def adopt(node: Node, volume: str, path: str, **more: object) -> None:
    node.index.add_jobs([NewJob(ADOPT, {"volume": volume, "path": path} | more)])


def left(node: Node) -> list:
    return list(node.index.jobs.list(JobFilter(ADOPT)))


def test_a_file_is_entered_and_copied(node: Node, worker: Runner, samples: list[Sample]) -> None:
    [copy] = forgotten(node, samples[0])
    for _ in range(2):
        adopt(node, copy.volume, copy.path)
    run_all(worker)
    assert {one.volume for one in node.index.copies_of(copy.key)} == set(node.volumes)
    assert not left(node)


@pytest.mark.parametrize("damage", ["missing", "damaged", "no DICOM"])
def test_what_is_no_object_is_told(
    node: Node, worker: Runner, samples: list[Sample], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    [copy] = forgotten(node, samples[0])
    file: Path = root(node, copy.volume) / copy.path
    if damage == "missing":
        file.unlink()
    elif damage == "damaged":
        flip(file, -1)
    else:
        file.write_bytes(b"no DICOM")
    adopt(node, copy.volume, copy.path)
    run_all(worker)
    assert not node.index.copies_of(copy.key)
    assert not left(node)
    assert f"not adopted: {copy.volume}:{copy.path}" in caplog.text


def test_a_volume_that_is_away_is_waited_for(
    node: Node, worker: Runner, samples: list[Sample], clock
) -> None:
    run_all(worker)
    copies = {copy.volume: copy for copy in forgotten(node, samples[0])}
    others = forgotten(node, samples[1])
    directory = take_away(root(node, "near"))
    adopt(node, "near", copies["near"].path)
    adopt(node, "gone", copies["near"].path)
    adopt(node, "main", others[0].path)
    node.watch.look()
    worker.run_due()
    assert node.index.copies_of(others[0].key)  # what another volume has does not wait
    assert not node.index.copies_of(copies["near"].key)
    assert [job.state for job in left(node)] == ["waiting"] * 2
    assert "volume gone is not configured" in [job.last_error for job in left(node)]
    bring_back(root(node, "near"))
    assert directory != root(node, "near")
    node.watch.look()
    clock.advance(300)
    run_all(worker)
    assert node.index.copies_of(copies["near"].key)
    assert [job.payload["volume"] for job in left(node)] == ["gone"]


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_it_is_deleted_if_that_was_ordered(
    node: Node, worker: Runner, samples: list[Sample], is_interrupted: bool
) -> None:
    [copy] = forgotten(node, samples[0])
    if is_interrupted:
        adopt(node, copy.volume, copy.path)
        run_all(worker)
        assert node.index.copies_of(copy.key)
    adopt(node, copy.volume, copy.path, ordered=["somebody", "not needed"])
    run_all(worker)
    assert not node.index.copies_of(copy.key)
    [tombstone] = node.index.tombstones.all()
    assert (tombstone.deleted_by, tombstone.reason) == ("somebody", "not needed")


@pytest.mark.parametrize("is_adopted", [False, True])
def test_what_was_received_again_stays(
    node: Node, worker: Runner, samples: list[Sample], is_adopted: bool
) -> None:
    """Its sender was told that it is safe, after its deletion had been ordered."""
    [copy] = forgotten(node, samples[0])
    if is_adopted:
        adopt(node, copy.volume, copy.path)
        run_all(worker)
    assert receive(node, samples[0]) == ("same" if is_adopted else "stored")
    adopt(node, copy.volume, copy.path, ordered=["somebody", "not needed"])
    run_all(worker)
    assert node.index.copies_of(copy.key)
    assert not list(node.index.tombstones.all())
