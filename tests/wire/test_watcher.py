"""One thread waits for many: what it calls, when, and when no more."""

from __future__ import annotations

import math
import queue
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from medserver.wire.watcher import Watcher

WAIT_S = 5.0


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    made.start()
    yield made
    if not made.closing:
        made.close()


@pytest.fixture
def calls() -> queue.Queue:
    """Give where callbacks put whether they were late."""
    return queue.Queue()


def test_bytes_call_back_once(watcher: Watcher, calls: queue.Queue) -> None:
    here, there = socket.socketpair()
    with here, there:
        watcher.watch(here, math.inf, calls.put)
        there.send(b"ab")
        assert calls.get(timeout=WAIT_S) is False
        there.send(b"c")
        assert here.recv(10) in (b"ab", b"abc")
        watcher.watch(None, time.monotonic(), calls.put)
        assert calls.get(timeout=WAIT_S) is True
        assert calls.empty()  # for what came behind the first byte nobody waited


def test_the_time_passes_in_the_order_of_the_deadlines(watcher: Watcher, calls: queue.Queue) -> None:
    here, there = socket.socketpair()
    now = time.monotonic()
    with here, there:
        watcher.watch(None, now + 0.2, lambda is_late: calls.put((3, is_late)))
        watcher.watch(here, now + 0.1, lambda is_late: calls.put((2, is_late)))
        watcher.watch(None, now + 0.05, lambda is_late: calls.put((1, is_late)))
        assert [calls.get(timeout=WAIT_S) for _ in range(3)] == [(1, True), (2, True), (3, True)]
    assert 0.2 <= time.monotonic() - now


def test_a_callback_may_watch_again(watcher: Watcher, calls: queue.Queue) -> None:
    here, there = socket.socketpair()

    def read(is_late: bool) -> None:
        if not is_late:
            calls.put(here.recv(1))
            watcher.watch(here, math.inf, read)

    with here, there:
        watcher.watch(here, math.inf, read)
        there.send(b"abc")
        assert [calls.get(timeout=WAIT_S) for _ in range(3)] == [b"a", b"b", b"c"]
        watcher.close()


def test_what_is_urgent_goes_first(calls: queue.Queue) -> None:
    """And no other waits for ever: all are called back."""
    watcher = Watcher()
    pairs = [socket.socketpair() for _ in range(200)]
    for number, (here, there) in enumerate(pairs):
        is_urgent = number >= 190
        watcher.watch(here, math.inf, lambda is_late, is_urgent=is_urgent: calls.put(is_urgent), is_urgent=is_urgent)
        there.send(b"a")
    watcher.start()
    assert [calls.get(timeout=WAIT_S) for _ in pairs] == [True] * 10 + [False] * 190
    watcher.close()
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_for_all_that_is_watched_the_time_has_passed_when_it_closes(watcher: Watcher, calls: queue.Queue) -> None:
    pairs = [socket.socketpair() for _ in range(50)]
    for here, _ in pairs:
        watcher.watch(here, math.inf, calls.put)
    watcher.close()
    assert [calls.get_nowait() for _ in pairs] == [True] * 50
    watcher.watch(pairs[0][0], math.inf, calls.put)
    assert calls.get_nowait() is True
    for here, there in pairs:
        here.close()
        there.close()


def test_many_threads_watch_while_it_closes(watcher: Watcher, calls: queue.Queue) -> None:
    """Every callback is called, whether its watch came before the end or behind it."""

    def watch() -> None:
        for _ in range(200):
            watcher.watch(None, math.inf, calls.put)

    threads = [threading.Thread(target=watch) for _ in range(8)]
    for thread in threads:
        thread.start()
    watcher.close()
    for thread in threads:
        thread.join()
    assert [calls.get_nowait() for _ in range(8 * 200)] == [True] * (8 * 200)


def test_what_cannot_be_watched_is_late_and_nothing_else(watcher: Watcher, calls: queue.Queue) -> None:
    """The system refuses to watch a regular file, as it refuses any descriptor when it has no memory for it."""
    here, there = socket.socketpair()
    with here, there, open(__file__, "rb") as regular:
        watcher.watch(here, math.inf, lambda is_late: calls.put(("socket", is_late)))
        watcher.watch(regular, math.inf, lambda is_late: calls.put(("file", is_late)))
        assert calls.get(timeout=WAIT_S) == ("file", True)
        there.send(b"a")
        assert calls.get(timeout=WAIT_S) == ("socket", False)
