"""Who decides between objects is killed, and so is who notes that: the decision stands, and a new index knows it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from medserver import archive
from medserver.archive.decisions import load_promotions
from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.index import StoredCopy
from medserver.node import open_node, utc_now
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.archive.test_rebuild import variant
from tests.peers.files import make_small
from tests.peers.node import Node

POINTS = ("decision committed", "decision noted")


@pytest.fixture
def node(make_node: Callable[..., Node], tmp_path: Path) -> Node:
    """Give a node that holds an object and a duplicate of it, of number 2."""
    made = make_node()
    [sample] = make_small(tmp_path / "made")
    with closing(open_node(ConfigFile(made.config))) as opened:
        receive(opened, sample)
        receive(opened, sample, variant(sample, ImageComments="right"))
    return made


def killed(node: Node, *arguments: str, point: str) -> None:
    completed = node.forked(*arguments, environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output


def a_minute_later() -> datetime:
    """Return when the jobs of who was killed are taken back."""
    return utc_now() + timedelta(minutes=1)


def found(node: Node, *overrides: str) -> StoredCopy:
    with closing(open_node(ConfigFile(node.config, overrides))) as opened:
        if overrides:
            assert list(archive.rebuild(opened)) == []
        [current] = opened.index.select([])
        return current


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_between_the_rows_and_the_notes(node: Node, point: str) -> None:
    before = found(node)
    promote = ("index", "duplicates", "promote", "2", "--why", "right")
    if point == "decision committed":
        killed(node, *promote, point=point)
    else:
        node.cli(*promote).check()
        killed(node, "worker", point=point)
    decided = found(node)
    assert decided.key != before.key
    with closing(open_node(ConfigFile(node.config), clock=a_minute_later)) as opened:
        noted = load_promotions(opened)
        assert bool(noted) == (point == "decision noted")
        Runner(opened, periodic=()).run_due()
        [promotion] = load_promotions(opened)
        assert promotion.key == decided.key and not list(opened.index.jobs.counts())
    assert found(node, "index.url=sqlite:///another.db").key == decided.key


def test_a_rebuild_first_notes_what_waits(node: Node) -> None:
    killed(node, "index", "duplicates", "promote", "2", point="decision committed")
    decided = found(node)
    rebuilt = node.cli("index", "rebuild").check()
    assert "nothing is wrong" in rebuilt.output
    assert found(node).key == decided.key
