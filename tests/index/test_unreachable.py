"""The server is away, or the network to it swallows packets: nobody waits long, and it goes on by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from medserver.errors import IndexFailure, IndexUnavailable
from medserver.index import Index, open_index
from medserver.index.database.opening import migrate, open_backend
from tests.index.cluster import Cluster
from tests.index.proxy import Proxy
from tests.index.samples import find, record
from tests.peers.process import wait_until

CALLS = 200


@pytest.fixture
def proxy(new_database: Callable[[], str]) -> Iterator[Proxy]:
    with closing(Proxy(new_database())) as opened:
        yield opened


@pytest.fixture
def index(proxy: Proxy, tmp_path: Path) -> Iterator[Index]:
    """An index behind the proxy, with open connections."""
    with open_index(proxy.url, base=tmp_path) as opened:
        opened.add(record(number=1))
        find(opened, "IMAGE", "SOPInstanceUID")
        yield opened


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is silent is asked soon."""
    monkeypatch.setattr("medserver.index.postgresql.connection.SILENCE_S", 0.2)


def failure_of(call: Callable[[], Any]) -> Exception | None:
    """Return what a call raises, in a thread that can be left alone if the call never ends."""
    results: list[Exception | None] = []

    def run() -> None:
        try:
            call()
        except Exception as error:
            results.append(error)
        else:
            results.append(None)

    threading.Thread(target=run, daemon=True).start()
    return wait_until(lambda: results, what="the end of a call")[0]


def goes_on(index: Index, number: int) -> bool:
    try:
        return index.add(record(number=number)).outcome in ("stored", "same") and bool(index.counts())
    except IndexUnavailable:
        return False


@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.add(record(number=2)),
        lambda index: index.progress.set("name", "value"),
        lambda index: index.counts(),
        lambda index: find(index, "IMAGE", "SOPInstanceUID"),
    ],
    ids=["add", "write", "read", "find"],
)
def test_packets_that_are_swallowed(
    index: Index, proxy: Proxy, impatient: None, call: Callable[[Index], Any]
) -> None:
    proxy.swallow()
    assert isinstance(failure_of(lambda: call(index)), IndexUnavailable)
    with pytest.raises(IndexUnavailable, match="cannot be reached"):  # nobody else waits to find out
        index.add(record(number=3))
    proxy.forward()
    wait_until(lambda: goes_on(index, 4), what="the index")


def test_a_slow_server_is_waited_for(index: Index, impatient: None) -> None:
    """It is there, and a query takes as long as it takes."""
    reading = index._connections
    with reading.lent() as connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(0.7)").fetchall() == [(1,)]


def test_a_silent_server_that_nobody_knows_yet(proxy: Proxy, tmp_path: Path) -> None:
    """A start does not wait for ever either."""
    proxy.swallow()
    assert isinstance(failure_of(lambda: open_index(proxy.url, base=tmp_path)), IndexFailure)


def test_while_the_server_is_away_one_at_a_time_tries(index: Index, proxy: Proxy, cluster: Cluster) -> None:
    cluster.stop()
    try:
        before = proxy.accepted
        for number in range(CALLS):
            with pytest.raises(IndexUnavailable):
                index.add(record(number=number))
        assert proxy.accepted - before < CALLS / 4
    finally:
        cluster.start()
    wait_until(lambda: goes_on(index, 2), what="the index")


def test_a_closed_connection_is_not_lent(index_url: str, tmp_path: Path) -> None:
    backend = open_backend(index_url, tmp_path)
    migrate(backend, tmp_path)
    connection = backend.connect()
    connection.close()
    assert not backend.usable(connection)
    with closing(backend.connections()) as connections:
        with connections.lent() as lent:
            lent.close()
        with connections.lent() as another:
            assert another.execute("SELECT 1").fetchall() == [(1,)]


def test_connections_are_bounded(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who cannot get one is told so."""
    monkeypatch.setattr("medserver.index.postgresql.pool.WAIT_S", 0.1)
    with closing(index.backend.connections(writing=True)) as connections:
        lent = [connections.lent() for _ in range(4)]
        for each in lent:
            each.__enter__()
        with pytest.raises(index.backend.errors, match="no connection was free"), connections.lent():
            pass
        lent.pop().__exit__(None, None, None)
        with connections.lent() as connection:
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        for each in lent:
            each.__exit__(None, None, None)
