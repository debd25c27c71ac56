"""A node without a network, on SQLite and on PostgreSQL, and a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.node import Node, open_node
from tests.peers.rsyslog import Rsyslog

Open = Callable[..., Node]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database."""
    return "sqlite:///index.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()


@pytest.fixture
def open_archive(url: str, tmp_path: Path) -> Iterator[Open]:
    """Give a function that opens the node, as one more process would, with options of config.ini."""
    with ExitStack() as nodes:

        def opened(clock: object = None, **options: object) -> Node:
            data = tmp_path / "data"
            data.mkdir(exist_ok=True)
            (tmp_path / "config.ini").write_text("[node]\n")
            given = {"node.data": data, "index.url": url} | {f"audit.{name}": one for name, one in options.items()}
            overrides = tuple(f"{name}={one}" for name, one in given.items())
            node = open_node(ConfigFile(tmp_path / "config.ini", overrides), clock=clock)
            nodes.callback(node.close)
            return node

        yield opened


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    """Give a repository that runs."""
    one = Rsyslog(tmp_path / "rsyslog")
    yield one.start()
    one.kill()
