"""What only a volume in a directory can show: durability step by step, other processes, foreign files."""

from __future__ import annotations

import errno
import multiprocessing
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from medserver import errors
from medserver.store import DirectoryVolume
from medserver.store.directory.writer import GATHERED_SIZE_BYTES
from medserver.store.files import Files
from tests.store.failing import FailingFiles

META = b"\0" * 128 + b"DICM" + b"file meta information"
SEALED_AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
BIG = bytes(range(256)) * (GATHERED_SIZE_BYTES // 256)


def store_one(volume: DirectoryVolume, body: bytes = BIG, sealed_at=SEALED_AT):
    writer = volume.create(META)
    writer.write(body)
    writer.write(b"tail")
    return writer.seal(sealed_at)


def leftovers(root) -> list[str]:
    """Return every file of the volume that is not a lock."""
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "lock"
    )


def calls_of_one_object(tmp_path) -> list[str]:
    files = FailingFiles()
    store_one(DirectoryVolume("main", tmp_path / "counted", files))
    return files.calls


def without_looks(calls: list[str]) -> list[str]:
    looks = ("require_space", "free_bytes", "identity", "open_directory", "enter")
    return [call for call in calls if call not in looks]


def test_every_step_is_durable_before_the_next(tmp_path):
    calls = without_looks(calls_of_one_object(tmp_path))
    first, last = calls.index("create"), len(calls)
    assert calls[first:last] == [
        "create",
        "write",
        "write",
        "flush",
        "close",
        *["make_directory", "flush_directory"] * 4,  # year, month, day, minute
        "link",
        "unlink",
        "flush_directory",
    ]
    assert calls[:2] == ["make_directory", "flush_directory"]  # the volume itself


def test_known_directories_are_not_flushed_again(tmp_path):
    files = FailingFiles()
    volume = DirectoryVolume("main", tmp_path / "store", files)
    store_one(volume)
    files.calls.clear()
    store_one(volume, b"second")
    calls = without_looks(files.calls)
    assert calls == ["create", "write", "flush", "close", "link", "unlink", "flush_directory"]
    files.calls.clear()
    store_one(volume, b"third", SEALED_AT + timedelta(minutes=1))
    assert files.calls.count("make_directory") == 1


EXHAUSTED = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE)


@pytest.mark.parametrize(
    "error_numbers",
    [(errno.EIO,), (errno.ENOSPC,), (errno.EDQUOT, errno.EROFS, errno.EMFILE)],
    ids=lambda error_numbers: " ".join(errno.errorcode[number] for number in error_numbers),
)
@pytest.mark.parametrize("after", [False, True])
def test_any_single_failing_call_leaves_nothing_and_is_reported(tmp_path, error_numbers, after):
    count = len(calls_of_one_object(tmp_path))
    assert count > 15
    for fail_at in range(count):
        root, error_number = tmp_path / f"{fail_at}", error_numbers[fail_at % len(error_numbers)]
        expected = errors.OutOfResources if error_number in EXHAUSTED else errors.StoreFailure
        files = FailingFiles(fail_at, error_number, after=after)
        volume = DirectoryVolume("main", root, files)
        with pytest.raises(expected) as caught:
            store_one(volume)
        assert type(caught.value) is expected, files.calls
        assert leftovers(root) == [], (fail_at, files.calls)
        # One descriptor may stay: the lock on the directory of temporary files, which is kept while the
        # process lives.
        assert len(files.open_descriptors) <= 1, (fail_at, files.calls)
        files.fail_at = None
        stored = store_one(volume)  # the volume recovers when its disk does
        volume.verify(stored)
        assert leftovers(root) == [stored.path]
        volume.close()


def take_one(volume, made):
    """Have a file become an object; None if it is left where it is."""
    made.write_bytes(META + b"data set")
    writer = volume.take(META, str(made))
    if writer is None:
        return None
    writer.write(b"data set")
    return writer.seal(SEALED_AT)


def test_any_single_failing_call_leaves_nothing_of_a_file_that_becomes_an_object(tmp_path):
    made = tmp_path / "made.dcm"
    take_one(DirectoryVolume("main", tmp_path / "whole", files := FailingFiles()), made)
    for fail_at in range(len(files.calls)):
        root = tmp_path / f"{fail_at}"
        failing = FailingFiles(fail_at, errno.EIO)
        try:
            stored = take_one(DirectoryVolume("main", root, failing), made)
            assert stored is None and made.exists() or failing.calls[fail_at] == "close", failing.calls
        except errors.StoreFailure:
            pass
        assert leftovers(root) == [], (fail_at, failing.calls)
        assert len(failing.open_descriptors) <= 1, (fail_at, failing.calls)


def test_when_everything_fails_from_some_call_on_no_object_is_half(tmp_path):
    count = len(calls_of_one_object(tmp_path))
    for fail_at in range(count):
        root = tmp_path / f"{fail_at}"
        files = FailingFiles(fail_at, errno.EIO, persistent=True)
        with pytest.raises(errors.StoreFailure):
            store_one(failing := DirectoryVolume("main", root, files))
        healthy = DirectoryVolume("main", root)
        for path in healthy.walk():
            assert healthy.stat(path).size_bytes == len(META) + len(BIG) + 4
        files.fail_at = None
        failing.close()


def test_second_object_fails_alone(tmp_path):
    files = FailingFiles()
    volume = DirectoryVolume("main", tmp_path, files)
    kept = store_one(volume)
    start = len(files.calls)
    for step in range(7):
        files.calls[start:] = []
        files.fail_at, files.error_number = start + step, errno.ENOSPC
        with pytest.raises(errors.OutOfResources):
            store_one(volume)  # the same bytes: must not harm the first
        files.fail_at = None
        assert leftovers(tmp_path) == [kept.path]
        volume.verify(kept)


def test_no_path_is_given_a_second_time(tmp_path):
    """Who removes an object late, or once more, must not hit the same one that was received anew."""
    volume = DirectoryVolume("main", tmp_path)
    given = set()
    for _ in range(3):
        stored = store_one(volume)
        given.add(stored.path)
        volume.delete(stored.path)
    assert len(given) == 3


def test_failed_flush_is_not_tried_again(tmp_path):
    files = FailingFiles()
    volume = DirectoryVolume("main", tmp_path, files)
    writer = volume.create(META)
    writer.write(b"x")
    files.fail_at, files.error_number = len(files.calls) + 2, errno.EIO  # a look for space, the write, the flush
    with pytest.raises(errors.StoreFailure):
        writer.seal(SEALED_AT)
    assert files.calls.count("flush") == 1
    with pytest.raises(errors.StoreFailure):
        writer.seal(SEALED_AT)
    assert files.calls.count("flush") == 1


class ShortWrites(Files):
    """A file system that takes at most a few bytes at once."""

    def write(self, descriptor, pieces):
        return os.write(descriptor, memoryview(pieces[0])[:7])


class NoWrites(Files):
    """A file system that takes nothing and says so without an error."""

    def write(self, descriptor, pieces):
        return 0


def test_short_writes_are_continued(tmp_path):
    volume = DirectoryVolume("main", tmp_path, ShortWrites())
    writer = volume.create(META)
    for length in range(40):
        writer.write(bytes([length]) * length)
    stored = writer.seal(SEALED_AT)
    volume.verify(stored)
    expected = META + b"".join(bytes([length]) * length for length in range(40))
    assert (tmp_path / stored.path).read_bytes() == expected


def test_a_disk_that_takes_nothing_is_a_failure_not_a_loop(tmp_path):
    with pytest.raises(errors.StoreFailure):
        store_one(DirectoryVolume("main", tmp_path, NoWrites()))


def _seal_many(root: str, barrier, paths) -> None:
    volume = DirectoryVolume("main", root)
    for number in range(20):
        writer = volume.create(META + str(os.getpid()).encode())
        writer.write(b"the same object")
        barrier.wait(60)
        paths.put(writer.seal(SEALED_AT + timedelta(minutes=number)).path)


def test_two_processes_sealing_the_same_object_keep_both(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, paths = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_seal_many, args=(str(tmp_path), barrier, paths)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [paths.get(timeout=60) for _ in range(40)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(set(found)) == 40
    assert sorted(found) == list(DirectoryVolume("main", tmp_path).walk())
    assert len({(tmp_path / path).read_bytes() for path in found}) == 2


def test_threads_sealing_the_same_object_keep_all(tmp_path):
    volume = DirectoryVolume("main", tmp_path)
    barrier, stored = threading.Barrier(8), []

    def work():
        for _ in range(10):
            barrier.wait(60)
            stored.append(store_one(volume, b"same"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({one.path for one in stored}) == 80
    for one in stored:
        volume.verify(one)


def _write_and_wait(root: str, started, finish) -> None:
    writer = DirectoryVolume("main", root).create(META)
    writer.write(BIG)
    started.set()
    finish.wait(60)
    writer.seal(SEALED_AT)


def test_sweep_spares_the_living_and_removes_what_the_dead_left(tmp_path):
    context = multiprocessing.get_context("fork")
    started, finish = [context.Event() for _ in range(2)], [context.Event() for _ in range(2)]
    processes = [
        context.Process(target=_write_and_wait, args=(str(tmp_path), *events))
        for events in zip(started, finish, strict=True)
    ]
    for process, event in zip(processes, started, strict=True):
        process.start()
        assert event.wait(60)
    dead, living = processes
    volume = DirectoryVolume("main", tmp_path)
    own = volume.create(META)
    own.write(BIG)
    assert len(leftovers(tmp_path)) == 3
    assert volume.remove_unfinished() == 0
    dead.kill()
    dead.join(60)
    assert volume.remove_unfinished() == 1
    assert len(leftovers(tmp_path)) == 2
    finish[1].set()
    living.join(60)
    assert living.exitcode == 0
    volume.verify(own.seal(SEALED_AT))
    assert len(list(volume.walk())) == 2
    assert volume.remove_unfinished() == 0
    volume.close()
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["lock"]


class EndsMeanwhile(Files):
    """Another process ends properly while this one has listed the directories of all and looks at none of them yet."""

    def __init__(self, other: DirectoryVolume) -> None:
        super().__init__()
        self._other = other

    def names(self, path):
        found = super().names(path)
        self._other.close()
        return found


def test_a_sweep_goes_on_when_somebody_ends_beside_it(tmp_path):
    other = DirectoryVolume("main", tmp_path)
    store_one(other)
    assert len(list((tmp_path / "incoming").iterdir())) == 2
    assert DirectoryVolume("main", tmp_path, EndsMeanwhile(other)).remove_unfinished() == 0
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["lock"]


def test_child_of_a_fork_has_its_own_temporary_files(tmp_path):
    volume = DirectoryVolume("main", tmp_path)
    writer = volume.create(META)
    writer.write(b"of the parent")

    def child():
        stored = store_one(volume, b"of the child")
        volume.verify(stored)
        volume.close()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    volume.verify(writer.seal(SEALED_AT))
    assert len(list(volume.walk())) == 2


def test_incoming_removed_by_hand_is_made_again(tmp_path):
    volume = DirectoryVolume("main", tmp_path)
    store_one(volume)
    for path in sorted((tmp_path / "incoming").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    volume.verify(store_one(volume))


def test_minute_directory_removed_by_hand_is_made_again(tmp_path):
    volume = DirectoryVolume("main", tmp_path)
    stored = store_one(volume)
    (tmp_path / stored.path).unlink()
    (tmp_path / stored.path).parent.rmdir()
    with pytest.raises(errors.StoreFailure):
        store_one(volume)
    volume.verify(store_one(volume))


def test_foreign_files_do_not_disturb_and_stay(tmp_path):
    volume = DirectoryVolume("main", tmp_path)
    stored = store_one(volume)
    foreign = [
        "lost+found/x",
        "2026/notes.txt",
        "2026/01/31/0930/x.dcm",
        "2026/13/01/0000/y.dcm",
        "incoming/note",
    ]
    for name in foreign:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"foreign")
    (tmp_path / "2027").write_bytes(b"a file where a directory should be")
    assert list(volume.walk()) == [stored.path]
    assert volume.remove_unfinished() == 0
    assert all((tmp_path / name).exists() for name in foreign)


def test_symbolic_links_are_not_followed_to_an_object(tmp_path):
    volume = DirectoryVolume("main", tmp_path / "store")
    stored = store_one(volume)
    secret = tmp_path / "secret"
    secret.write_bytes(b"elsewhere")
    file = tmp_path / "store" / stored.path
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(errors.StoreFailure):
        volume.open(stored.path)
    with pytest.raises(errors.DamagedObject):
        volume.stat(stored.path)
    volume.delete(stored.path)
    assert secret.exists()


def test_reading_an_unused_volume_makes_nothing(tmp_path):
    volume = DirectoryVolume("main", tmp_path / "store")
    assert list(volume.walk()) == []
    assert volume.remove_unfinished() == 0
    assert not (tmp_path / "store").exists()


def test_unreadable_directory_is_an_error_not_an_empty_one(tmp_path):
    volume = DirectoryVolume("main", tmp_path, FailingFiles(0, errno.EIO))
    with pytest.raises(errors.StoreFailure):
        list(volume.walk())


class LostAnswers(Files):
    """A network file system that makes the link, loses the answer, and repeats the request."""

    def link(self, source, target):
        super().link(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")


def test_a_link_whose_answer_was_lost_is_made_once(tmp_path):
    volume = DirectoryVolume("main", tmp_path, LostAnswers())
    stored = store_one(volume)
    assert leftovers(tmp_path) == [stored.path]
    volume.verify(stored)
