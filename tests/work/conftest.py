"""A configuration for each way in which jobs and their messages are kept, and nodes in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.node import Node, open_node, utc_now
from tests.work.redis import Redis

BACKENDS = ("sqlite", "postgresql", "redis")

OpenNode = Callable[..., Node]


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A running Redis."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def write_config(request: pytest.FixtureRequest, directory: Path, backend: str) -> Path:
    """Write the configuration of a node, and return its path."""
    lines = ["[node]", f"data = {directory / 'data'}", "[jobs]", "threads = 2"]
    if backend == "redis":
        lines.append(f"url = {request.getfixturevalue('redis').new_database()}")
    if backend == "postgresql":
        lines += ["[index]", f"url = {request.getfixturevalue('new_database')()}"]
    path = directory / "config.ini"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(params=BACKENDS)
def config_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The configuration of a node: the index with the messages in it, or the messages in Redis."""
    return write_config(request, tmp_path, request.param)


@pytest.fixture
def sqlite_config(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same, on SQLite only."""
    return write_config(request, tmp_path, "sqlite")


@pytest.fixture
def open_here() -> Iterator[OpenNode]:
    """Give a function that opens a node in this process."""
    with ExitStack() as stack:

        def opened(config: Path, clock: Callable[[], datetime] = utc_now) -> Node:
            node = open_node(ConfigFile(config), clock=clock)
            stack.callback(node.close)
            return node

        yield opened
