"""The model of the disk, and that the recorder sees all that is done."""

from __future__ import annotations

import os
import random
from pathlib import Path

import apsw
import pytest

from medserver.store.files import Files
from tests.crash.power.disk import Disk
from tests.crash.power.log import Log, read
from tests.crash.power.recording import Recording

CUTS = 60


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording(tmp_path)


def states(disk: Disk, folder: Path) -> list[dict[str, bytes]]:
    """Return what may be there after a cut, each state once."""
    found = []
    for seed in range(CUTS):
        target = folder / f"cut-{seed}"
        disk.cut(target, random.Random(seed))
        state = tree(target / "data")
        if state not in found:
            found.append(state)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


FILES = Files()


def flush_all(data: Path) -> None:
    descriptor = os.open(data, os.O_RDONLY)
    FILES.flush_all(descriptor)
    os.close(descriptor)


def prepare(data: Path) -> None:
    FILES.make_directory(str(data))
    FILES.flush_directory(str(data.parent))


def write(path: Path, content: bytes, *, flush: bool) -> None:
    descriptor = FILES.create(str(path))
    FILES.write(descriptor, [content])
    if flush:
        FILES.flush(descriptor)
    FILES.close(descriptor)


def test_a_file_is_there_when_it_and_its_directory_are_flushed(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        write(data / "a", b"A" * 10_000, flush=True)
        FILES.flush_directory(str(data))

    assert states(recording.run(work).finish(), recording.folder) == [{"a": b"A" * 10_000}]


def test_without_its_flush_a_file_may_hold_anything(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        write(data / "a", b"A" * 10_000, flush=False)
        FILES.flush_directory(str(data))

    found = states(recording.run(work).finish(), recording.folder)
    assert {"a": b""} in found and {"a": b"A" * 10_000} in found
    assert any(b"\0" in state["a"] and b"A" in state["a"] for state in found)


def test_without_that_of_its_directory_it_may_be_gone(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        write(data / "a", b"A", flush=True)

    assert sorted(map(len, states(recording.run(work).finish(), recording.folder))) == [0, 1]


def test_a_flush_of_everything(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        write(data / "a", b"A", flush=False)
        FILES.make_directory(str(data / "folder"))
        write(data / "folder" / "b", b"B", flush=False)
        flush_all(data)

    assert states(recording.run(work).finish(), recording.folder) == [{"a": b"A", "folder/b": b"B"}]


def test_a_directory_that_was_not_flushed_takes_all_with_it(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        FILES.make_directory(str(data))
        write(data / "a", b"A", flush=True)
        FILES.flush_directory(str(data))

    assert sorted(map(len, states(recording.run(work).finish(), recording.folder))) == [0, 1]


def test_a_directory_that_another_process_has_made_and_not_yet_noted(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        os.mkdir.__wrapped__(data / "folder")
        write(data / "folder" / "a", b"A", flush=True)
        FILES.flush_directory(str(data / "folder"))
        FILES.flush_directory(str(data))

    assert states(recording.run(work).finish(), recording.folder) == [{"folder/a": b"A"}]


def test_names_that_change(recording: Recording) -> None:
    """A rename is done or not done; between two directories both names may be there, never none."""

    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        FILES.make_directory(str(data / "other"))
        for name in ("a", "b", "c"):
            write(data / name, name.encode(), flush=True)
        FILES.flush_directory(str(data))
        FILES.rename(str(data / "a"), str(data / "new"))
        FILES.rename(str(data / "b"), str(data / "other" / "b"))
        FILES.link(str(data / "c"), str(data / "d"))
        FILES.unlink(str(data / "c"))

    found = states(recording.run(work).finish(), recording.folder)
    assert len(found) > 5
    for state in found:
        assert ("a" in state) != ("new" in state)
        assert "b" in state or "other/b" in state
        assert "c" in state or "d" in state
    assert any("b" in state and "other/b" in state for state in found)


def test_what_is_written_over_is_lost_in_parts(recording: Recording) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        write(data / "a", b"1" * 40_000, flush=True)
        FILES.flush_directory(str(data))
        descriptor = os.open(data / "a", os.O_RDWR)
        FILES.write_at(descriptor, [b"2" * 20_000], 10_000)
        FILES.flush_data(descriptor)
        FILES.write_at(descriptor, [b"3" * 20_000], 5_000)

    for state in states(recording.run(work).finish(), recording.folder):
        assert len(state["a"]) == 40_000
        assert set(state["a"][25_000:30_000]) == {ord("2")}
        assert set(state["a"][10_000:25_000]) <= set(b"23")


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_sqlite_loses_its_last_commits_or_none(recording: Recording, synchronous: str) -> None:
    def work(recorded: Recording) -> None:
        data = recorded.data
        prepare(data)
        connection = apsw.Connection(str(data / "index.db"))
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute(f"PRAGMA synchronous = {synchronous}; CREATE TABLE t (a)")
        flush_all(data)
        for number in range(50):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        recorded.die()  # or the connection is closed in order

    disk = recording.run(work).finish()
    counts = set()
    for seed in range(CUTS):
        target = recording.folder / f"cut-{seed}"
        disk.cut(target, random.Random(seed))
        rows = apsw.Connection(str(target / "data" / "index.db")).execute("SELECT a FROM t ORDER BY a").fetchall()
        assert rows == [(number,) for number in range(len(rows))]
        counts.add(len(rows))
    assert counts == {50} if synchronous == "FULL" else min(counts) < 50 <= max(counts)


def test_a_record_that_was_not_written_to_its_end_is_left_out(tmp_path: Path) -> None:
    log = Log(tmp_path / "whole")
    for number in range(3):
        log.add("mark", "x" * 1000, number)
    whole = (tmp_path / "whole").read_bytes()
    size = len(whole) // 3
    (tmp_path / "torn").write_bytes(whole[:size] + whole[size : size + 500] + whole[2 * size :])
    assert [record[2] for record in read(tmp_path / "torn")] == [0, 2]
