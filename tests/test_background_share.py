"""Background work has a share of its own, also where objects are being received all the time."""

from __future__ import annotations

from medserver.safekeeping.presence import QUIET_MAX_S, Share
from tests.clock import Clock


def worked_and_waited(work_s: float, rounds: int, *, is_receiving: bool) -> tuple[float, float]:
    """Return how long was worked, and how long others went first."""
    clock, pauses = Clock(0.0), []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.now += seconds

    share = Share(clock, pause)
    for _ in range(rounds):
        clock.now += work_s
        share.let_others_go_first(lambda: is_receiving, lambda: False)
    return work_s * rounds, sum(pauses)


def test_others_go_first_as_long_as_was_worked():
    worked, waited = worked_and_waited(0.125, 100, is_receiving=True)
    assert 0.9 * worked < waited <= 1.001 * worked


def test_long_work_waits_no_longer_than_the_longest():
    assert worked_and_waited(60.0, 2, is_receiving=True)[1] <= 2 * QUIET_MAX_S + 0.001


def test_nobody_waits_for_nobody():
    assert worked_and_waited(0.125, 10, is_receiving=False)[1] == 0
