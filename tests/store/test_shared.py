"""Threads that flush a directory at the same time share a flush."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from medserver.store.directory.shared import SharedFlushes
from medserver.store.files import Files
from tests.peers.process import wait_until

THREADS = 8


class _Slow(Files):
    """A file system whose flushes of directories wait until they may go on, and fail where they should."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[str] = []
        self.may_go_on = threading.Event()

    def flush_directory(self, path: str) -> None:
        self.flushed.append(path)
        self.may_go_on.wait(60)
        if path == "bad":
            raise OSError(errno.EIO, "broken")


@pytest.fixture
def files() -> _Slow:
    return _Slow()


def waiting(shared: SharedFlushes) -> int:
    return len(shared._group._waiting)


def test_who_comes_during_a_flush_shares_the_next(files: _Slow) -> None:
    shared = SharedFlushes(files)
    with ThreadPoolExecutor(THREADS) as pool:
        first = pool.submit(shared.flush_directory, "a")
        wait_until(lambda: files.flushed == ["a"], what="the first flush")
        others = [pool.submit(shared.flush_directory, "ab"[number % 2]) for number in range(THREADS - 1)]
        wait_until(lambda: waiting(shared) == THREADS - 1, what="those who wait")
        assert not any(each.done() for each in (first, *others))
        files.may_go_on.set()
        for each in (first, *others):
            each.result(60)
    assert sorted(files.flushed) == ["a", "a", "b"]


def test_a_flush_that_fails_fails_all_that_wait_for_it_and_no_others(files: _Slow) -> None:
    shared = SharedFlushes(files)
    with ThreadPoolExecutor(THREADS) as pool:
        first = pool.submit(shared.flush_directory, "good")
        wait_until(lambda: files.flushed == ["good"], what="the first flush")
        others = {pool.submit(shared.flush_directory, path): path for path in ("bad", "good", "bad")}
        wait_until(lambda: waiting(shared) == len(others), what="those who wait")
        files.may_go_on.set()
        first.result(60)
        for each, path in others.items():
            assert isinstance(each.exception(60), OSError) == (path == "bad")
    assert files.flushed.count("bad") == 1


def test_it_is_the_file_system_otherwise(files: _Slow) -> None:
    assert SharedFlushes(files).names == files.names
