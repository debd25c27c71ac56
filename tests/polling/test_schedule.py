"""When an entry comes next, also where the clock was ahead the last time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from medserver.config import ConfigFile
from medserver.index import NewJob
from medserver.index.jobs.batch import Batch
from medserver.node import Node, open_node
from medserver.polling import schedule
from medserver.polling.runs import LastRun, Run, last_run, note_run
from medserver.polling.schedule import POLL, SURVEY_INTERVAL_S, survey
from tests.clock import Clock
from tests.peers.files import make_series
from tests.polling.source import Source

AHEAD_S = 3 * 3600.0


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """Return a source with three studies."""
    series = [make_series(tmp_path / str(number), 1, rows=16, columns=16) for number in range(3)]
    with Source(one.path for [one] in series) as source:
        yield source


@pytest.fixture
def node(tmp_path: Path, clock: Clock, source: Source) -> Node:
    address = f"{source.address.host}:{source.address.port}"
    (tmp_path / "config.ini").write_text(
        f"[node]\ndata = {tmp_path / 'data'}\n[ae SOURCE]\naddress = {address}\n"
        "[poll p]\nsource = SOURCE\nevery = 1 min\ndays_back = 36500\n"
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


def test_a_long_collection_gives_way_and_goes_on_at_once(
    node: Node, clock: Clock, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "TURN_S", 0.0)
    for fetched in (1, 2, 3):
        assert is_due(node)
        collect_as_job(node)
        assert node.index.select([]).count == len(source.fetched) == fetched
        clock.advance(SURVEY_INTERVAL_S)
    assert is_due(node)  # nobody has looked whether that was all
    collect_as_job(node)
    clock.advance(SURVEY_INTERVAL_S)
    assert not is_due(node)
    last = last_run(node, "p")
    assert (last.run.missing, last.run.problem, last.failures) == (0, "", 0)


def test_it_ends_soon_when_the_worker_is_asked_to_end(node: Node, source: Source) -> None:
    collect_as_job(node, should_stop=lambda: True)
    assert len(source.fetched) == 1
    assert is_due(node)


def collect_as_job(node: Node, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Perform the entry as a worker does."""
    node.index.jobs.add([NewJob(POLL, {"poll": "p"}, destination="SOURCE")])
    jobs = [job for job in node.index.jobs.list() if job.kind == POLL]
    list(schedule.poll(node, Batch(jobs, should_stop)))
    node.index.jobs.drop([job.id for job in jobs])
