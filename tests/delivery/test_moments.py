"""When instances go: at once, when their study is quiet, or at the hours of the rule. At moments that the test sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pydicom
import pytest

from medserver.config.hours import Hours
from medserver.delivery.deciding import DECIDE
from medserver.index import JobFilter
from medserver.node import Node
from medserver.work.kinds import PERIODIC
from medserver.work.runner import Runner
from tests.index.samples import forget
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample

OPTIONS = ("route r.to=ARCHIVE",)


@pytest.fixture
def opened(open_archive, clock: Clock, storescp: StoreSCP) -> Callable[..., Node]:  # noqa: F811
    """Give a function that opens a node with a rule."""
    address = f"ae ARCHIVE.address=127.0.0.1:{storescp.address.port}"
    return lambda *options: open_archive(address, *OPTIONS, *options, clock=clock)


def run_all(node: Node, *, decides: bool = False) -> None:
    worker = Runner(node, periodic=[each for each in PERIODIC if decides and each.kind == DECIDE])
    while worker.run_due():
        pass


def waiting(node: Node) -> list[str]:
    return [job.kind for job in node.index.jobs.list(JobFilter())]


def test_a_study_goes_when_it_is_quiet(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample]
) -> None:
    node = opened("route r.when=study", "route r.quiet=1 min")
    receive(node, series[0])
    run_all(node)
    clock.advance(40)
    receive(node, series[1])
    run_all(node)
    assert waiting(node) == ["hold", "hold"]
    clock.advance(30)  # the first would be due, but the second has come since
    run_all(node)
    assert waiting(node) == ["hold", "hold"]
    assert storescp.files() == []
    clock.advance(31)
    run_all(node)
    assert waiting(node) == []
    assert len(storescp.files()) == 2
    receive(node, series[2])  # late: it is sent on its own
    run_all(node)
    clock.advance(61)
    run_all(node)
    assert len(storescp.files()) == 3


def test_what_was_received_while_the_clock_was_ahead_goes_soon(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample]
) -> None:
    node = opened("route r.when=study", "route r.quiet=1 min")
    clock.advance(3 * 3600)
    receive(node, series[0])
    run_all(node)
    clock.advance(-3 * 3600)
    for _ in range(8):
        run_all(node)
        clock.advance(60)
    run_all(node)
    assert waiting(node) == []
    assert len(storescp.files()) == 1


def test_a_series_goes_when_it_is_quiet_whatever_comes_of_the_study(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample]
) -> None:
    node = opened("route r.when=series", "route r.quiet=1 min")
    receive(node, series[0])
    run_all(node)
    clock.advance(40)
    other = pydicom.dcmread(series[1].path)
    other.SeriesInstanceUID = "1.2.3.4"
    other.save_as(series[1].path)
    receive(node, series[1])
    run_all(node)
    clock.advance(30)
    run_all(node)
    assert waiting(node) == ["hold"]
    assert len(storescp.files()) == 1
    clock.advance(31)
    run_all(node)
    assert waiting(node) == []


def test_evidence_that_came_while_it_was_being_held(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample]
) -> None:
    """Nobody is told of it, as if it had been noted between the look for it and the end of the job."""
    node = opened("route r.when=study", "route r.quiet=1 h", "route r.complete_by=association")
    receive(node, series[0])
    receive(node, series[1])
    run_all(node)
    assert waiting(node) == ["hold", "hold"]
    clock.advance(1)
    study = next(iter(node.index.select([]))).study_instance_uid
    node.index.completions.note("association", [study], clock.now, [])
    run_all(node)
    assert waiting(node) == ["hold", "hold"]
    clock.advance(2)
    run_all(node)
    assert waiting(node) == []
    assert len(storescp.files()) == 2
    receive(node, series[2])  # after the evidence
    run_all(node)
    clock.advance(2)
    run_all(node)
    assert waiting(node) == ["hold"]


def test_who_removes_the_rule_does_not_lose_what_it_held(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample], open_archive  # noqa: F811
) -> None:
    receive(node := opened("route r.when=study"), series[0])
    run_all(node)
    clock.advance(61)
    without = open_archive(f"ae ARCHIVE.address=127.0.0.1:{storescp.address.port}", clock=clock)
    for _ in range(30):  # it does not die of waiting for a decision
        run_all(without, decides=True)
        clock.advance(61)
    [job] = without.index.jobs.list(JobFilter("hold"))
    assert (job.state, storescp.files()) == ("undecided", [])
    assert "no rule 'r'" in str(job.last_error)
    run_all(opened("route r.when=study"), decides=True)
    assert len(storescp.files()) == 1


def test_what_was_due_by_a_rule_that_is_gone_waits(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample], open_archive  # noqa: F811
) -> None:
    receive(opened(), series[0])
    without = open_archive(f"ae ARCHIVE.address=127.0.0.1:{storescp.address.port}", clock=clock)
    for _ in range(30):
        run_all(without, decides=True)
        clock.advance(61)
    [job] = without.index.jobs.list(JobFilter("deliver"))
    assert (job.state, storescp.files()) == ("undecided", [])
    [count] = without.index.jobs.counts_by(["route"], ["deliver"], "undecided")
    assert (count.destination, count.values, count.count) == ("ARCHIVE", ("r",), 1)
    without.index.jobs.amend([job.id], {"route": None})
    run_all(without)
    assert len(storescp.files()) == 1


def test_it_goes_at_the_hours_of_the_rule(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample]
) -> None:
    hour = clock.now.astimezone().hour
    first = (hour + 3) % 24
    node = opened(f"route r.hours={first}-{(first + 2) % 24 or 24}")
    receive(node, series[0])
    run_all(node)
    assert waiting(node) == ["deliver"]
    clock.advance(2 * 3600)
    run_all(node)
    assert storescp.files() == []
    clock.advance(3600 + 1)
    run_all(node)
    assert len(storescp.files()) == 1
    receive(node, series[1])
    clock.advance(4 * 3600)  # the hours end before anybody comes to it
    run_all(node)
    assert waiting(node) == ["deliver"]
    assert len(storescp.files()) == 1


def test_what_was_deleted_is_not_sent(
    opened: Callable[..., Node], clock: Clock, storescp: StoreSCP, series: list[Sample]
) -> None:
    node = opened("route r.when=study")
    receive(node, series[0])
    run_all(node)
    [stored] = node.index.select([])
    forget(node.index, stored.volume, stored.path)
    clock.advance(61)
    run_all(node)
    assert waiting(node) == []
    assert storescp.files() == []


@pytest.mark.parametrize(
    ("hours", "hour", "open_in_h"),
    [((20, 6), 21, 0), ((20, 6), 5, 0), ((20, 6), 6, 14), ((8, 9), 9, 23), ((0, 24), 3, 0)],
)
def test_hours(hours: tuple[int, int], hour: int, open_in_h: int) -> None:
    moment = datetime(2026, 1, 31, hour, 30, tzinfo=UTC).astimezone().replace(hour=hour)
    expected = moment if not open_in_h else moment.replace(minute=0) + timedelta(hours=open_in_h)
    assert Hours(*hours).next_open(moment) == expected
