"""A node without a network, on SQLite and on PostgreSQL, that knows three AEs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.node import Node, open_node
from tests.clock import Clock

CONFIG = """[node]
[ae REQUESTER]
address = 127.0.0.1:10401
[ae WATCHER]
address = 127.0.0.1:10402
[ae AI1]
address = 127.0.0.1:10403
"""


def opened(directory: Path, url: str | None = None, clock: Clock | None = None, *options: str) -> Node:
    """Open the node of a directory."""
    (directory / "config.ini").write_text(CONFIG)
    (directory / "data").mkdir(exist_ok=True)
    overrides = [f"node.data={directory / 'data'}", *([f"index.url={url}"] if url else []), *options]
    return open_node(ConfigFile(directory / "config.ini", tuple(overrides)), clock=clock)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Give the URL of an empty database; None for SQLite."""
    return None if request.param == "sqlite" else request.getfixturevalue("new_database")()


@pytest.fixture
def node(url: str | None, tmp_path: Path) -> Iterator[Node]:
    """Give a node on an empty index."""
    one = opened(tmp_path, url)
    yield one
    one.close()


@pytest.fixture
def timed(url: str | None, tmp_path: Path, clock: Clock) -> Iterator[Node]:
    """Give a node on an empty index, of which the test sets the clock."""
    one = opened(tmp_path, url, clock)
    yield one
    one.close()
