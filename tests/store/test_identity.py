"""Which volume a volume is: whatever happens to its directory or bucket, nothing is mistaken for it."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from medserver.errors import DamagedObject, OutOfResources, StoreFailure
from medserver.store import AWAY, FOREIGN, FULL, READ_ONLY, READY, DirectoryVolume, Marker
from medserver.store.files import Files
from medserver.store.marker import NAME
from tests.peers.small_disk import SmallDisk, requires_mount
from tests.store.test_volume import META, SEALED_AT, content, put

MARKER, OTHER = Marker.new(), Marker.new()


def opened(root: Path, **options) -> DirectoryVolume:
    volume = DirectoryVolume("main", root, segment_bytes=1024 * 1024, **options)
    volume.attach(MARKER)
    return volume


@pytest.fixture(params=[False, True], ids=["directory", "journal"])
def volume(request, tmp_path: Path) -> DirectoryVolume:
    volume = DirectoryVolume("main", tmp_path / "store", journaled=request.param, segment_bytes=1024 * 1024)
    volume.mark(MARKER)
    volume.attach(MARKER)
    return volume


def below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def unmount(volume: DirectoryVolume) -> None:
    volume.root.rename(volume.root.with_name("disk"))
    volume.root.mkdir()


def mount(volume: DirectoryVolume) -> None:
    if volume.root.exists():
        volume.root.rename(volume.root.with_name(f"under{os.urandom(4).hex()}"))
    volume.root.with_name("disk").rename(volume.root)


def vanish(volume: DirectoryVolume) -> None:
    volume.root.rename(volume.root.with_name("disk"))


def replace_by_anothers(volume: DirectoryVolume) -> None:
    volume.root.rename(volume.root.with_name("disk"))
    DirectoryVolume("other", volume.root).mark(OTHER)


def damage_marker(volume: DirectoryVolume) -> None:
    unmount(volume)
    (volume.root / NAME).write_text("{}")


def newer_format(volume: DirectoryVolume) -> None:
    unmount(volume)
    (volume.root / NAME).write_bytes(MARKER.encode().replace(b'"format": 1', b'"format": 2'))


def detach(volume: DirectoryVolume) -> None:
    vanish(volume)
    volume.detach("it is detached")


LOSSES: dict[str, tuple[Callable[[DirectoryVolume], None], str]] = {
    "unmounted": (unmount, AWAY),
    "no directory": (vanish, AWAY),
    "another's": (replace_by_anothers, FOREIGN),
    "damaged marker": (damage_marker, FOREIGN),
    "newer format": (newer_format, FOREIGN),
    "detached": (detach, AWAY),
}
WRITES: dict[str, Callable[[DirectoryVolume, str], object]] = {
    "create": lambda volume, path: put(volume, b"new"),
    "copy": lambda volume, path: put(volume, b"kept", path=path),
    "batch": lambda volume, path: volume.batch().__enter__(),
    "note": lambda volume, path: volume.note("tombstones", b"x\n"),
    "backup": lambda volume, path: volume.backups.put("name", [b"x"]),
    "maintain": lambda volume, path: volume.maintain(2),
}
READS: dict[str, Callable[[DirectoryVolume, str], object]] = {
    "open": lambda volume, path: volume.open(path),
    "stat": lambda volume, path: volume.stat(path),
    "delete": lambda volume, path: volume.delete(path),
    "walk": lambda volume, path: list(volume.walk()),
    "notes": lambda volume, path: list(volume.notes("tombstones")),
    "backups": lambda volume, path: volume.backups.names(),
    "remove_unfinished": lambda volume, path: volume.remove_unfinished(),
}


@pytest.mark.parametrize(("lose", "state"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("has_seen_it", [True, False])
def test_what_is_in_its_place_is_left_alone_and_it_is_taken_again(volume, lose, state, has_seen_it, caplog):
    caplog.set_level(logging.INFO)
    stored = put(volume, b"kept")
    volume.note("tombstones", b"before\n")
    if not has_seen_it:
        volume.close()
        volume = opened(volume.root, journaled=volume._journal is not None)
    lose(volume)
    before = below(volume.root)
    for write in WRITES.values():
        with pytest.raises(OutOfResources, match=state):
            write(volume, stored.path)
    for read in READS.values():
        with pytest.raises(StoreFailure) as raised:
            read(volume, stored.path)
        assert not isinstance(raised.value, DamagedObject)
    assert volume.condition().state == state
    assert below(volume.root) == before
    if lose is not detach:
        assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1
    mount(volume)
    volume.attach(MARKER)
    assert volume.condition().state == READY
    assert content(volume, stored.path) == META + b"kept"
    assert list(volume.notes("tombstones")) == [b"before\n"]
    volume.verify(put(volume, b"new"))
    volume.backups.put("name", [b"x"])


@pytest.mark.parametrize(("first", "_"), LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(("second", "state"), LOSSES.values(), ids=LOSSES)
def test_every_loss_after_every_other(volume, first, _, second, state):
    stored = put(volume, b"kept")
    first(volume)
    with pytest.raises(OutOfResources):
        put(volume, b"x")
    mount(volume)
    volume.attach(MARKER)
    second(volume)  # before anybody has looked again
    before = below(volume.root)
    with pytest.raises(OutOfResources):
        put(volume, b"x")
    assert volume.condition().state == state
    assert below(volume.root) == before
    mount(volume)
    volume.attach(MARKER)
    assert content(volume, stored.path) == META + b"kept"


def test_an_object_that_is_being_received_meanwhile_goes_nowhere_else(volume):
    writer = volume.create(META)
    writer.write(b"x" * 2_000_000)  # more than the journal takes
    unmount(volume)
    volume.look()
    with pytest.raises((StoreFailure, OutOfResources)):
        writer.seal(SEALED_AT)
    assert below(volume.root) == []


def test_a_detached_volume_keeps_nothing_open(volume, tmp_path):
    put(volume, b"kept")
    volume.detach("it is detached")
    links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if name != "3"
             if os.path.lexists(f"/proc/self/fd/{name}")]  # fmt: skip
    assert not [link for link in links if link.startswith(str(tmp_path))]


def test_a_process_without_descriptors_does_not_lose_the_volume(tmp_path):
    volume = DirectoryVolume("main", tmp_path / "store", files := WithoutDescriptors())
    volume.mark(MARKER)
    volume.attach(MARKER)
    stored = put(volume, b"kept")
    files.are_used_up = True
    volume.look()
    assert volume.stat(stored.path).size_bytes == len(META) + 4
    unmount(volume)
    with pytest.raises(OutOfResources, match="Too many open files"):
        put(volume, b"x")
    files.are_used_up = False
    assert volume.condition().state == AWAY


class WithoutDescriptors(Files):
    are_used_up = False

    def open_directory(self, path):
        if self.are_used_up:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().open_directory(path)


def test_a_marker_is_never_overwritten(volume):
    volume.mark(MARKER)
    with pytest.raises(StoreFailure, match="another volume"):
        volume.mark(OTHER)
    assert volume.marker() == MARKER
    assert [name for name in os.listdir(volume.root) if "medserver" in name] == [NAME]


def test_a_bucket_is_known_by_its_marker(s3):
    volume = s3.volume("far", "identity")
    stored = put(volume, b"kept")
    volume.attach(OTHER)
    for ask in (volume.stat, volume.open, volume.delete, lambda path: volume.note("tombstones", b"x")):
        with pytest.raises(StoreFailure) as raised:
            ask(stored.path)
        assert not isinstance(raised.value, DamagedObject)
    assert volume.condition().state == AWAY  # it is left alone for a while
    assert s3.volume("far", "identity").marker() != OTHER
    fresh = s3.volume("far", "identity")
    fresh.attach(OTHER)
    assert fresh.condition().state == FOREIGN
    fresh.detach("it is detached")
    assert fresh.condition().state == AWAY
    with pytest.raises(StoreFailure, match="detached"):
        put(fresh, b"x")
    assert content(s3.volume("far", "identity"), stored.path) == META + b"kept"


@pytest.fixture
def disk(tmp_path: Path):
    requires_mount()
    disk = SmallDisk(tmp_path / "disk", 40_000_000)
    yield disk
    disk.close()


def test_a_full_disk_is_a_state_and_its_space_is_really_used(disk, caplog):
    caplog.set_level(logging.INFO)
    volume = DirectoryVolume("main", disk.path, journaled=True)  # whose segments have 32 MiB
    volume.mark(MARKER)
    volume.attach(MARKER)
    volume.maintain(2)
    count = 0
    with pytest.raises(OutOfResources):
        while True:
            put(volume, os.urandom(500_000))
            count += 1
    assert count > 70
    disk.fill()
    for _ in range(3):
        with pytest.raises(OutOfResources):
            put(volume, b"x")
    assert volume.condition().state == FULL
    disk.release()
    assert len(list(volume.walk())) == count
    assert len([one for one in caplog.records if one.levelno == logging.WARNING and "full" in one.getMessage()]) == 1
    volume.close()


def test_a_real_mount_that_is_taken_away_and_made_read_only(tmp_path):
    requires_mount()
    disk = SmallDisk(tmp_path / "store", 16_000_000)
    volume = DirectoryVolume("main", disk.path, journaled=True)
    volume.mark(MARKER)
    volume.attach(MARKER)
    put(volume, b"kept")
    try:
        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=False)
        if os.statvfs(disk.path).f_flag & os.ST_RDONLY:
            assert volume.condition().state == READ_ONLY
            with pytest.raises(StoreFailure):
                put(volume, b"x")
        volume.detach("it is detached")
        subprocess.run(["umount", disk.path], check=True)  # nothing is open there
        volume.attach(MARKER)
        with pytest.raises(OutOfResources, match="away"):
            put(volume, b"x")
        assert below(disk.path) == []
    finally:
        volume.close()
        if os.path.ismount(disk.path):
            disk.close()
