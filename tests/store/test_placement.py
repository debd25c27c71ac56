"""From the journal into place: what one object, one flush or one reader may not spoil for the others."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from medserver.errors import DamagedObject, StoreFailure
from medserver.store import DirectoryVolume, Marker
from medserver.store.files import Files
from medserver.store.journal import placement
from tests.store.test_volume import META, content, put

MARKER = Marker.new()
SEGMENT_BYTES = 256 * 1024


def open_volume(root: Path, files: Files | None = None, *, journaled: bool = True) -> DirectoryVolume:
    volume = DirectoryVolume("main", root, files, journaled=journaled, segment_bytes=SEGMENT_BYTES)
    volume.mark(MARKER)
    volume.attach(MARKER)
    return volume


def in_journal(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "journal").iterdir() if path.suffix in (".active", ".sealed"))


def block(root: Path, path: str) -> Path:
    """Put a directory where an object belongs."""
    target = root / path
    (target / "in the way").mkdir(parents=True)
    return target


def test_an_object_that_cannot_be_placed_holds_up_no_other_and_no_start(tmp_path, caplog):
    volume = open_volume(tmp_path)
    stored = [put(volume, bytes([number]) * 100_000) for number in range(8)]
    volume._journal.seal()
    in_the_way = block(tmp_path, stored[1].path)
    with pytest.raises(StoreFailure):
        volume.place_all()
    assert len(in_journal(tmp_path)) == 1
    assert all((tmp_path / one.path).is_file() for one in stored if one is not stored[1])
    assert len([one for one in caplog.records if "cannot be placed" in one.getMessage()]) == 1
    volume.close()
    later = open_volume(tmp_path)  # as the next start does
    assert later.remove_unfinished() == 0
    put(later, b"x")
    with pytest.raises(StoreFailure):  # it is not gone as long as the journal has it
        later.delete(stored[0].path)
    (in_the_way / "in the way").rmdir()
    in_the_way.rmdir()
    assert content(later, stored[1].path) == META + bytes([1]) * 100_000
    later.place_all()
    assert in_journal(tmp_path) == []
    for one in stored:
        later.verify(one)


def test_it_is_tried_again_later_not_each_time(tmp_path, monkeypatch, caplog):
    volume = open_volume(tmp_path)
    stored = put(volume, b"x")
    volume._journal.seal()
    block(tmp_path, stored.path)
    monkeypatch.setattr(placement, "QUIET_S", -1.0)
    for _ in range(5):
        with pytest.raises(StoreFailure):
            volume.maintain()
    assert len([one for one in caplog.records if "cannot be placed" in one.getMessage()]) == 1


class FailingFlush(Files):
    """A file system that cannot write what it has in memory."""

    fails = False
    order: list[str] = []

    def flush_all(self, descriptor):
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        super().flush_all(descriptor)


def test_what_was_in_place_when_a_flush_failed_is_placed_anew(tmp_path):
    """Memory gives back what the disk did not take: it may not be compared and taken for good."""
    files = FailingFlush()
    volume = open_volume(tmp_path, files)
    stored = put(volume, b"kept")
    volume._journal.seal()
    target = tmp_path / stored.path
    target.parent.mkdir(parents=True)
    target.write_bytes(META + b"kept")  # by a process that died before its flush
    before = target.stat().st_ino
    files.fails = True
    with pytest.raises(StoreFailure):
        volume.place_all()
    assert not target.exists()
    assert content(volume, stored.path) == META + b"kept"
    files.fails = False
    held = os.open(tmp_path, os.O_RDONLY)
    volume.place_all()
    os.close(held)
    assert target.read_bytes() == META + b"kept" and (target.stat().st_ino != before or target.stat().st_nlink == 1)


class Recorded(Files):
    """Notes which descriptor flushes the file system, and how much had been done when it was opened."""

    def __init__(self):
        super().__init__()
        self.created = 0
        self.opened: dict[int, int] = {}
        self.flushed: list[int] = []

    def create(self, path):
        self.created += 1
        return super().create(path)

    def open_directory(self, path):
        descriptor = super().open_directory(path)
        self.opened[descriptor] = self.created
        return descriptor

    def flush_all(self, descriptor):
        self.flushed.append(self.created - self.opened[descriptor])
        super().flush_all(descriptor)


def test_the_descriptor_of_a_flush_is_opened_before_the_first_write(tmp_path):
    files = Recorded()
    volume = open_volume(tmp_path, files)
    stored = [put(volume, bytes([number]) * 1000) for number in range(3)]
    volume.place_all()
    copies = open_volume(tmp_path / "near", files := Recorded(), journaled=False)
    with copies.batch() as create:
        for number, one in enumerate(stored):
            writer = create(META, one.path)
            writer.write(bytes([number]) * 1000)
            writer.seal(None)
    assert volume._files.flushed == [3] and files.flushed == [3]


class WithoutCopying(Files):
    """A file system that does not copy within itself; every write is cut short."""

    number = 0

    def copy(self, source, offset, target, size_bytes):
        def refuse(*arguments):
            raise OSError(WithoutCopying.number, os.strerror(WithoutCopying.number))

        native, os.copy_file_range = os.copy_file_range, refuse
        try:
            return super().copy(source, offset, target, min(size_bytes, 4097))
        finally:
            os.copy_file_range = native


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_objects_are_placed_where_files_cannot_be_copied_by_the_system(tmp_path, number):
    WithoutCopying.number = number
    volume = open_volume(tmp_path, WithoutCopying())
    stored = put(volume, bytes(range(256)) * 300)
    volume.place_all()
    assert (tmp_path / stored.path).read_bytes() == META + bytes(range(256)) * 300


class OneLock(Files):
    """A network file system on which both kinds of locks are one."""

    def lock_for_reading(self, descriptor):
        return False


def test_without_separate_locks_there_is_no_journal(tmp_path):
    """Its objects could not be read, and would be taken for missing."""
    volume = open_volume(tmp_path, OneLock())
    stored = [put(volume, bytes([number])) for number in range(3)]
    for number, one in enumerate(stored):
        assert content(volume, one.path) == META + bytes([number])
    assert in_journal(tmp_path) == []


def spares(root: Path) -> int:
    return sum(path.suffix == ".spare" for path in (root / "journal").iterdir())


def test_zeros_are_not_written_while_objects_are_received_unless_no_spare_is_left(tmp_path, monkeypatch):
    """It takes a core and the disk from those who receive."""
    volume = open_volume(tmp_path)
    volume.maintain(2)
    assert spares(tmp_path) == placement.SPARES_MIN
    for left in reversed(range(placement.SPARES_MIN)):
        put(volume, b"x" * (SEGMENT_BYTES // 2))  # two of them do not fit into one segment
        volume.maintain(2)
        assert spares(tmp_path) == max(left, 1)
    monkeypatch.setattr(placement, "QUIET_S", -1.0)
    volume.place_all()
    volume.maintain(2)
    assert spares(tmp_path) == placement.SPARES_MIN


class Overtaken(Files):
    """A reader that is overtaken between opening a segment and locking it."""

    meanwhile = None

    def lock_for_reading(self, descriptor):
        if self.meanwhile is not None:
            work, self.meanwhile = self.meanwhile, None
            work()
        return super().lock_for_reading(descriptor)


def test_a_segment_that_becomes_a_spare_is_not_read_any_more(tmp_path, monkeypatch):
    """It is written over from then on, under the eyes of who reads."""
    monkeypatch.setattr(placement, "QUIET_S", -1.0)
    volume = open_volume(tmp_path)
    volume.maintain(1)
    stored = put(volume, b"kept")
    reader = open_volume(tmp_path, files := Overtaken(), journaled=False)
    files.meanwhile = volume.place_all
    with reader.open(stored.path) as file:
        assert file.read() == META + b"kept"
        assert os.fstat(file.fileno()).st_size == len(META) + 4  # the file in its place
    assert {path.suffix for path in (tmp_path / "journal").iterdir()} == {".spare"}
    with pytest.raises(DamagedObject):
        reader.stat(f"2026/01/31/0930/{'0' * 64}.dcm")
