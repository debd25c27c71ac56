"""Group commit: many threads, one transaction, and nobody suffers from the failure of another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from medserver.errors import IndexFailure, OutOfResources
from medserver.index import Index, open_index
from medserver.index.database.opening import migrate
from medserver.index.sqlite.backend import SqliteBackend
from tests.index.cluster import Cluster
from tests.index.samples import find, forget, record
from tests.peers.process import wait_until

THREADS = 12


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call a function in threads that begin together; return results, or exceptions."""
    start = threading.Barrier(count)

    def run(number: int) -> Any:
        start.wait()
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


class CountingBackend(SqliteBackend):
    """SQLite that counts its commits, can hold them up, and can make the disk full."""

    def __init__(self, path: Path, pages_max: int | None = None) -> None:
        super().__init__(path)
        self.commits = 0
        self.before_commit: Callable[[], object] = lambda: None
        self.pages_max = pages_max

    def connect(self, *, writing: bool = False) -> apsw.Connection:
        connection = super().connect(writing=writing)
        if writing and self.pages_max:
            connection.execute(f"PRAGMA max_page_count = {self.pages_max}")
        return connection

    def commit(self, connection: apsw.Connection) -> None:
        self.commits += 1
        self.before_commit()
        super().commit(connection)


def test_threads_share_commits(tmp_path: Path) -> None:
    """The first commit takes until all threads have come: what they bring goes into the next, however slow they are."""
    backend = CountingBackend(tmp_path / "index.db")
    migrate(backend, tmp_path)
    with Index(backend) as index:
        index.add(record(number=THREADS))
        begun: list[int] = []
        backend.commits = 0
        backend.before_commit = lambda: wait_until(lambda: len(begun) == THREADS, what="all threads")

        def add(thread: int) -> str:
            begun.append(thread)
            return index.add(record(number=thread)).outcome

        assert in_threads(THREADS, add) == ["stored"] * THREADS
        assert index.counts().instances == THREADS + 1
        assert 2 <= backend.commits <= THREADS / 2


def test_threads_add_the_same_instance(index: Index) -> None:
    for number in range(20):
        outcomes = [
            added.outcome for added in in_threads(THREADS, lambda thread: index.add(record(number=number)))
        ]
        assert sorted(outcomes) == ["same"] * (THREADS - 1) + ["stored"]
    assert index.counts().locations == 20


def test_threads_add_different_objects_with_one_uid(index: Index) -> None:
    outcomes = [
        added.outcome for added in in_threads(THREADS, lambda thread: index.add(record(content=str(thread))))
    ]
    assert sorted(outcomes) == ["kept"] * (THREADS - 1) + ["stored"]
    assert index.counts().duplicates == THREADS - 1


def test_threads_replace_one_object(index: Index) -> None:
    records = [record(content=str(thread), duplicates="replace") for thread in range(THREADS)]
    outcomes = [added.outcome for added in in_threads(THREADS, lambda thread: index.add(records[thread]))]
    assert sorted(outcomes) == ["replaced"] * (THREADS - 1) + ["stored"]
    assert {location.path for location in index.locations()} == {item.path for item in records}
    assert index.counts().instances == 1


def test_a_bad_object_does_not_harm_the_others(index: Index) -> None:
    def add(thread: int) -> Any:
        bad = thread % 3 == 0
        return index.add(record(study=thread, **({"series_instance_uid": None} if bad else {})))

    for thread, result in enumerate(in_threads(THREADS, add)):
        if thread % 3 == 0:
            assert isinstance(result, IndexFailure)
        else:
            assert result.outcome == "stored"
    assert index.counts().studies == index.counts().instances == THREADS * 2 // 3


def test_an_error_in_a_task_reaches_its_thread_only(index: Index) -> None:
    def work(thread: int) -> Any:
        # The batch that they share is rolled back and performed one by one.
        return index.add(record(number=thread, path=1 if thread == 3 else f"{thread}.dcm", duplicates="keep"))

    index.add(record(study=2, path="1"))
    results = in_threads(THREADS, work)
    assert [result.outcome for number, result in enumerate(results) if number != 3] == ["stored"] * (
        THREADS - 1
    )


def test_a_full_disk_is_out_of_resources_and_passes(tmp_path: Path) -> None:
    backend = CountingBackend(tmp_path / "index.db")
    migrate(backend, tmp_path)
    backend.pages_max = (tmp_path / "index.db").stat().st_size // 4096 + 60
    stored = []
    with Index(backend) as index:
        with pytest.raises(OutOfResources):
            for number in range(2000):
                index.add(record(number=number))
                stored.append(f"1.2.1.1.{number}")
        assert find(index, "IMAGE", "SOPInstanceUID") == sorted(stored)
    backend.pages_max = None
    with Index(backend) as index:
        assert index.add(record(number=5000)).outcome == "stored"
        assert index.counts().instances == len(stored) + 1


def test_a_file_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    class ReadOnly(SqliteBackend):
        def connect(self, *, writing: bool = False) -> apsw.Connection:
            connection = super().connect(writing=writing)
            connection.execute("PRAGMA query_only = ON")
            return connection

    backend = ReadOnly(tmp_path / "index.db")
    migrate(SqliteBackend(tmp_path / "index.db"), tmp_path)
    with Index(backend) as index:
        results = in_threads(4, lambda thread: index.add(record(number=thread)))
    assert all(isinstance(result, IndexFailure) for result in results)


def test_closing_waits_for_those_who_write(index: Index) -> None:
    done = threading.Event()

    def work(thread: int) -> Any:
        if thread == 0:
            done.wait(timeout=10)
            index.close()
            return "closed"
        outcomes = []
        for number in range(200):
            outcomes.append(index.add(record(number=thread * 1000 + number)).outcome)
            if number == 20:
                done.set()
        return outcomes

    results = in_threads(4, work)
    assert results[0] == "closed"
    assert all(isinstance(result, IndexFailure) or result == ["stored"] * 200 for result in results[1:])


def test_a_series_that_another_process_deleted_is_made_anew(index_url: str, tmp_path: Path) -> None:
    with open_index(index_url, base=tmp_path) as ours, open_index(index_url, base=tmp_path) as theirs:
        first = record(number=1)
        ours.add(first)
        assert forget(theirs, "main", first.path)
        assert ours.add(record(number=2)).outcome == "stored"
        assert find(theirs, "IMAGE", "SOPInstanceUID", PatientID="P1") == ["1.2.1.1.2"]


def _found(index: Index) -> list[str] | None:
    """Return what is stored, None while the server cannot be reached."""
    try:
        return find(index, "IMAGE", "SOPInstanceUID")
    except IndexFailure:
        return None


def test_a_server_that_restarts_is_found_again(
    cluster: Cluster, new_database: Callable[[], str], tmp_path: Path
) -> None:
    with open_index(new_database(), base=tmp_path) as index:
        index.add(record(number=1))
        find(index, "IMAGE", "SOPInstanceUID")
        cluster.stop()
        with pytest.raises(IndexFailure):
            index.add(record(number=2))
        with pytest.raises(IndexFailure):
            find(index, "IMAGE", "SOPInstanceUID")
        cluster.start()
        # It is looked for again after a moment, which is longer each time.
        wait_until(lambda: _found(index) == ["1.2.1.1.1"])
        assert index.add(record(number=3)).outcome == "stored"
        cluster.stop("fast")
        cluster.start()
        assert index.add(record(number=4)).outcome == "stored"
        assert len(find(index, "IMAGE", "SOPInstanceUID")) == 3
