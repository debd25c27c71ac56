"""Nothing that was acknowledged is lost when the node is killed at any moment.

It is killed at crash points here; at random moments by `scripts/crash`.
"""

from __future__ import annotations

import re

import pytest

from medserver import crash
from tests.crash import test_compression, test_decisions, test_printing, test_processing, test_safekeeping
from tests.crash.campaign import Campaign
from tests.crash.power.campaign import IN_PASSING, PASSED
from tests.peers.node import REPOSITORY

SEED = 20261123

OF_PRINTING = (*test_printing.POINTS, *test_printing.QUEUEING, test_printing.FORGOTTEN, *test_printing.ITEMS)

OF_AUDIT = ("audit window sent", "audit window closed", "audit rows pruned")
"""Of audit repositories, which the node here has not, and of age: see `tests.trail.test_states`."""

ELSEWHERE = {
    *test_safekeeping.POINTS, *test_compression.POINTS, *test_compression.RETIRING, *test_decisions.POINTS,
    *test_processing.POINTS, *OF_PRINTING, *OF_AUDIT,
}  # fmt: skip
OPTIONS = {"node.processes": 2}
TIMES = {"object received": 20, "journal flushed": 20, "object sealed": 20, "row committed": 20, "object placed": 5}
"""At which visit of a point the process dies, where it is not the first."""


def test_every_point_is_in_the_code_and_every_call_is_a_point() -> None:
    called, calls = [], 0
    for path in (REPOSITORY / "medserver").rglob("*.py"):
        text = path.read_text()
        called += re.findall(r'crash_point\("([^"]+)"\)', text)
        calls += len(re.findall(r"(?<!def )crash_point\(", text))
    assert sorted(called) == sorted(crash.POINTS)
    assert len(called) == calls, "a point that has no name here"


def test_a_campaign_chooses_every_point() -> None:
    """But those of what nobody does while it is loaded: a backup, a decision, processing, printing, forwarding."""
    left = set(crash.POINTS) - set(PASSED)
    of_backups = {"index dumped", "backup written", "backup complete"}
    assert left == {*of_backups, *OF_PRINTING, *OF_AUDIT, *test_decisions.POINTS, *test_processing.POINTS}
    assert set(IN_PASSING) <= set(PASSED)


@pytest.mark.parametrize("point", [point for point in crash.POINTS if point not in ELSEWHERE])
def test_a_kill_at_every_point(make_node, point: str) -> None:
    campaign = Campaign(make_node(options=OPTIONS), SEED)
    assert campaign.kill_at(point, TIMES.get(point, 1)), "the point was not reached"
