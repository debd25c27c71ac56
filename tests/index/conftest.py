"""An empty index, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.index import Index, open_index
from tests.index.cluster import Cluster, find_programs


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL."""
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing")
        pytest.skip("PostgreSQL is missing (Debian package postgresql)")
    server = Cluster(programs)
    server.start()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a relative path begins at `tmp_path`."""
    if request.param == "sqlite":
        return "sqlite:///index.db"
    return request.getfixturevalue("cluster").new_database()


@pytest.fixture
def index(index_url: str, tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    with open_index(index_url, base=tmp_path) as opened:
        yield opened
