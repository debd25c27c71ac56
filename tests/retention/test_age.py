"""A clock that jumps does not make things old at once."""

from __future__ import annotations

from collections.abc import Callable

from medserver.node import Node
from medserver.retention.age import GOES_ON_MAX, LOOK_EVERY_S, go_on, moment
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.peers.files import Sample
from tests.retention.rules import DAY_S, deliver_all, found, order, work

YEARS_S = 3 * 365 * DAY_S


def test_a_clock_that_jumps_ahead_deletes_nothing(
    opened: Callable[..., Node], clock: Clock, series: list[Sample]
) -> None:
    node = opened()
    work(node)
    for sample in series:
        receive(node, sample)
    deliver_all(node)
    clock.advance(YEARS_S)
    for _ in range(24):
        work(node)
        assert found(node).kept == {"too young": 1}
    assert order(node) == 0
    clock.advance(-YEARS_S)
    work(node)
    assert moment(node) == clock.now


def test_a_node_that_was_off_catches_up(opened: Callable[..., Node], clock: Clock) -> None:
    node = opened()
    go_on(node)
    begun = clock.now
    clock.advance(2 * DAY_S)
    reached = [go_on(node) for _ in range(12)]
    assert reached[0] == begun + GOES_ON_MAX
    assert reached[-1] == clock.now
    assert len(reached) * LOOK_EVERY_S == 2 * 3600


def test_what_was_received_in_the_future_is_kept(
    opened: Callable[..., Node], clock: Clock, series: list[Sample]
) -> None:
    node = opened(age="1 d")
    clock.advance(YEARS_S)
    for sample in series:
        receive(node, sample)
    clock.advance(-YEARS_S)
    deliver_all(node)
    clock.advance(2 * DAY_S)
    assert found(node).kept == {"too young": 1}
