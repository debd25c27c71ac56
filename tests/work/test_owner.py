"""A worker that is dead is known to be, if it ran here; of all others nothing is said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from medserver.index import Lane, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done
from medserver.node import Node
from medserver.work.kinds import JobKind
from medserver.work.owner import is_dead, new_owner
from medserver.work.runner import Runner
from tests.clock import Clock
from tests.peers.node import REPOSITORY
from tests.peers.process import wait_until
from tests.work.conftest import OpenNode


def owner_of_a_dead_process() -> str:
    code = "from medserver.work.owner import new_owner; print(new_owner())"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout.strip()


def test_who_is_dead() -> None:
    assert not is_dead(new_owner())
    assert not is_dead(f"{new_owner()}:7")
    assert is_dead(owner_of_a_dead_process())
    assert is_dead(f"{owner_of_a_dead_process()}:7")
    elsewhere = owner_of_a_dead_process().split(":", 1)[1]
    assert not is_dead(f"another-machine:{elsewhere}")
    for strange in ("", "a", "a:b:c:d:e", "host:123:abc"):
        assert not is_dead(strange)


def test_names_are_never_the_same() -> None:
    assert len({new_owner() for _ in range(100)}) == 100


def test_a_new_worker_takes_over_at_once(sqlite_config: Path, open_here: OpenNode, clock: Clock) -> None:
    node: Node = open_here(sqlite_config, clock)
    seen: list[int] = []

    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        for job in batch:
            seen.append(job.payload["n"])
            yield done(job)

    node.index.add_jobs([NewJob("copy", {"n": 1}), NewJob("copy", {"n": 2})])
    lane, later = Lane("copy"), clock.now.replace(year=2030)
    for owner in (f"{owner_of_a_dead_process()}:1", f"{new_owner()}:1"):
        limits = {"concurrency": 9, "destination_concurrency": 9}
        assert len(node.index.jobs.claim(lane, owner=owner, lease_until=later, **limits)) == 1
    runner = Runner(node, [JobKind("copy", copy)], ())
    runner.start()
    wait_until(lambda: seen == [1], what="the job of the dead one, and not that of the living")
    runner.stop(5)
    assert len(node.index.jobs.owners()) == 1
