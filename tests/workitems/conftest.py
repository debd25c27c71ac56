"""A node without a network, on SQLite and on PostgreSQL, that knows three AEs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.node import Node, open_node

CONFIG = """[node]
[ae REQUESTER]
address = 127.0.0.1:10401
[ae WATCHER]
address = 127.0.0.1:10402
[ae AI1]
address = 127.0.0.1:10403
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """Give a node on an empty index."""
    (tmp_path / "config.ini").write_text(CONFIG)
    (tmp_path / "data").mkdir()
    overrides = [f"node.data={tmp_path / 'data'}"]
    if request.param == "postgresql":
        overrides.append(f"index.url={request.getfixturevalue('new_database')()}")
    opened = open_node(ConfigFile(tmp_path / "config.ini", tuple(overrides)))
    yield opened
    opened.close()
