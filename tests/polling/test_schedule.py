"""When an entry comes next, also where the clock was ahead the last time."""

from __future__ import annotations

from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.index.jobs.batch import Batch
from medserver.node import Node, open_node
from medserver.polling.runs import LastRun, Run, note_run
from medserver.polling.schedule import POLL, survey
from tests.clock import Clock

AHEAD_S = 3 * 3600.0


@pytest.fixture
def node(tmp_path: Path, clock: Clock) -> Node:
    (tmp_path / "config.ini").write_text(
        f"[node]\ndata = {tmp_path / 'data'}\n[ae A]\naddress = 127.0.0.1:104\n[poll p]\nsource = A\nevery = 1 min\n"
    )
    opened = open_node(ConfigFile(tmp_path / "config.ini"), clock=clock)
    yield opened
    opened.close()


def is_due(node: Node) -> bool:
    survey(node, Batch(()))
    found = [job for job in node.index.jobs.list() if job.kind == POLL]
    node.index.jobs.drop([job.id for job in found])
    return bool(found)


def test_it_comes_after_its_time(node: Node, clock: Clock) -> None:
    note_run(node, "p", LastRun(clock(), Run(), 0))
    clock.advance(59)
    assert not is_due(node)
    clock.advance(1)
    assert is_due(node)


def test_it_comes_at_once_after_a_time_in_the_future(node: Node, clock: Clock) -> None:
    clock.advance(AHEAD_S)
    note_run(node, "p", LastRun(clock(), Run(), 0))
    clock.advance(-AHEAD_S)
    assert is_due(node)
