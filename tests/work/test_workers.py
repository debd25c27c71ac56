"""Several workers, as processes: none does what another one does, and one that is killed loses nothing."""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from medserver.index import JobFilter, Lane, NewJob
from medserver.node import Node
from medserver.server.acceptor_process import DRAIN_S
from tests.peers.process import wait_until
from tests.work.conftest import OpenNode
from tests.work.history import History
from tests.work.worker import LEASE_S, main

# Forked from a process that has imported everything, once for all tests.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.work.worker"])

WORKERS = 3
NOTES, KEYS, PER_KEY = 90, 8, 6
KILLS = 6
SEED = 4


class Member:
    """One worker."""

    def __init__(self, config: Path, history: Path, number: int, options: tuple[str, ...]) -> None:
        self._log = config.with_name(f"worker-{number}.log")
        self.process = FORKS.Process(target=main, args=(config, history, self._log, *options), daemon=True)
        self.process.start()

    @property
    def output(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


class Crew:
    """Workers on one configuration.

    Parameters
    ----------
    config : Path
        Their configuration.
    """

    def __init__(self, config: Path) -> None:
        self._config = config
        self.path = config.with_name("history")
        self.killed: dict[int, float] = {}
        self.members: list[Member] = []
        self._numbers = count()

    def start(self, number: int = 1, *options: str) -> None:
        new = [Member(self._config, self.path, next(self._numbers), options) for _ in range(number)]
        self.members += new
        wait_until(lambda: all("working pid=" in member.output for member in new), what="workers")

    def kill(self, member: Member) -> None:
        member.process.kill()
        member.process.join()
        self.killed[member.process.pid] = time.monotonic()
        self.members.remove(member)

    @property
    def history(self) -> History:
        return History(self.path, self.killed)

    def begun(self) -> int:
        return self.path.read_text().count("begin") if self.path.exists() else 0


@pytest.fixture
def crew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crew]:
    name = "config_path" if "config_path" in request.fixturenames else "sqlite_config"
    workers = Crew(request.getfixturevalue(name))
    yield workers
    for member in workers.members:
        member.process.kill()
    for log in sorted(tmp_path.glob("worker-*.log")):
        sys.stdout.write(log.read_text())


def add_work(node: Node) -> dict[str, list[int]]:
    """Add jobs of every sort; return their numbers by what they have in common."""
    numbers: dict[str, list[int]] = {}
    for destination in "AB":
        jobs = [NewJob("note", {"work_s": 0.004}, destination) for _ in range(NOTES // 2)]
        numbers[f"note {destination}"] = node.index.add_jobs(jobs)
    for key in range(KEYS):
        jobs = [NewJob("ordered", {"work_s": 0.003}, "C", f"1.2.{key}") for _ in range(PER_KEY)]
        numbers[f"key {key}"] = node.index.add_jobs(jobs)
    numbers["single"] = node.index.add_jobs([NewJob("single", {"work_s": 0.003}) for _ in range(10)])
    return numbers


def is_done(node: Node) -> bool:
    return not any(node.index.jobs.counts())


def check_order_and_limits(history: History, numbers: dict[str, list[int]]) -> None:
    groups = {number: name for name, some in numbers.items() if name.startswith("key") for number in some}
    history.check_alone(groups)
    for name, some in numbers.items():
        if name.startswith("key"):
            assert history.first_runs(some) == sorted(some)
    assert history.busiest(numbers["note A"]) <= 2 and history.busiest(numbers["note B"]) <= 2
    assert history.busiest([*numbers["note A"], *numbers["note B"]]) <= 3
    assert history.busiest(numbers["single"]) == 1


def test_every_job_is_done_once(config_path: Path, open_here: OpenNode, crew: Crew) -> None:
    node = open_here(config_path)
    crew.start(WORKERS)
    numbers = add_work(node)
    wait_until(lambda: is_done(node), deadline_s=60, what="the end of all jobs")
    history = crew.history
    everything = [number for some in numbers.values() for number in some]
    assert history.counts() == dict.fromkeys(everything, 1)
    assert len({run.process for run in history.runs}) > 1  # a machine may start one of them too late
    check_order_and_limits(history, numbers)


def test_killed_workers_lose_nothing(config_path: Path, open_here: OpenNode, crew: Crew) -> None:
    node = open_here(config_path)
    numbers = add_work(node)
    chance = random.Random(SEED)
    crew.start(WORKERS)
    for _ in range(KILLS):
        enough = crew.begun() + chance.randrange(1, 12)
        wait_until(lambda: crew.begun() >= enough or is_done(node), deadline_s=30, what="some jobs")
        crew.kill(chance.choice(crew.members))
        if not crew.members or chance.random() < 0.5:
            crew.start(1)
    crew.start(1)
    wait_until(lambda: is_done(node), deadline_s=60, what="the end of all jobs")
    history = crew.history
    everything = {number for some in numbers.values() for number in some}
    assert set(history.counts()) == everything
    check_order_and_limits(history, numbers)


def test_a_job_starts_by_its_message(config_path: Path, open_here: OpenNode, crew: Crew) -> None:
    node = open_here(config_path)
    crew.start(1, "no sweep")
    for done in range(1, 4):
        node.index.add_jobs([NewJob("single")])
        wait_until(lambda: crew.begun() == done and is_done(node), what="a job without a sweep")


def test_failures_come_again_until_they_are_dead(open_here: OpenNode, crew: Crew, sqlite_config: Path) -> None:
    node = open_here(sqlite_config)
    [twice] = node.index.add_jobs([NewJob("note", {"failures": 2}, "A")])
    [always] = node.index.add_jobs([NewJob("note", {"failures": 99}, "B")])
    crew.start(1)
    wait_until(lambda: [job.id for job in node.index.jobs.list(JobFilter(state="dead"))] == [always], what="a dead job")
    assert crew.history.counts() == {twice: 3, always: 10}
    assert node.index.jobs.get(always).last_error == "attempt 10"


def test_a_pause_holds_all_workers(open_here: OpenNode, crew: Crew, sqlite_config: Path) -> None:
    node = open_here(sqlite_config)
    node.index.jobs.pause("note", "A")
    paused = node.index.add_jobs([NewJob("note", {}, "A") for _ in range(5)])
    crew.start(2)
    others = node.index.add_jobs([NewJob("note", {}, "B") for _ in range(20)])
    wait_until(lambda: set(crew.history.counts()) == set(others), what="the jobs of the other lane")
    assert {job.id for job in node.index.jobs.list()} == set(paused)
    node.index.jobs.resume("note", "A")
    wait_until(lambda: is_done(node), what="the jobs of the lane that was paused")


def test_what_comes_periodically_is_done_by_one(config_path: Path, open_here: OpenNode, crew: Crew) -> None:
    crew.start(3, "periodic")
    wait_until(lambda: crew.begun() >= 4, what="four times")
    begun = sorted(run.begun_at for run in crew.history.runs)
    assert min(later - earlier for earlier, later in zip(begun, begun[2:])) > 0.3  # two a period would be less
    crew.history.check_alone(dict.fromkeys(crew.history.counts(), "tick"))


def test_a_worker_that_is_asked_to_stop_leaves_its_jobs_to_others(
    open_here: OpenNode, crew: Crew, sqlite_config: Path
) -> None:
    node = open_here(sqlite_config)
    crew.start(1)
    node.index.add_jobs([NewJob("patient"), NewJob("stubborn")])
    wait_until(lambda: crew.begun() == 2, what="both jobs")
    begun = time.monotonic()
    [member] = crew.members
    member.process.terminate()
    member.process.join(20)
    assert member.process.exitcode == 0
    assert time.monotonic() - begun < DRAIN_S + 4
    assert {(job.kind, job.state, job.attempts) for job in node.index.jobs.list()} == {
        ("patient", "waiting", 0), ("stubborn", "waiting", 0),
    }  # fmt: skip
    assert "1 jobs were not finished in time" in member.output


def test_a_lease_lasts_as_long_as_the_work(open_here: OpenNode, crew: Crew, sqlite_config: Path) -> None:
    node = open_here(sqlite_config)
    crew.start(2)
    [number] = node.index.add_jobs([NewJob("note", {"work_s": 2 * LEASE_S})])
    wait_until(lambda: is_done(node), what="the end of a long job")
    assert crew.history.counts() == {number: 1}


def test_what_was_claimed_and_never_begun_is_offered_again(
    open_here: OpenNode, crew: Crew, sqlite_config: Path
) -> None:
    node = open_here(sqlite_config)
    numbers = node.index.add_jobs([NewJob("note") for _ in range(3)])
    claimed = node.index.jobs.claim(Lane("note"), owner="dead", lease_until=node.clock(), limit=3)
    assert [job.id for job in claimed] == numbers
    crew.start(1)
    wait_until(lambda: is_done(node), what="the jobs of the dead worker")
    assert crew.history.counts() == dict.fromkeys(numbers, 1)
