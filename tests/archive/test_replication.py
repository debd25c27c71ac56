"""Copies on several volumes: how they are made, and which of them is read."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from medserver import archive, errors
from medserver.archive.findings import Problem
from medserver.index import BAD, GOOD
from medserver.store import DirectoryVolume, StoredObject
from tests.index.samples import forget
from tests.archive.conftest import receive, stored_paths
from tests.archive.test_reconcile import START
from tests.clock import Clock
from tests.peers.files import Sample, make_small

LARGE_BYTES = 3 * 1024 * 1024 + 17


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def node(open_archive, clock, tmp_path):
    """A node with a primary volume, a replica and an archive."""
    volumes = {"near": "replica", "cold": "archive"}
    options = ["volume main.path=store"]
    for name, role in volumes.items():
        options += [f"volume {name}.path={tmp_path / name}", f"volume {name}.role={role}"]
    opened = open_archive(*options, clock=clock)
    assert list(opened.volumes) == ["main", "near", "cold"]
    return opened


@pytest.fixture(params=["small", "large"])
def sample(request, tmp_path) -> Sample:
    [made] = make_small(tmp_path / "made", 1)
    if request.param == "small":
        return made
    data_set = made.data_set()
    filling = random.Random(5).randbytes(LARGE_BYTES)
    # A private element of group 7FE1 behind the pixels: (7FE1,1010) OB.
    tail = b"\xe1\x7f\x10\x10OB\0\0" + (len(filling) + 1).to_bytes(4, "little") + filling + b"\0"
    return LargeSample(made, data_set + tail)


class LargeSample:
    """A sample with more behind it."""

    def __init__(self, sample: Sample, data_set: bytes) -> None:
        self.sop_class_uid = sample.sop_class_uid
        self.sop_instance_uid = sample.sop_instance_uid
        self.transfer_syntax_uid = sample.transfer_syntax_uid
        self._data_set = data_set

    def data_set(self) -> bytes:
        return self._data_set


@pytest.fixture
def instance(node, sample):
    """An instance with a copy on each volume."""
    receive(node, sample, fragment_size=500_000)
    replicate(node)
    return the_instance(node)


def the_instance(node):
    [stored] = node.index.select([])
    return stored


def replicate(node) -> None:
    for location in list(node.index.locations(("main", ""))):
        if location.volume == "main":
            for name in ("near", "cold"):
                archive.copy_object(node, location, node.volumes[name])


def file_of(node, volume: str, path: str) -> Path:
    return Path(node.volumes[volume].root) / path


def flip(file: Path, offset: int, bit: int = 1) -> None:
    content = bytearray(file.read_bytes())
    content[offset] ^= bit
    file.write_bytes(content)


def read(node, stored) -> bytes:
    with archive.open_data_set(node, stored) as file:
        pieces = []
        while piece := file.read(100_000):
            pieces.append(piece)
        return b"".join(pieces)


def states(node) -> dict[str, str]:
    return {one.volume: one.state for one in node.index.locations()}


def test_a_copy_is_the_same_file_and_is_known(node, sample, instance):
    copies = node.index.copies_of(instance)
    assert [copy.volume for copy in copies] == ["main", "near", "cold"]
    assert {copy.path for copy in copies} == {instance.path}
    contents = {file_of(node, copy.volume, copy.path).read_bytes() for copy in copies}
    assert len(contents) == 1
    assert [copy.verified_at for copy in copies] == [None, START, START]
    assert list(archive.check(node, digests=True)) == []
    assert node.index.counts().instances == 1
    assert node.index.counts().locations == 3


def test_copying_again_changes_nothing(node, instance):
    before = list(node.index.locations())
    modified = file_of(node, "near", instance.path).stat()
    replicate(node)
    assert list(node.index.locations()) == before
    assert file_of(node, "near", instance.path).stat() == modified


def test_a_copy_without_a_row_gets_one(node, instance):
    forget(node.index, "near", instance.path)
    modified = file_of(node, "near", instance.path).stat().st_mtime_ns
    copied = archive.copy_object(node, instance, node.volumes["near"])
    assert isinstance(copied, StoredObject)
    assert file_of(node, "near", instance.path).stat().st_mtime_ns == modified
    assert states(node) == {"main": GOOD, "near": GOOD, "cold": GOOD}


@pytest.mark.parametrize("offset", [3, -1])
def test_what_is_wrong_in_the_place_of_a_copy_is_replaced(node, sample, instance, offset):
    forget(node.index, "near", instance.path)
    flip(file_of(node, "near", instance.path), offset)
    archive.copy_object(node, instance, node.volumes["near"])
    assert list(archive.check(node, digests=True)) == []


@pytest.mark.parametrize("damage", ["missing", "cut", "meta", "first bit", "last bit"])
@pytest.mark.parametrize("volumes", [("main",), ("main", "near")])
def test_a_bad_copy_is_left_for_the_next(node, sample, instance, clock, damage, volumes):
    clock.now += timedelta(days=100)  # nothing is trusted any more
    for volume in volumes:
        file = file_of(node, volume, instance.path)
        if damage == "missing":
            file.unlink()
        elif damage == "cut":
            os.truncate(file, file.stat().st_size - 1)
        else:
            flip(file, {"meta": 5, "first bit": instance.data_set_offset, "last bit": -1}[damage])
    assert read(node, instance) == sample.data_set()
    assert states(node) == {name: BAD if name in volumes else GOOD for name in ("main", "near", "cold")}
    preferred = the_instance(node)
    assert preferred.volume == ("near" if volumes == ("main",) else "cold")
    assert read(node, preferred) == sample.data_set()
    for volume in volumes:
        archive.copy_object(node, preferred, node.volumes[volume])
    assert set(states(node).values()) == {GOOD}
    assert list(archive.check(node, digests=True)) == []
    assert the_instance(node).volume == "main"


def test_without_a_good_copy_nothing_is_given(node, instance, clock):
    clock.now += timedelta(days=100)
    for copy in node.index.copies_of(instance):
        flip(file_of(node, copy.volume, copy.path), -7)
    for stored in (instance, instance, the_instance(node)):
        with pytest.raises(errors.DamagedObject):
            read(node, stored)
    with pytest.raises(errors.DamagedObject):
        archive.copy_object(node, instance, node.volumes["near"])
    assert set(states(node).values()) == {BAD}


def test_a_fresh_large_object_is_never_given_to_its_end_when_it_is_bad(node, instance):
    flip(file_of(node, "main", instance.path), -1)
    if instance.size_bytes < LARGE_BYTES:
        assert len(read(node, instance)) == instance.size_bytes  # it was read at once, from the next copy
    else:
        given = 0
        with archive.open_data_set(node, instance) as file, pytest.raises(errors.DamagedObject):
            while piece := file.read(100_000):
                given += len(piece)
        assert given < instance.size_bytes
    assert states(node) == {"main": BAD, "near": GOOD, "cold": GOOD}
    assert len(read(node, instance)) == instance.size_bytes


class Breaking(DirectoryVolume):
    """A directory on a disk that cannot be read beyond a byte."""

    readable_bytes = 2_000_000

    def open(self, path):
        return BrokenFile(super().open(path), self.readable_bytes)


class BrokenFile:
    """A file on such a disk."""

    def __init__(self, file, readable_bytes):
        self._file, self._readable_bytes = file, readable_bytes
        self.seek, self.close = file.seek, file.close

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def read(self, size):
        if self._file.tell() + size > self._readable_bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.read(size)

    def readinto(self, buffer):
        if self._file.tell() + len(buffer) > self._readable_bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._file.readinto(buffer)


def test_another_copy_takes_over_in_the_midst(node, sample, instance):
    breaking = Breaking("main", node.primary_volume.root)
    if instance.size_bytes < LARGE_BYTES:
        breaking.readable_bytes = 100
    volumes = {**node.volumes, "main": breaking}
    assert read(dataclasses.replace(node, volumes=volumes), instance) == sample.data_set()
    assert set(states(node).values()) == {GOOD}  # it cannot be read, which says nothing about its bytes


def test_a_volume_that_is_not_there_is_no_damage(node, sample, instance):
    os.rename(node.primary_volume.root, f"{node.primary_volume.root}.away")
    assert read(node, instance) == sample.data_set()
    assert archive.read_header(node, instance, verified=True).SOPInstanceUID == instance.sop_instance_uid
    os.mkdir(node.primary_volume.root)  # an empty mount point
    assert read(node, instance) == sample.data_set()
    assert set(states(node).values()) == {GOOD}
    os.rename(f"{node.primary_volume.root}.away", node.primary_volume.root)
    assert read(node, instance) == sample.data_set()


def test_a_header_comes_from_a_good_copy(node, instance):
    file = file_of(node, "main", instance.path)
    flip(file, instance.data_set_offset + 60)
    header = archive.read_header(node, instance, verified=True)
    assert header.SOPInstanceUID == instance.sop_instance_uid
    assert states(node)["main"] == BAD


def test_a_volume_that_takes_nothing_is_not_blamed_on_the_source(node, sample, instance, tmp_path):
    (tmp_path / "file").write_text("a file where a directory should be")
    with pytest.raises(errors.StoreFailure):
        archive.copy_object(node, instance, DirectoryVolume("other", tmp_path / "file" / "other"))
    full = DirectoryVolume("full", tmp_path / "full", free_min_bytes=1 << 60)
    with pytest.raises(errors.OutOfResources):
        archive.copy_object(node, instance, full)
    assert set(states(node).values()) == {GOOD}
    assert node.index.counts().locations == 3


class Forgetful(DirectoryVolume):
    """A disk that does not keep what it was given."""

    def create(self, file_meta, path=None, **options):
        writer = super().create(file_meta, path, **options)
        seal = writer.seal

        def sealed(sealed_at):
            stored = seal(sealed_at)
            flip(Path(self.root) / stored.path, -1)
            return stored

        writer.seal = sealed
        return writer


def test_a_copy_counts_when_it_has_been_read_back(node, instance, tmp_path):
    forgetful = Forgetful("other", tmp_path / "other")
    with pytest.raises(errors.DamagedObject):
        archive.copy_object(node, instance, forgetful)
    assert list(forgetful.walk()) == []
    assert set(states(node)) == {"main", "near", "cold"}
    assert set(states(node).values()) == {GOOD}


def test_an_object_of_a_journal_is_copied(open_archive, tmp_path):
    node = open_archive("volume main.path=store", f"volume near.path={tmp_path / 'near'}",
                        "volume near.role=replica", receives=True)  # fmt: skip
    [sample] = make_small(tmp_path / "made", 1)
    receive(node, sample)
    stored = the_instance(node)
    archive.copy_object(node, stored, node.volumes["near"])
    node.primary_volume.place_all()
    assert list(archive.check(node, digests=True)) == []
    node.primary_volume.delete(stored.path)
    assert read(node, stored) == sample.data_set()
    assert [one.problem for one in archive.check(node)] == [Problem.MISSING]


def test_no_flipped_bit_is_ever_served(node, tmp_path):
    """200 flips over the files of two volumes; the archive keeps one good copy of each."""
    several = make_small(tmp_path / "made", 20)
    for sample in several:
        receive(node, sample)
    replicate(node)
    expected = {sample.sop_instance_uid: sample.data_set() for sample in several}
    chance = random.Random(2026)
    paths = sorted(set(stored_paths(node)))
    for _ in range(200):
        file = file_of(node, chance.choice(["main", "near"]), chance.choice(paths))
        flip(file, chance.randrange(file.stat().st_size), 1 << chance.randrange(8))
    served = {stored.sop_instance_uid: read(node, stored) for stored in node.index.select([])}
    assert served == expected
    bad = [one for one in node.index.locations() if one.state == BAD]
    assert len(bad) >= 20
    for location in bad:
        archive.copy_object(node, location, node.volumes[location.volume])
    for finding in list(archive.check(node, digests=True)):  # those that nobody had read
        assert archive.report_damage(node, finding.volume, finding.path, finding.detail)
    for location in [one for one in node.index.locations() if one.state == BAD]:
        archive.copy_object(node, location, node.volumes[location.volume])
    assert list(archive.check(node, digests=True)) == []
