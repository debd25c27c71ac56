"""*When* something is sent is what its rule says now, also of what waits already."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from medserver.index import JobFilter
from medserver.node import Node
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.delivery.store_peer import Destination
from tests.delivery.test_answers import destination, opened  # noqa: F401 - fixtures
from tests.delivery.test_decisions import decide, only_job
from tests.delivery.test_moments import run_all
from tests.peers.files import Sample

STUDY = ("route r.when=study", "route r.quiet=5 h")


def hours(clock: Clock, in_h: int) -> str:
    """Return hours that begin so many full hours after the present one, and last for two."""
    first = (clock.now.astimezone().hour + in_h) % 24
    return f"route r.hours={first}-{(first + 2) % 24 or 24}"


@pytest.mark.parametrize("later", [[], ["route r.priority=high"], [*STUDY]], ids=["always", "high", "study"])
def test_what_waits_for_hours_that_the_rule_has_no_longer_is_sent(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample], later: list[str]  # noqa: F811
) -> None:
    node = opened(hours(clock, 6))
    for sample in series:
        receive(node, sample)
    run_all(node)
    decide(node, clock)
    assert destination.requests == []
    assert {job.state for job in node.index.jobs.list(JobFilter("deliver"))} == {"waiting"}
    decide(opened(*later), clock)
    assert destination.taken == [sample.sop_instance_uid for sample in series]


def test_the_new_hours_hold(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]  # noqa: F811
) -> None:
    node = opened(hours(clock, 6))
    receive(node, series[0])
    run_all(node)
    node = opened(hours(clock, 2))
    decide(node, clock)
    assert destination.requests == []
    clock.advance(2 * 3600)
    decide(node, clock)
    assert len(destination.requests) == 1


@pytest.mark.parametrize(
    "later",
    [[], ["route r.when=study", "route r.quiet=1 s"], ["route r.when=series", "route r.quiet=20 s"]],
    ids=["instance", "study", "series"],
)
def test_what_is_held_longer_than_the_rule_says_now_is_sent(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample], later: list[str]  # noqa: F811
) -> None:
    node = opened(*STUDY)
    receive(node, series[0])
    run_all(node)
    decide(node, clock)
    assert only_job(node).kind == "hold"
    decide(opened(*later), clock)
    assert len(destination.requests) == 1


def test_what_has_failed_waits_for_its_next_try(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]  # noqa: F811
) -> None:
    node = opened()
    destination.answer = lambda uid: 0x0110
    receive(node, series[0])
    for _ in range(8):
        run_all(node)
        clock.advance(4000)
    run_all(node)
    count = len(destination.requests)
    decide(node, clock)
    assert len(destination.requests) == count
