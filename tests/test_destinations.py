"""A destination that is down is known to be down by all who send to it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.commitment.plan import report_job
from medserver.destinations import PAUSE_MAX_S, session_with, standing_of
from medserver.dicom.storage_commitment import Reference
from medserver.errors import DestinationPaused
from medserver.index import JobFilter, NewCommitment, NewJob
from medserver.node import Node
from medserver.routing.deliveries import DELIVER, NOTIFY, REPORT
from medserver.scu import verification
from medserver.work.runner import Runner
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.peers.files import make_small

REPORTS = 40


@pytest.fixture
def node(open_archive: Callable[..., Node], clock: Clock) -> Iterator[Node]:  # noqa: F811
    """Give a node that knows a destination where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield open_archive(f"ae DEAD.address=127.0.0.1:{unused.getsockname()[1]}", clock=clock)


def add_reports(node: Node, count: int) -> None:
    for number in range(count):
        new = NewCommitment("scp", f"2.25.{number}", "DEAD", "DEAD", (Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.3"),))
        accepted = node.index.commitments.accept(new, lambda number: NewJob("nothing", {}), count + 1)
        node.index.commitments.finish_check(accepted.number)
        node.index.add_jobs([report_job(node.index.commitments.get(accepted.number), node.clock())])


def run_all(node: Node) -> int:
    return Runner(node, periodic=()).run_due()


def not_reached(caplog: pytest.LogCaptureFixture) -> int:
    return sum("not reached destination=DEAD" in record.getMessage() for record in caplog.records)


def test_many_reports_for_a_dead_peer_are_one_attempt(
    node: Node, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """One connection is tried for all of them, and one warning tells of it; none of them counts an attempt."""
    add_reports(node, REPORTS)
    for pauses in range(1, 4):
        run_all(node)
        assert not_reached(caplog) == pauses
        clock.advance(PAUSE_MAX_S)
    jobs = list(node.index.jobs.list(JobFilter(REPORT)))
    assert [(job.state, job.attempts) for job in jobs] == [("waiting", 0)] * REPORTS
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 3


def test_a_report_that_nobody_takes_for_days_is_dead(node: Node, clock: Clock) -> None:
    add_reports(node, 1)
    run_all(node)
    clock.now += timedelta(days=3, minutes=1)
    run_all(node)
    [job] = node.index.jobs.list(JobFilter(REPORT))
    assert job.state == "dead"
    assert "cannot connect" in job.last_error


def test_what_one_kind_of_job_finds_out_the_others_know(
    node: Node, clock: Clock, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    [instance] = make_small(tmp_path)
    receive(node, instance)
    payload = {"sop_instance_uid": instance.sop_instance_uid, "series_instance_uid": "1.2", "route": None}
    node.index.add_jobs([NewJob(DELIVER, payload, "DEAD"), NewJob(NOTIFY, payload, "DEAD")])
    add_reports(node, 1)
    run_all(node)
    assert not_reached(caplog) == 1
    assert {job.attempts for job in node.index.jobs.list()} == {0}
    clock.advance(PAUSE_MAX_S)
    run_all(node)
    assert not_reached(caplog) == 2


def test_who_may_do_without_does_not_try_what_is_paused(node: Node, clock: Clock) -> None:
    remote = node.config.current.remote_by_name("DEAD")
    add_reports(node, 1)
    run_all(node)
    standing = standing_of(node, remote, unless_paused=True)
    with (
        session_with(node, remote, [verification.PROPOSAL], standing=standing) as session,
        pytest.raises(DestinationPaused, match="cannot connect"),
    ):
        session.perform(verification.echo)
    clock.advance(PAUSE_MAX_S)
    assert not standing_of(node, remote, unless_paused=True).reason
