"""A node with a primary volume, a replica and an archive, and a worker in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medserver import archive
from medserver.index import GOOD
from medserver.node import Node
from medserver.work.runner import Runner
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.hurry import hurried
from tests.peers.files import Sample, make_small

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
VOLUMES = ("main", "near", "cold")


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Nobody waits long for a volume that is away, or for others to go first."""
    with hurried():
        yield


@pytest.fixture
def open_volumes(open_archive, clock, tmp_path) -> Callable[..., Node]:  # noqa: F811
    """Give a function that opens the node."""

    def opened(*overrides: str, **arguments: object) -> Node:
        options = ["volume main.path=store", "volume main.role=primary"]
        for name, role in {"near": "replica", "cold": "archive"}.items():
            options += [f"volume {name}.path={tmp_path / name}", f"volume {name}.role={role}"]
        return open_archive(*options, *overrides, clock=clock, **arguments)

    return opened


@pytest.fixture
def node(open_volumes) -> Node:
    return open_volumes()


@pytest.fixture
def worker(node: Node) -> Runner:
    return Runner(node, periodic=())


@pytest.fixture
def samples(node: Node, tmp_path: Path) -> list[Sample]:
    """Twelve objects that were received."""
    made = make_small(tmp_path / "made", 12)
    for sample in made:
        receive(node, sample)
    return made


def run_all(worker: Runner) -> int:
    """Run what is due and what follows from it; return how many batches that were."""
    count = 0
    while ran := worker.run_due():
        count += ran
    return count


def states(node: Node) -> dict[str, list[str]]:
    """Return the states of all copies by volume."""
    found: dict[str, list[str]] = {}
    for location in node.index.locations():
        found.setdefault(location.volume, []).append(location.state)
    return found


def all_good(count: int, volumes: tuple[str, ...] = VOLUMES) -> dict[str, list[str]]:
    """Return what `states` is when all is well."""
    return {name: [GOOD] * count for name in sorted(volumes)}


def root(node: Node, volume: str) -> Path:
    """Return the directory of a volume."""
    return Path(node.volumes[volume].root)


def paths(node: Node, volume: str = "main") -> list[str]:
    """Return the paths of the copies that the index has on a volume."""
    return [one.path for one in node.index.locations((volume, "")) if one.volume == volume]


def flip(file: Path, offset: int, bit: int = 1) -> None:
    """Change one bit of a file."""
    content = bytearray(file.read_bytes())
    content[offset] ^= bit
    file.write_bytes(content)


def served(node: Node) -> dict[str, bytes]:
    """Return the data set of every instance, as a retrieve would."""
    found = {}
    for stored in node.index.select([]):
        with archive.open_data_set(node, stored) as data_set:
            found[stored.sop_instance_uid] = data_set.read(stored.size_bytes)
    return found


def sent(samples: list[Sample]) -> dict[str, bytes]:
    """Return what `served` is to give."""
    return {sample.sop_instance_uid: sample.data_set() for sample in samples}


def take_away(directory: Path) -> Path:
    """Rename a directory; return where it is now."""
    away = directory.with_name(f"{directory.name}.away")
    directory.rename(away)
    return away


def bring_back(directory: Path) -> None:
    """Undo `take_away`, whatever has been put in the place meanwhile."""
    if directory.is_dir():
        shutil.rmtree(directory)
    else:
        directory.unlink(missing_ok=True)
    directory.with_name(f"{directory.name}.away").rename(directory)
