"""Fixtures of the rules that delete: a node that sends everything on, on a fresh index and volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medserver.node import Node
from tests.archive.conftest import open_archive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.peers.files import Sample, make_series

DAY_S = 86_400
OPTIONS = (
    "ae ARCHIVE.address=127.0.0.1:104",
    "ae CLOUD.address=127.0.0.1:104",
    "route all.to=ARCHIVE, CLOUD",
)
RULE = {"age": "30 d", "after": "delivered", "to": "ARCHIVE", "last_copy": "delete", "dry_run": "no"}


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    return "sqlite:///index.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()


@pytest.fixture
def opened(open_archive, clock: Clock, index_url: str) -> Callable[..., Node]:  # noqa: F811
    """Give a function that opens the node of this test with a rule, of which some options, or the name, differ."""

    def open_it(*options: str, name: str = "r", **changes: str) -> Node:
        rule = [f"retention {name}.{option}={value}" for option, value in (RULE | changes).items() if value]
        return open_archive(f"index.url={index_url}", *OPTIONS, *rule, *options, clock=clock)

    return open_it


@pytest.fixture
def series(tmp_path: Path) -> list[Sample]:
    """Give a CT series of three small images."""
    return make_series(tmp_path / "made", 3, rows=16, columns=16)
