"""Worker processes: limits, crashes, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from medserver.codecs import Workers
from medserver.errors import CannotTranscode, OutOfResources, TransferSyntaxNotSupported, WorkStopped
from tests.codecs import jobs
from tests.peers.proc import children_of, is_alive

DEADLINE_S = 20.0


@pytest.fixture
def one() -> Iterator[Workers]:
    """Return one worker with small limits."""
    with Workers(1, memory_max_bytes=256 * 2**20, time_max_s=1.0) as one:
        yield one


def test_a_job_runs_in_another_process(one: Workers) -> None:
    process_id = one.run(jobs.process_id)
    assert process_id != os.getpid()
    assert one.run(jobs.process_id) == process_id, "the process is kept"


def test_arguments_and_files(one: Workers, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"of the parent")
    with path.open("rb") as file:
        assert one.run(jobs.read, 6, files=(file.fileno(),)) == "of the"
        assert one.run(jobs.read, 6, files=(file.fileno(),)) == " paren", "one open file, one position"
        assert one.run(jobs.open_files) == one.run(jobs.open_files), "descriptors are closed after a job"


def test_nothing_is_started_before_the_first_job() -> None:
    before = children_of(os.getpid())
    with Workers(2):
        assert children_of(os.getpid()) == before


def test_work_that_nobody_wants_any_longer_is_stopped(one: Workers) -> None:
    first = one.run(jobs.process_id)
    asked = iter([False, False, True])
    begun_at = time.monotonic()
    with pytest.raises(WorkStopped):
        one.run(jobs.work, 0.9, unless=lambda: next(asked))
    assert time.monotonic() - begun_at < DEADLINE_S
    assert not is_alive(first)
    assert one.run(jobs.process_id) != first
    assert one.run(jobs.work, 0.3, unless=lambda: False) != first


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_worker_fails_its_job_alone(one: Workers, kill: int) -> None:
    first = one.run(jobs.process_id)
    with pytest.raises(CannotTranscode, match="died"):
        one.run(jobs.kill_itself, int(kill))
    second = one.run(jobs.process_id)
    assert second != first
    assert not is_alive(first)


def test_a_worker_killed_from_outside_while_it_works(one: Workers, tmp_path: Path) -> None:
    ready, wait = _pipe(), _pipe()
    with ThreadPoolExecutor(1) as threads, _closing(*ready, *wait):
        job = threads.submit(one.run, jobs.announce_and_wait, files=(ready[1], wait[0]))
        os.kill(int(os.read(ready[0], 16)), signal.SIGKILL)
        with pytest.raises(CannotTranscode, match="died"):
            job.result(DEADLINE_S)
    assert one.run(jobs.process_id) > 0


def test_a_worker_killed_while_idle_is_replaced_unnoticed(one: Workers) -> None:
    first = one.run(jobs.process_id)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert one.run(jobs.process_id) != first


def test_memory_limit(one: Workers) -> None:
    with pytest.raises(CannotTranscode, match="memory"):
        one.run(jobs.allocate, 512 * 2**20)
    assert one.run(jobs.allocate, 128 * 2**20) == 128 * 2**20


def test_cpu_time_limit(one: Workers) -> None:
    started = time.monotonic()
    with pytest.raises(CannotTranscode, match="CPU time"):
        one.run(jobs.loop)
    assert time.monotonic() - started < DEADLINE_S
    assert one.run(jobs.process_id) > 0


def test_cpu_time_limit_is_for_each_job(one: Workers) -> None:
    process_ids = {one.run(jobs.work, 0.4) for _ in range(3)}
    assert len(process_ids) == 1, "1.2 s in all, none above 1 s"


def test_wall_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medserver.codecs.workers.START_TIME_MAX_S", 1.0)
    ready, wait = _pipe(), _pipe()
    with Workers(1, time_max_s=0.2) as one, _closing(*ready, *wait):
        with pytest.raises(CannotTranscode, match="too long"):
            one.run(jobs.announce_and_wait, files=(ready[1], wait[0]))
        assert not is_alive(int(os.read(ready[0], 16)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CannotTranscode", CannotTranscode),
        ("TransferSyntaxNotSupported", TransferSyntaxNotSupported),
        ("OutOfResources", OutOfResources),
        ("ConfigError", CannotTranscode),
    ],
)
def test_our_errors_come_back(one: Workers, name: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match="^why$"):
        one.run(jobs.raise_error, name, "why")


def test_other_errors_are_cannot_transcode(one: Workers) -> None:
    with pytest.raises(CannotTranscode, match="ZeroDivisionError"):
        one.run(jobs.divide, 1, 0)
    with pytest.raises(CannotTranscode, match="RecursionError"):
        one.run(jobs.recurse)


def test_a_full_disk_is_out_of_resources(one: Workers) -> None:
    with open("/dev/full", "wb") as full, pytest.raises(OutOfResources):
        one.run(jobs.write, files=(full.fileno(),))


def test_many_threads_share_two_workers() -> None:
    with Workers(2) as workers, ThreadPoolExecutor(8) as threads:
        process_ids = list(threads.map(lambda _: workers.run(jobs.work, 0.01), range(64)))
    assert 1 <= len(set(process_ids)) <= 2


def test_close_ends_processes_and_jobs() -> None:
    workers = Workers(2)
    idle = workers.run(jobs.process_id)
    ready, wait = _pipe(), _pipe()
    with ThreadPoolExecutor(1) as threads, _closing(*ready, *wait):
        job = threads.submit(workers.run, jobs.announce_and_wait, files=(ready[1], wait[0]))
        busy = int(os.read(ready[0], 16))
        workers.close()
        with pytest.raises(CannotTranscode):
            job.result(DEADLINE_S)
    with pytest.raises(CannotTranscode, match="stopped"):
        workers.run(jobs.process_id)
    assert not is_alive(idle)
    assert not is_alive(busy)
    workers.close()


@pytest.mark.parametrize("job", ["process_id", "announce_and_wait"])
def test_workers_die_with_a_killed_parent(job: str) -> None:
    """Idle or busy, a worker sees that its parent is gone."""
    program = f"from tests.codecs import jobs; jobs.be_a_parent({job!r})"
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    worker = int(parent.stdout.readline())
    assert is_alive(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + DEADLINE_S
    while is_alive(worker):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def _pipe() -> tuple[int, int]:
    return os.pipe()


class _closing:
    """Closes descriptors at the end."""

    def __init__(self, *descriptors: int) -> None:
        self._descriptors = descriptors

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for each in self._descriptors:
            os.close(each)
