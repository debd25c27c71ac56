"""What has lost its rule waits for a decision, and goes on when the rule is back; in one process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from medserver.delivery.deciding import INTERVAL_S
from medserver.index import Job, JobFilter, NewJob
from medserver.node import Node
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.delivery.test_moments import run_all
from tests.peers.files import Sample

NOWHERE = "ae ARCHIVE.address=127.0.0.1:1"


@pytest.fixture
def opened(open_archive, clock: Clock) -> Callable[..., Node]:  # noqa: F811
    """Give a function that opens the node, with options."""
    return lambda *options: open_archive(*options, clock=clock)


def decide(node: Node, clock: Clock) -> None:
    """Let it be found out what has a rule again, and what has lost it be tried."""
    clock.advance(INTERVAL_S + 1)
    run_all(node, decides=True)


def only_job(node: Node) -> Job:
    [job] = node.index.jobs.list(JobFilter())
    return job


@pytest.mark.parametrize(("kind", "payload"), [("notify", {}), ("hold", {"kind": "notify"}), ("hold", {})])
def test_what_an_older_medserver_decided_has_its_rule_again(
    opened: Callable[..., Node], clock: Clock, series: list[Sample], kind: str, payload: dict[str, str]
) -> None:
    """Its payload has no version, and says elsewhere what it is in the end."""
    node = opened(NOWHERE)
    receive(node, series[0])
    old = {"sop_instance_uid": series[0].sop_instance_uid, "route": "r", "study_instance_uid": "1.2"}
    node.index.jobs.add([NewJob(kind, {**old, **payload}, "ARCHIVE")])
    run_all(node)
    assert only_job(node).state == "undecided"
    is_news = "notify" in (kind, *payload.values())
    node = opened(NOWHERE, "route r.to=ARCHIVE", f"route r.send={'availability' if is_news else 'instances'}")
    decide(node, clock)
    assert (only_job(node).kind, only_job(node).state) == ("notify" if is_news else "deliver", "waiting")


@pytest.mark.parametrize(("kind", "sends"), [("deliver", "instances"), ("notify", "availability")])
def test_a_destination_that_is_removed_with_its_rule_comes_back(
    opened: Callable[..., Node], clock: Clock, series: list[Sample], kind: str, sends: str
) -> None:
    """It does not matter how long that takes: it does not die of tries that cannot succeed."""
    rule = (NOWHERE, "route r.to=ARCHIVE", f"route r.send={sends}")
    receive(opened(*rule), series[0])
    without = opened()
    for _ in range(25):
        clock.advance(2000)
        decide(without, clock)
    job = only_job(without)
    assert (job.kind, job.state) == (kind, "undecided")
    assert "no rule 'r' sends this to it any more" in str(job.last_error)
    node = opened(*rule)
    decide(node, clock)
    assert only_job(node).state == "waiting"
