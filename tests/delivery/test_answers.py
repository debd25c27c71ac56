"""What a destination answers, what becomes of a delivery then, and in which order instances are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from medserver.delivery.answers import Answer, meaning
from medserver.destinations import GIVE_UP_AFTER, PAUSE_MAX_S
from medserver.dicom import status
from medserver.index import Job, JobFilter
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.records import Delivered
from medserver.node import Node
from medserver.work.kinds import JOB_KINDS
from tests.archive.conftest import open_archive, receive  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.delivery.store_peer import Destination
from tests.delivery.test_moments import run_all
from tests.peers.files import Sample

FULL, REFUSED, FAILED = status.OUT_OF_RESOURCES, status.CANNOT_UNDERSTAND, status.PROCESSING_FAILURE


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination() as one:
        yield one


@pytest.fixture
def opened(open_archive, clock: Clock, destination: Destination) -> Callable[..., Node]:  # noqa: F811
    """Give a function that opens a node with a rule that sends all."""
    address = f"ae ARCHIVE.address=127.0.0.1:{destination.address.port}"
    return lambda *options: open_archive(address, "route r.to=ARCHIVE", *options, clock=clock)


def uids(series: list[Sample]) -> list[str]:
    return [sample.sop_instance_uid for sample in series]


def outbox(node: Node) -> list[Job]:
    return [job for job in node.index.jobs.list(JobFilter()) if job.kind in ("deliver", "hold", "confirm")]


def go_on(node: Node, clock: Clock, seconds: float, times: int = 1) -> None:
    for _ in range(times):
        clock.advance(seconds)
        run_all(node)


def test_every_status_has_a_meaning() -> None:
    refused = {0x0111, 0x0117, 0x0122, 0x0124, *range(0xA900, 0xAA00), *range(0xC000, 0xD000)}
    full = {0x0213, *range(0xA700, 0xA800)}
    taken = {0x0000, 0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)}  # PS3.7 C.1, C.3
    for codes, answer in ((taken, Answer.TAKEN), (full, Answer.OUT_OF_RESOURCES), (refused, Answer.REFUSED)):
        assert {code for code in range(0x10000) if meaning(code) is answer} == codes
    no_answers = (status.PENDING, status.PENDING_WARNING, status.CANCEL)
    assert {meaning(code) for code in (FAILED, *no_answers)} == {Answer.FAILED}


@pytest.mark.parametrize("code", [status.PENDING, status.PENDING_WARNING, status.CANCEL])
def test_what_is_no_answer_to_a_store_is_no_success(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample], code: int
) -> None:
    """Nobody has said that the instance is there: it is sent again."""
    node = opened()
    destination.answer = lambda uid: code
    receive(node, series[0])
    run_all(node)
    [waiting] = outbox(node)
    assert waiting.last_error is not None and waiting.last_error.startswith(f"0x{code:04X} ")
    destination.answer = lambda uid: 0
    go_on(node, clock, 600)
    assert outbox(node) == []
    assert len(destination.requests) == 2


@pytest.mark.parametrize("count_refused", [1, 2, 7])
def test_who_is_full_loses_nothing_and_gets_all_in_order(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample], count_refused: int
) -> None:
    node = opened()
    destination.answer = lambda uid: FULL if len(destination.requests) < count_refused else 0
    for sample in series[:2]:
        receive(node, sample)
    run_all(node)
    assert [len(destination.requests), len(outbox(node))] == [1, 2]
    assert {(job.state, job.attempts) for job in outbox(node)} == {("waiting", 0)}
    for sample in series[2:]:
        receive(node, sample)
    go_on(node, clock, PAUSE_MAX_S, count_refused)
    assert outbox(node) == []
    assert destination.first_requests == uids(series)
    assert sorted(destination.taken) == sorted(uids(series))
    if count_refused < 3:
        assert destination.taken == uids(series)


def test_who_has_no_resources_for_one_gets_the_others(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    node, (large, *others) = opened(), uids(series)
    destination.answer = lambda uid: FULL if uid == large else 0
    for sample in series:
        receive(node, sample)
    run_all(node)
    go_on(node, clock, PAUSE_MAX_S, 4)
    assert destination.taken == others
    [job] = outbox(node)
    assert (job.state, job.payload["sop_instance_uid"]) == ("waiting", large)
    assert "0xA700" in str(job.last_error)


def test_the_pause_grows_while_it_is_full(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    node = opened()
    destination.answer = lambda uid: FULL
    receive(node, series[0])
    pauses = []
    for _ in range(6):
        run_all(node)
        [state] = node.index.jobs.lanes("deliver")
        assert state.paused_until is not None and "0xA700" in state.pause_reason
        pauses.append((state.paused_until - clock.now).total_seconds())
        clock.advance(pauses[-1] + 0.001)
    assert pauses == sorted(pauses) and pauses[-1] > 10 * pauses[0]
    destination.answer = lambda uid: 0
    run_all(node)
    [state] = node.index.jobs.lanes("deliver")
    assert (outbox(node), state.failures) == ([], 0)


def test_a_lasting_refusal_waits_for_a_decision_at_once(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    node, (refused, *others) = opened(), uids(series)
    destination.answer = lambda uid: REFUSED if uid == refused else 0
    for sample in series:
        receive(node, sample)
    run_all(node)
    assert destination.taken == others
    [job] = outbox(node)
    assert (job.state, job.payload["sop_instance_uid"]) == ("dead", refused)
    assert "0xC000" in str(job.last_error)
    go_on(node, clock, PAUSE_MAX_S, 3)
    assert len(destination.requests) == len(series)
    destination.answer = lambda uid: 0
    node.index.jobs.retry([job.id])
    run_all(node)
    assert outbox(node) == []


def test_what_failed_holds_up_nobody_and_is_tried_again(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    node, (failed, *others) = opened(), uids(series)
    destination.answer = lambda uid: FAILED if uid == failed and len(destination.requests) < 5 else 0
    for sample in series:
        receive(node, sample)
    run_all(node)
    assert (destination.first_requests, destination.taken) == (uids(series), others)
    go_on(node, clock, 4000, 2)
    assert (destination.taken, outbox(node)) == ([*others, failed], [])


def test_who_cannot_be_reached_gets_all_in_order(
    opened: Callable[..., Node], open_archive, clock: Clock, destination: Destination, series: list[Sample]  # noqa: F811
) -> None:
    """Also what is received while it is paused, by a clock that was set back meanwhile."""
    nowhere = open_archive("ae ARCHIVE.address=127.0.0.1:1", "route r.to=ARCHIVE", clock=clock)
    for sample in series[:2]:
        receive(nowhere, sample)
    run_all(nowhere)
    assert [(job.state, job.attempts) for job in outbox(nowhere)] == 2 * [("waiting", 0)]
    clock.advance(-3600)
    for sample in series[2:]:
        receive(nowhere, sample)
    clock.advance(3600 + PAUSE_MAX_S)
    node = opened()
    run_all(node)
    assert (destination.taken, outbox(node)) == (uids(series), [])


def test_a_worker_that_was_killed_leaves_the_order(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    node = opened()
    for sample in series[:2]:
        receive(node, sample)
    [state] = node.index.jobs.lanes("deliver")
    claimed = node.index.jobs.claim(state.lane, owner="killed", lease_until=clock.after(15), limit=2)
    assert len(claimed) == 2
    clock.advance(16)
    for sample in series[2:]:
        receive(node, sample)
    run_all(node)
    assert (destination.taken, outbox(node)) == (uids(series), [])


@pytest.mark.parametrize("moment", ["series", "study"])
def test_what_was_held_goes_in_order_with_the_age_that_it_has(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample], moment: str
) -> None:
    node = opened(f"route r.when={moment}", "route r.quiet=1 min")
    destination.answer = lambda uid: FULL
    wanted_at: list[datetime] = []
    for sample in series:
        receive(node, sample)
        wanted_at.append(clock.now)
        clock.advance(20)
    numbers = [job.id for job in outbox(node)]
    go_on(node, clock, 61)
    assert [(job.id, job.kind, job.created_at) for job in outbox(node)] == [
        (number, "deliver", at) for number, at in zip(numbers, wanted_at, strict=True)
    ]
    destination.answer = lambda uid: 0
    go_on(node, clock, PAUSE_MAX_S)
    assert destination.taken == uids(series)


def test_the_hours_change_neither_order_nor_age(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    first = (clock.now.astimezone().hour + 1) % 24
    node = opened(f"route r.hours={first}-{(first + 2) % 24 or 24}")
    receive(node, series[0])
    run_all(node)
    clock.advance(3600)
    for sample in series[1:]:  # the hours have begun, and what waited for them has not been looked at
        receive(node, sample)
    clock.advance(2 * 3600)  # they have ended
    run_all(node)
    assert (destination.requests, {job.created_at < clock.now for job in outbox(node)}) == ([], {True})
    clock.advance(22 * 3600)
    run_all(node)
    assert (destination.taken, outbox(node)) == (uids(series), [])


@pytest.mark.parametrize("hours", ["0-24", "11-13"])
def test_the_age_at_which_it_is_given_up_is_the_same_whatever_the_hours(
    open_archive, clock: Clock, series: list[Sample], hours: str  # noqa: F811
) -> None:
    clock.now = clock.now.astimezone().replace(hour=12)
    node = open_archive(
        "ae ARCHIVE.address=127.0.0.1:1", "route r.to=ARCHIVE", f"route r.hours={hours}", clock=clock
    )
    receive(node, series[0])
    for _ in range(GIVE_UP_AFTER.days):
        run_all(node)
        [job] = outbox(node)
        assert job.state == "waiting"
        clock.advance(timedelta(days=1).total_seconds())
    clock.advance(60)
    run_all(node)
    [job] = outbox(node)
    assert job.state == "dead"


def test_what_was_delivered_is_noted(
    opened: Callable[..., Node], destination: Destination, series: list[Sample]
) -> None:
    node = opened()
    receive(node, series[0])
    run_all(node)
    [stored] = node.index.select([])
    rule = node.config.current.routes[0].digest
    expected = Delivered(stored.sop_instance_uid, stored.digest, "ARCHIVE", rule, is_committed=False)
    assert node.index.delivered.of(stored.sop_instance_uid) == [expected]
    assert node.index.delivered.of("1.2.3") == []


def test_a_delivery_of_an_older_medserver_is_made(
    opened: Callable[..., Node], destination: Destination, clock: Clock, series: list[Sample]
) -> None:
    """Its payload has no version, and names the rule only."""
    node = opened()
    receive(node, series[0])
    [job] = outbox(node)
    [deliver] = [kind for kind in JOB_KINDS if kind.name == "deliver"]
    old = {"sop_instance_uid": series[0].sop_instance_uid, "route": "r"}
    for payload, state in (({**old, "route": "gone"}, "undecided"), (old, "done")):
        [outcome] = deliver.function(node, Batch([_with(job, payload)]))
        assert outcome.is_undecided is (state == "undecided")
    assert destination.taken == uids(series[:1])


def _with(job: Job, payload: dict) -> Job:
    return replace(job, payload=payload)
