"""Several processes with several threads take and finish jobs: none waits for another that waits for it."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from medserver.index import Index, Lane, NewJob, Verdict, open_index
from tests.index.samples import forget, record

KINDS = ("copy", "deliver", "route", "verify", "compress", "repair")
PROCESSES, THREADS, JOBS_OF_KIND = 4, 4, 120
ROUNDS = 60
WIDE = {"limit": 2, "concurrency": 64, "destination_concurrency": 64}


def work(index: Index, seed: int, names: count, done: list[int]) -> None:
    """Take jobs of kinds in an order of one's own; half of them lead to a job of another kind."""
    dice = random.Random(seed)
    idle = 0
    while idle < 3 * len(KINDS):
        kind = dice.choice(KINDS)
        until = datetime.now(UTC) + timedelta(seconds=60)
        jobs = index.jobs.claim(Lane(kind, "D"), owner=f"w{next(names)}", lease_until=until, **WIDE)
        idle = 0 if jobs else idle + 1
        following = [NewJob(dice.choice(KINDS), {"last": True}, "D") for job in jobs if "last" not in job.payload]
        done += index.jobs.settle([Verdict(job, "done") for job in jobs], following) if jobs else ()


def test_workers_do_not_lock_each_other_out(
    index_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "medserver.index")
    done: list[int] = []
    names = count()
    with ExitStack() as stack:
        indexes = [stack.enter_context(open_index(index_url, base=tmp_path)) for _ in range(PROCESSES)]
        indexes[0].jobs.add([NewJob(kind, {}, "D") for _ in range(JOBS_OF_KIND) for kind in KINDS])
        threads = [
            threading.Thread(target=work, args=(index, number * THREADS + thread, names, done))
            for number, index in enumerate(indexes)
            for thread in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(indexes[0].jobs.list()) == []
    assert len(done) == len(set(done)) == 2 * JOBS_OF_KIND * len(KINDS)
    assert "DeadlockDetected" not in caplog.text


@pytest.fixture
def other(index_url: str, index: Index, tmp_path: Path) -> Iterator[Index]:
    """The same index, as another process has it."""
    with open_index(index_url, base=tmp_path) as opened:
        yield opened


def in_two_threads(first: Callable[[int], object], second: Callable[[int], object]) -> None:
    """Call each of two functions many times, at the same time as the other one."""

    def repeat(call: Callable[[int], object]) -> None:
        for number in range(ROUNDS):
            call(number)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(repeat, call) for call in (first, second)]:
            done.result()


def test_jobs_with_several_order_keys(
    index: Index, other: Index, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "medserver.index")
    jobs = [NewJob("film", {}, "D", order_key=key) for key in "abcdefgh"]
    in_two_threads(lambda number: index.jobs.add(jobs), lambda number: other.jobs.add(jobs[::-1]))
    assert len(list(index.jobs.list())) == 2 * ROUNDS * len(jobs)
    assert "DeadlockDetected" not in caplog.text


def test_a_patient_who_becomes_known_while_he_is_deleted(
    index: Index, other: Index, caplog: pytest.LogCaptureFixture
) -> None:
    """Who adds fills in patient, study and series from the top; who deletes takes them away from below."""
    caplog.set_level(logging.DEBUG, "medserver.index")
    told = {"patient_sex": "M", "study_description": "brain", "series_description": "t1"}
    records = [record(number=1), record(number=2, **told)]

    def add(number: int) -> None:
        for each in records:
            index.add(each)

    def remove(number: int) -> None:
        for each in records:
            forget(other, each.volume, each.path)

    in_two_threads(add, remove)
    assert "DeadlockDetected" not in caplog.text


def test_orders_of_deletion_in_any_order(
    index: Index, other: Index, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "medserver.index")
    records = [record(number=number) for number in range(12)]
    for each in records:
        index.add(each)
    objects = list(index.instances([each.sop_instance_uid for each in records]).values())
    in_two_threads(
        lambda number: index.deletions.order(objects), lambda number: other.deletions.order(objects[::-1])
    )
    assert "DeadlockDetected" not in caplog.text


def test_a_deadlock_is_tried_again(new_database: Callable[[], str], tmp_path: Path) -> None:
    """What locks in an order of its own all the same, by a mistake or in an index of another version."""
    met = threading.Barrier(2)
    attempts: list[str] = []

    def both(names: str) -> None:
        def perform(connection: Any) -> None:
            attempts.append(names)
            for name in names:
                connection.execute("UPDATE progress SET value = value || %s WHERE name = %s", (names[0], name))
                if len(attempts) <= 2 and name == names[0]:
                    met.wait(10)

        index._writer.run(perform)

    with open_index(new_database(), base=tmp_path) as index:
        for name in "ab":
            index.progress.set(name, "-")
        threads = [threading.Thread(target=both, args=(names,)) for names in ("ab", "ba")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(attempts) == 3
        assert sorted(index.progress.get("a")) == sorted(index.progress.get("b")) == ["-", "a", "b"]
