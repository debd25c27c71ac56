"""A worker that is dead is known to be, if it ran here; of all others nothing is said."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from medserver.errors import StoreFailure
from medserver.host import node_uuid, process_of, this_process
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


def owner_of_a_dead_process(data: Path) -> str:
    code = "import pathlib, sys; from medserver import host; print(host.this_process(pathlib.Path(sys.argv[1])))"
    process = subprocess.run(
        [sys.executable, "-c", code, data], capture_output=True, text=True, check=True, cwd=REPOSITORY
    ).stdout.strip()
    return f"{process}:token"


def test_who_is_dead(tmp_path: Path) -> None:
    here = this_process(tmp_path)
    assert not is_dead(new_owner(here), here)
    assert not is_dead(f"{new_owner(here)}:7", here)
    dead = owner_of_a_dead_process(tmp_path)
    assert is_dead(dead, here)
    assert is_dead(f"{dead}:7", here)
    assert is_dead(owner_of_a_dead_process(tmp_path / "another"), here), "of another node on this machine"
    for strange in ("", "a", "a:b:c:d:e", "host:123:abc"):
        assert not is_dead(strange, here)


def test_a_worker_on_another_machine_lives(tmp_path: Path) -> None:
    """Whatever else it has in common with this one: its name, a namespace, a process ID that is free here."""
    here = this_process(tmp_path)
    gone = process_of(owner_of_a_dead_process(tmp_path))
    elsewhere = gone._replace(node=str(uuid4()), machine=str(uuid4()))
    assert gone.namespace == elsewhere.namespace and gone.is_gone
    assert not is_dead(new_owner(elsewhere), here)


def test_before_the_last_boot_is_dead(tmp_path: Path) -> None:
    """Also if a process of now has its ID: the node is registered, and runs on one machine."""
    here = this_process(tmp_path)
    assert is_dead(new_owner(here._replace(machine=str(uuid4()))), here)


def test_a_process_id_that_was_given_again(tmp_path: Path) -> None:
    here = this_process(tmp_path)
    assert is_dead(new_owner(here._replace(started="1")), here)


def test_names_are_never_the_same(tmp_path: Path) -> None:
    here = this_process(tmp_path)
    assert len({new_owner(here) for _ in range(100)}) == 100


def test_the_node_keeps_its_uuid(tmp_path: Path) -> None:
    uuid = node_uuid(tmp_path / "data")
    assert node_uuid(tmp_path / "data") == uuid != node_uuid(tmp_path / "other")
    (tmp_path / "data" / "node").write_text("no UUID")
    with pytest.raises(StoreFailure, match="holds no UUID"):
        node_uuid(tmp_path / "data")


def test_a_new_worker_takes_over_at_once(sqlite_config: Path, open_here: OpenNode, clock: Clock) -> None:
    node: Node = open_here(sqlite_config, clock)
    seen: list[int] = []

    def copy(node: Node, batch: Batch) -> Iterator[Outcome]:
        for job in batch:
            seen.append(job.payload["n"])
            yield done(job)

    node.index.add_jobs([NewJob("copy", {"n": 1}), NewJob("copy", {"n": 2})])
    lane, later = Lane("copy"), clock.now.replace(year=2030)
    data = node.config.current.node.data
    for owner in (f"{owner_of_a_dead_process(data)}:1", f"{new_owner(this_process(data))}:1"):
        limits = {"concurrency": 9, "destination_concurrency": 9}
        assert len(node.index.jobs.claim(lane, owner=owner, lease_until=later, **limits)) == 1
    runner = Runner(node, [JobKind("copy", copy)], ())
    runner.start()
    wait_until(lambda: seen == [1], what="the job of the dead one, and not that of the living")
    runner.stop(5)
    assert len(node.index.jobs.owners()) == 1


def test_threads_that_make_the_file_at_once_agree(tmp_path: Path) -> None:
    for number in range(20):
        together = threading.Barrier(8)

        def made(folder: Path = tmp_path / str(number), together: threading.Barrier = together) -> str:
            together.wait()
            return node_uuid(folder)

        with ThreadPoolExecutor(8) as executor:
            uuids = {each.result() for each in [executor.submit(made) for _ in range(8)]}
        assert len(uuids) == 1
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == ["node"]
