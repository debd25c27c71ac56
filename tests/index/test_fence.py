"""The lock of the index: each work that needs it against each kind of writer, in both orders, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from medserver.errors import IndexLocked
from medserver.index import BAD, Index, Lane, NewCommitment, NewJob, open_backend, open_index
from medserver.index.database.models import IndexLock
from medserver.index.database.opening import _keep_others_out, migrate
from medserver.index.database.statements import PARAMETER, spelled
from medserver.index.nodes.exclusive import LEASE_S, Held, exclusively
from medserver.index.nodes.records import NodeRecord, Serves
from tests.clock import Clock
from tests.index.samples import find, record

LANE = Lane("copy", "A")

WRITERS: dict[str, Callable[[Index], object]] = {
    "acceptor": lambda index: index.add(record()),
    "worker": lambda index: index.jobs.claim(LANE, owner="w", lease_until=index.clock()),
    "worker ends": lambda index: index.jobs.settle([]),
    "heartbeat": lambda index: index.nodes.beat(NodeRecord("any", "a", "m", "serve", Serves())),
    "store": lambda index: index.mark_location("main", "x", BAD),
    "jobs": lambda index: index.jobs.pause("copy"),
    "outbox": lambda index: index.jobs.amend([1], {}),
    "commit": lambda index: index.commitments.ask(NewCommitment("scu", "1.2", "A", "A", ())),
    "calls": lambda index: index.jobs.leave_alone([LANE], "x", lambda failures: index.clock()),
}
WORKS = ("rebuild", "restore", "migration")


class Host:
    """A host with a data folder of its own; on SQLite, where there is one host, another process of it."""

    def __init__(self, url: str, base: Path, data: Path) -> None:
        self.url, self.base = url, base
        self.data = data if url.startswith("postgresql") else base

    def open(self, **options: object) -> Index:
        return open_index(self.url, base=self.data, **options)

    def hold(self, work: str, **options: object) -> object:
        return exclusively(self.url, self.data, work, **options)


@pytest.fixture
def hosts(index_url: str, tmp_path: Path) -> list[Host]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    return [Host(index_url, tmp_path / "a", tmp_path / name) for name in "ab"]


@contextmanager
def working(host: Host, work: str) -> Iterator[None]:
    """Do a work until the end of the block."""
    if work != "migration":
        with host.hold(work):
            yield
        return
    backend = open_backend(host.url, host.data)
    with backend.database.connection_context(), backend.migration_lock():
        _keep_others_out(backend, "")
        yield


def fill(index: Index) -> None:
    index.add_jobs([NewJob("copy", {}, "A")])


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("work", ["rebuild", "restore"])
def test_who_opened_it_before_writes_nothing(hosts: list[Host], work: str, writer: str) -> None:
    ours, theirs = hosts
    with theirs.open() as index:
        fill(index)
        with working(ours, work):
            with pytest.raises(IndexLocked, match=f"a {work} of the index runs on "):
                WRITERS[writer](index)
            assert not index.is_outdated()
            with pytest.raises(IndexLocked), theirs.open():
                pass
        assert index.is_outdated()
        with pytest.raises(IndexLocked, match="opened anew"):
            WRITERS[writer](index)
    with theirs.open() as index:
        WRITERS[writer](index)
        assert not index.is_outdated()


@pytest.mark.parametrize("work", ["rebuild", "restore"])
def test_no_peer_is_told_a_part_of_what_there_is(hosts: list[Host], work: str) -> None:
    ours, theirs = hosts
    questions = (lambda: find(index, "IMAGE", "SOPInstanceUID"), lambda: list(index.select([])))
    with theirs.open() as index:
        index.add(record())
        for ask in questions:
            assert len(ask()) == 1
        with working(ours, work):
            for ask in questions:
                with pytest.raises(IndexLocked):
                    ask()


@pytest.mark.parametrize("writer", WRITERS)
def test_who_waits_for_a_migration_writes_nothing(hosts: list[Host], writer: str) -> None:
    ours, theirs = hosts
    failures: list[BaseException] = []

    def write() -> None:
        try:
            WRITERS[writer](index)
        except IndexLocked as error:
            failures.append(error)

    with theirs.open() as index:
        fill(index)
        thread = threading.Thread(target=write)
        with working(ours, "migration"):
            thread.start()
        thread.join(30)
        assert [str(failure) for failure in failures] == [
            "the index was replaced or migrated, and has to be opened anew"
        ]
        assert index.is_outdated()


@pytest.mark.parametrize("work", WORKS)
def test_who_writes_already_is_waited_for(hosts: list[Host], work: str) -> None:
    """Whatever a writer does: it is in a transaction that has looked at the fence."""
    ours, theirs = hosts
    writing, go_on, has_begun = threading.Event(), threading.Event(), threading.Event()
    seen: list[int] = []

    def perform(connection: object) -> None:
        writing.set()
        go_on.wait(30)
        index.jobs._table.add(connection, [NewJob("copy", {}, "B")], index.clock())

    def begin() -> None:
        with working(ours, work):
            has_begun.set()

    with theirs.open() as index:
        writer = threading.Thread(target=lambda: index._writer.run(perform))
        writer.start()
        assert writing.wait(30)
        other = threading.Thread(target=begin)
        other.start()
        assert not has_begun.wait(0.2), "the work has begun in the midst of a transaction"
        go_on.set()
        for thread in (writer, other):
            thread.join(30)
        assert has_begun.is_set()
    with ours.open() as index:
        seen.extend(count.count for count in index.jobs.counts())
    assert seen == [1]


@pytest.mark.parametrize("second", ["rebuild", "restore"])
@pytest.mark.parametrize("first", ["rebuild", "restore"])
def test_one_work_at_a_time(hosts: list[Host], first: str, second: str) -> None:
    ours, theirs = hosts
    ours.open().close()
    with ours.hold(first), pytest.raises(IndexLocked, match=f"a {first} of"), theirs.hold(second):
        pass
    with theirs.hold(second):
        pass


def test_no_migration_while_it_is_locked(hosts: list[Host]) -> None:
    ours, theirs = hosts
    ours.open().close()
    with ours.hold("restore") as held:
        undo_last_migration(theirs)
        with pytest.raises(IndexLocked):
            migrate(open_backend(theirs.url, theirs.data), theirs.data)
        assert migrate(open_backend(ours.url, ours.data), ours.data, held.owner)


def test_who_knows_an_older_schema_opens_the_index_anew(hosts: list[Host]) -> None:
    ours, theirs = hosts
    with theirs.open() as index:
        undo_last_migration(ours)
        ours.open().close()
        assert index.is_outdated()
        with pytest.raises(IndexLocked):
            fill(index)


def undo_last_migration(host: Host) -> None:
    backend = open_backend(host.url, host.data)
    connection = backend.connect(writing=True)
    connection.execute("DELETE FROM schema_migrations WHERE name = '0013_nodes'")
    connection.close()


def test_the_owner_itself_writes(hosts: list[Host]) -> None:
    with hosts[0].open() as index:
        fill(index)
    with hosts[0].hold("restore") as held, hosts[0].open(owner=held.owner) as index:
        for write in WRITERS.values():
            write(index)


def test_a_lock_whose_owner_was_killed_here(hosts: list[Host]) -> None:
    """It is known at once that its process is gone: nobody waits for the lease."""
    ours, _ = hosts
    with ours.open() as index:
        leave_locked(ours, started="1")
        assert index.is_outdated()
        with pytest.raises(IndexLocked):
            fill(index)
    with ours.open() as index:
        fill(index)


def test_a_lock_whose_owner_was_killed_elsewhere(hosts: list[Host], clock: Clock) -> None:
    ours, theirs = hosts
    ours.open(clock=clock).close()
    leave_locked(ours, clock=clock, machine="elsewhere")
    with pytest.raises(IndexLocked):
        theirs.open(clock=clock)
    clock.advance(LEASE_S + 1)
    with theirs.open(clock=clock) as index:
        fill(index)


def leave_locked(host: Host, clock: Clock | None = None, **process: str) -> None:
    """Leave the lock as somebody does who is killed: a process here that is gone, or one on another machine."""
    from medserver.host import this_process

    owner = str(this_process(host.data)._replace(**process))
    with ExitStack() as stack:
        held: Held = stack.enter_context(host.hold("rebuild", clock=clock))
        connection = held.table.backend.connect(writing=True)
        stack.callback(connection.close)
        leave = spelled(held.table.backend, IndexLock.update({IndexLock.owner: PARAMETER}))
        connection.execute(leave, (owner,))


def test_an_index_that_is_not_complete_is_not_used(hosts: list[Host]) -> None:
    ours, theirs = hosts
    ours.open().close()
    with pytest.raises(RuntimeError, match="interrupted"), ours.hold("restore") as held:
        held.spoil()
        raise RuntimeError("interrupted")
    for host in hosts:
        with pytest.raises(IndexLocked, match="run medserver backup restore again"):
            host.open()
    with theirs.hold("restore") as held:
        held.is_incomplete = False
    theirs.open().close()


def test_what_takes_the_place_of_an_index_has_a_higher_number(hosts: list[Host], tmp_path: Path) -> None:
    """Who opened the one that was there does not take the new one for it."""
    ours, _ = hosts
    ours.open().close()
    url = f"sqlite:///{tmp_path / 'new.db'}"
    open_index(url, base=tmp_path).close()
    with ours.hold("rebuild") as held:
        new = open_backend(url, tmp_path)
        held.pass_on(new)
        connection = new.connect()
        assert connection.execute("SELECT number FROM index_lock").fetchall() == [(held.number + 1,)]
        connection.close()


def test_a_file_that_is_no_index_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"this is no database" * 100)
    with exclusively("sqlite:///index.db", tmp_path, "rebuild") as held:
        assert not held.owner
