"""An empty index, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medserver.index import Index, open_index


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; a relative path begins at `tmp_path`."""
    if request.param == "sqlite":
        return "sqlite:///index.db"
    return request.getfixturevalue("new_database")()


@pytest.fixture
def index(index_url: str, tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    with open_index(index_url, base=tmp_path) as opened:
        yield opened
