"""Tables are declared; what changes an authoritative one is flushed before it is answered, and nothing else is."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from medserver.dicom.storage_commitment import Reference
from medserver.errors import IndexFailure
from medserver.index import (
    Change,
    Index,
    NewCommitment,
    NewJob,
    NewWorkitem,
    WorkitemChange,
    WorkitemKeys,
    open_index,
)
from medserver.index.database.opening import migrate
from medserver.index.database.tables import AUTHORITATIVE, REMADE, TABLES, has_authoritative
from medserver.index.sqlite.backend import SqliteBackend
from tests.index.samples import NOON, record
from tests.peers.process import wait_until

THREADS = 8
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}


class WatchedBackend(SqliteBackend):
    """SQLite that counts its flushes, can hold them up, and of which the disk can fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.flushes = 0
        self.before_flush: Callable[[], object] = lambda: None

    def flush(self) -> None:
        self.flushes += 1
        self.before_flush()
        super().flush()


@pytest.fixture
def backend(tmp_path: Path) -> WatchedBackend:
    opened = WatchedBackend(tmp_path / "index.db")
    migrate(opened, tmp_path)
    return opened


@pytest.fixture
def watched(backend: WatchedBackend) -> Iterator[Index]:
    with Index(backend) as opened:
        yield opened


def test_every_table_is_declared_and_no_other(index: Index) -> None:
    with closing(index.backend.connect()) as connection:
        found = {row[0] for row in connection.execute(_TABLES[index.backend.name]).fetchall()}
    assert found | {"writers"} == set(TABLES)  # on PostgreSQL alone
    assert {table.kind for table in TABLES.values()} == {REMADE, AUTHORITATIVE}
    assert all(table.why for table in TABLES.values())


def test_a_table_that_nobody_declared_is_authoritative() -> None:
    assert has_authoritative({"objects", "something"})


def test_a_change_of_any_authoritative_table_is_flushed(watched: Index, backend: WatchedBackend) -> None:
    """Every table gets a row, whatever is in it: the way in does not matter."""
    for name, table in TABLES.items():
        if name == "writers":
            continue
        before = backend.flushes
        watched._writer.run(lambda connection: _insert_any(connection, name))
        assert backend.flushes - before == (table.kind == AUTHORITATIVE), name


def _insert_any(connection: Any, table: str) -> None:
    columns = connection.execute(f"SELECT name, type FROM pragma_table_info('{table}') WHERE name <> 'id'")
    values = {name: "0" if kind == "INTEGER" else f"'{name}'" for name, kind in columns.fetchall()}
    connection.execute("PRAGMA defer_foreign_keys = ON; PRAGMA ignore_check_constraints = ON")
    names = ", ".join(f'"{name}"' for name in values)
    connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(values.values())})')
    connection.execute(f'DELETE FROM "{table}" WHERE rowid = last_insert_rowid()')


REQUEST = NewCommitment("scu", "1.2.9", "PACS", "PACS", (Reference("1.2", "1.2.3"),))


def test_what_a_rebuild_would_not_bring_back_is_counted(index: Index) -> None:
    index.add(record(number=1), [NewJob("deliver", destination="PACS")] * 2)
    assert index.only_here() == {"jobs, such as deliveries that wait": 2}
    index.progress.set("drain:near", "draining")
    index.progress.set("check:near", "0")
    assert index.only_here()["volumes that are drained, and last polls"] == 1


ANSWERED: dict[str, Callable[[Index], object]] = {
    "N-CREATE": lambda index: index.performed_steps.add("1.2.3", "IN PROGRESS", "{}", "CT1", ["1.2"]),
    "N-SET": lambda index: index.performed_steps.change("1.2.3", lambda step: Change("COMPLETED", "{}")),
    "N-ACTION": lambda index: index.commitments.ask(REQUEST),
    "work item": lambda index: index.workitems.add(
        NewWorkitem("1.2.3", "SCHEDULED", "{}", "RIS", WorkitemKeys()), lambda item, subscribed: ()
    ),
    "its change": lambda index: index.workitems.change(
        "1.2.3", lambda item, known: WorkitemChange("CANCELED", "", "{}", "", False, True, WorkitemKeys())
    ),
    "subscription": lambda index: index.workitems.subscriptions.subscribe("1.2.3", "WS", True, lambda item: ()),
    "subscription to all": lambda index: index.workitems.subscriptions.subscribe_to_all("WS", True, None),
    "end of a subscription": lambda index: index.workitems.subscriptions.unsubscribe_from_all("WS"),
    "completion": lambda index: index.completions.note("release", ["1.2"], index._clock(), ()),
    "deletion": lambda index: index.deletions.order(index.instances(["1.2.1.1.1"]).values()),
    "received again": lambda index: index.add(record(number=1), is_receipt=True),  # it withdraws the order
    "promotion": lambda index: index.promotions.perform(
        record(number=1, content="other"), by="", why="", sealed_at=lambda path: NOON, jobs_of=lambda decided: ()
    ),
    "resolution": lambda index: index.resolve_conflict(1, "mtra", "two persons"),
    "drain": lambda index: index.progress.set("drain near", "draining"),
    "add": lambda index: index.add_jobs([NewJob("verify")]),
    "amend": lambda index: index.jobs.amend([1], {"route": "other"}),
    "retry": lambda index: index.jobs.retry([1]),
    "drop": lambda index: index.jobs.drop([1]),
    "pause": lambda index: index.jobs.pause("verify"),
    "resume": lambda index: index.jobs.resume("verify"),
}


def test_what_is_answered_is_flushed(watched: Index, backend: WatchedBackend) -> None:
    watched.add(record(number=1))
    watched.add(record(number=1, content="other"))
    watched.add(record(study=2, patient_id="P1", patient_name="Roe^Jane"))
    for name, answer in ANSWERED.items():
        before = backend.flushes
        answer(watched)
        assert backend.flushes > before, name


def test_reception_flushes_nothing_that_can_be_made_again(watched: Index, backend: WatchedBackend) -> None:
    jobs = [NewJob("replicate", destination="near")], [NewJob("deliver", destination="PACS")]
    watched.add(record(number=1), *jobs)
    backend.flushes = 0  # the first job of a lane makes the lane
    for number in range(2, 5):
        assert watched.add(record(number=number), *jobs).outcome == "stored"
        assert watched.add(record(number=number)).outcome == "same"
        assert watched.add(record(number=number, content="other"), *jobs).outcome == "kept"
    assert watched.counts().duplicates == 3
    assert backend.flushes == 0


def test_those_who_wait_share_a_flush(watched: Index, backend: WatchedBackend) -> None:
    """The first flush takes until all have come: they share the next."""
    begun: list[int] = []
    backend.before_flush = lambda: wait_until(lambda: len(begun) == THREADS, what="all threads")

    def work(number: int) -> None:
        begun.append(number)
        watched.progress.set(f"work {number}", "0")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(watched.progress.get(f"work {number}") == "0" for number in range(THREADS))
    assert backend.flushes < THREADS


def test_reception_does_not_wait_for_the_flush_of_others(watched: Index, backend: WatchedBackend) -> None:
    received = threading.Event()
    backend.before_flush = lambda: received.wait(30)
    thread = threading.Thread(target=watched.progress.set, args=("work", "0"))
    thread.start()
    wait_until(lambda: backend.flushes, what="a flush that takes long")
    assert watched.add(record(number=1)).outcome == "stored"
    received.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_flush_that_fails_is_a_failure_and_nothing_is_done_twice(watched: Index, backend: WatchedBackend) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    backend.before_flush = fail
    with pytest.raises(IndexFailure, match="Input/output error"):
        watched.add_jobs([NewJob("verify")])
    assert len(list(watched.jobs.list())) == 1
    assert watched.add(record(number=1)).outcome == "stored"


def test_a_closed_index_flushes_nothing(tmp_path: Path) -> None:
    index = open_index("sqlite:///index.db", base=tmp_path)
    index.close()
    with pytest.raises(IndexFailure, match="closed"):
        index.flush()
