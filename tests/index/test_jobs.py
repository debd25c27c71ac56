"""Jobs in the index: with what they are written, in what order they come, and that few things keep them apart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from medserver.errors import IndexFailure
from medserver.index import HIGH, LOW, Added, Index, Job, JobFilter, Lane, NewJob, Verdict, open_index
from medserver.index.jobs.table import TRIED_WITHIN_S
from tests.clock import Clock
from tests.index.samples import record

LANE = Lane("copy", "BACKUP")
COPY = NewJob("copy", {"uid": "1.2.3"}, "BACKUP")
WIDE = {"limit": 100, "concurrency": 100, "destination_concurrency": 100}


@pytest.fixture
def index(index_url: str, tmp_path: Path, clock: Clock) -> Iterator[Index]:
    with open_index(index_url, base=tmp_path, clock=clock) as opened:
        yield opened


def claim(index: Index, owner: str, lane: Lane = LANE, **limits: int) -> list[Job]:
    until = index.jobs._clock() + timedelta(seconds=60)
    return index.jobs.claim(lane, owner=owner, lease_until=until, **(WIDE | limits))


def states(index: Index) -> list[tuple[int, str]]:
    return [(job.id, job.state) for job in index.jobs.list()]


# -- with what they are written


@pytest.mark.parametrize(
    ("duplicates", "outcome", "count"), [("keep", "kept", 2), ("replace", "replaced", 2), ("reject", "rejected", 1)]
)
def test_jobs_come_with_what_is_kept(index: Index, duplicates: str, outcome: str, count: int) -> None:
    assert index.add(record(), [COPY]).outcome == "stored"
    assert index.add(record(), [COPY]).outcome == "same"
    assert index.add(record(content="other", duplicates=duplicates), [COPY]).outcome == outcome
    assert len(list(index.jobs.list())) == count


def test_a_job_and_its_instance_are_written_together_or_not_at_all(index: Index) -> None:
    with pytest.raises(TypeError):
        index.add(record(), [COPY, NewJob("copy", {"uid": object()})])
    assert index.counts().instances == 0 and states(index) == []
    with pytest.raises(IndexFailure):
        index.add(record(study_instance_uid=None), [COPY])
    assert states(index) == []
    assert index.add(record(), [COPY]).outcome == "stored"


def test_a_lane_is_made_again_when_its_transaction_was_rolled_back(index: Index) -> None:
    with pytest.raises(IndexFailure):
        index.add(record(study_instance_uid=None), [COPY])
    index.add_jobs([COPY])
    assert [state.lane for state in index.jobs.lanes()] == [LANE]
    assert len(claim(index, "a")) == 1


def test_many_threads_add(index: Index) -> None:
    told: list[Lane] = []
    index.jobs.listener = told.extend

    def add(thread: int) -> list[Added]:
        return [index.add(record(number=thread * 100 + n), [COPY, NewJob("check")]) for n in range(25)]

    with ThreadPoolExecutor(8) as pool:
        assert all(added.outcome == "stored" for result in pool.map(add, range(8)) for added in result)
    assert {count.kind: count.count for count in index.jobs.counts()} == {"copy": 200, "check": 200}
    assert len(told) == 400 and set(told) == {LANE, Lane("check")}


def test_the_listener_hears_after_the_commit(index: Index) -> None:
    heard: list[int] = []
    index.jobs.listener = lambda lanes: heard.append(len(list(index.jobs.list())))
    index.add_jobs([COPY, COPY])
    index.add(record(), [COPY])
    index.add(record(), [COPY])  # the same: nothing is added
    job = claim(index, "a", limit=1)[0]
    index.jobs.settle([Verdict(job, "done")], [NewJob("check")])
    assert heard == [2, 3, 3]


def test_what_a_job_may_hold() -> None:
    for wrong in ({"kind": ""}, {"kind": "k" * 201}, {"kind": "k", "priority": 3}):
        with pytest.raises(ValueError):
            NewJob(**wrong)
    with pytest.raises(ValueError, match="only identifiers"):
        NewJob("k", {"text": "x" * 100_000}).payload_text()


# -- in what order they come


def test_priority_then_due_then_number(index: Index, clock: Clock) -> None:
    index.add_jobs([NewJob("copy", {"n": 1}, "BACKUP", priority=LOW)])
    index.add_jobs([NewJob("copy", {"n": 2}, "BACKUP", due_at=clock.after(-5)), NewJob("copy", {"n": 3}, "BACKUP")])
    index.add_jobs([NewJob("copy", {"n": 4}, "BACKUP", priority=HIGH), NewJob("copy", {"n": 5}, "OTHER")])
    index.add_jobs([NewJob("copy", {"n": 6}, "BACKUP", priority=HIGH, due_at=clock.after(5))])
    assert [job.payload["n"] for job in claim(index, "a")] == [4, 2, 3, 1]
    clock.now = clock.after(5)
    assert [job.payload["n"] for job in claim(index, "b")] == [6]


def test_an_order_key_holds_back_what_is_younger(index: Index, clock: Clock) -> None:
    index.add_jobs([NewJob("copy", {"n": n}, "BACKUP", "1.2", priority=n % 3) for n in range(3)])
    index.add_jobs([NewJob("copy", {"n": 9}, "BACKUP", "1.3"), NewJob("copy", {"n": 10}, "OTHER", "1.2")])
    first, other = sorted(claim(index, "a"), key=lambda job: job.id)
    assert (first.payload["n"], other.payload["n"]) == (0, 9)
    assert claim(index, "b") == []  # the oldest runs
    index.jobs.fail(first, "no", clock.after(30))
    assert claim(index, "c") == []  # the oldest waits for its next attempt
    clock.now = clock.after(30)
    [again] = claim(index, "d")
    assert (again.id, again.attempts) == (first.id, 2)
    index.jobs.fail(again, "no", None)  # dead: it holds nobody back
    assert [job.payload["n"] for job in claim(index, "e")] == [1]
    assert [job.payload["n"] for job in claim(index, "f", Lane("copy", "OTHER"))] == [10]


def test_a_job_that_comes_back_goes_before_the_younger_ones(index: Index) -> None:
    index.add_jobs([NewJob("copy", {"n": n}, "BACKUP", "1.2") for n in range(3)])
    [first] = claim(index, "a")
    index.jobs.fail(first, "no", None)
    [second] = claim(index, "b")
    assert index.jobs.retry([first.id]) != []
    assert claim(index, "c") == []  # the second still runs
    index.jobs.complete([second])
    assert [job.id for job in claim(index, "d")] == [first.id]


def test_dropping_the_oldest_frees_the_next(index: Index) -> None:
    numbers = index.add_jobs([NewJob("copy", {}, "BACKUP", "1.2") for _ in range(3)])
    assert [job.id for job in index.jobs.drop(numbers[:2])] == numbers[:2]
    assert [job.id for job in claim(index, "a")] == numbers[2:]
    assert index.jobs.drop(numbers) == []


# -- leases, limits, pauses


def test_who_lost_its_lease_changes_nothing(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY])
    [job] = claim(index, "a")
    clock.now = clock.after(61)
    assert [swept.id for swept in index.jobs.sweep({})] == [job.id]
    assert index.jobs.sweep({}) == []
    [again] = claim(index, "b")
    for verdict in ("done", "retry", "dead", "released"):
        assert index.jobs.settle([Verdict(job, verdict)]) == set()
    index.jobs.extend("a", [job.id], clock.after(1_000))
    assert index.jobs.get(job.id).lease_until == again.lease_until
    assert index.jobs.complete([again]) == {job.id}


def test_a_lease_is_extended(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY])
    [job] = claim(index, "a")
    index.jobs.extend("a", [job.id], clock.after(100))
    clock.now = clock.after(99)
    assert index.jobs.sweep({}) == []
    clock.now = clock.after(2)
    assert len(index.jobs.sweep({})) == 1


def test_a_lease_that_runs_out_counts_as_an_attempt(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY])
    for attempt in (1, 2, 3):
        assert [job.attempts for job in claim(index, f"a{attempt}")] == [attempt]
        clock.now = clock.after(61)
        index.jobs.sweep({"copy": 3})
    [job] = index.jobs.list(JobFilter(state="dead"))
    assert "lease ran out" in job.last_error
    assert claim(index, "b") == []


def test_what_is_released_does_not_count(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY])
    [job] = claim(index, "a")
    index.jobs.settle([Verdict(job, "released", clock.after(2))])
    assert claim(index, "b") == []
    clock.now = clock.after(2)
    assert [job.attempts for job in claim(index, "c")] == [1]


def test_limits_count_claims(index: Index) -> None:
    index.add_jobs([COPY] * 6 + [NewJob("copy", {}, "OTHER")] * 6)
    assert len(claim(index, "a", limit=2, concurrency=3, destination_concurrency=2)) == 2
    assert len(claim(index, "b", limit=2, concurrency=3, destination_concurrency=2)) == 2
    assert claim(index, "c", limit=2, concurrency=3, destination_concurrency=2) == []  # of the lane
    other = Lane("copy", "OTHER")
    assert len(claim(index, "d", other, limit=2, concurrency=3, destination_concurrency=2)) == 2
    assert claim(index, "e", other, limit=2, concurrency=3, destination_concurrency=2) == []  # of the kind


def test_pauses_are_obeyed_and_shown(index: Index) -> None:
    index.add_jobs([COPY, NewJob("copy", {}, "OTHER")])
    index.jobs.pause("copy", "BACKUP")
    assert claim(index, "a") == []
    assert {state.lane.destination: state.paused for state in index.jobs.lanes("copy")} == {
        "BACKUP": True, "OTHER": False,
    }  # fmt: skip
    index.jobs.pause("copy")
    assert claim(index, "b", Lane("copy", "OTHER")) == []
    index.jobs.resume("copy")
    assert len(claim(index, "c")) == len(claim(index, "d", Lane("copy", "OTHER"))) == 1


def test_a_pause_can_come_before_the_first_job(index: Index) -> None:
    index.jobs.pause("copy")
    index.jobs.pause("check", "BACKUP")
    index.add_jobs([COPY, NewJob("check", {}, "BACKUP")])
    assert claim(index, "a") == claim(index, "b", Lane("check", "BACKUP")) == []


def test_lanes_tell_what_is_due_next(index: Index, clock: Clock) -> None:
    index.add_jobs([NewJob("copy", {}, "BACKUP", priority=LOW, due_at=clock.after(50))])
    index.add_jobs([NewJob("copy", {}, "BACKUP", due_at=clock.after(60)), NewJob("check")])
    assert [(state.lane, state.due_at) for state in index.jobs.lanes()] == [
        (Lane("check"), clock.now), (LANE, clock.after(50)),
    ]  # fmt: skip
    claim(index, "a", Lane("check"))
    assert index.jobs.lanes("check")[0].due_at is None


def test_what_comes_periodically_comes_once(index: Index, clock: Clock) -> None:
    start = threading.Barrier(6)

    def add(thread: int) -> bool:
        start.wait()
        return index.jobs.add_periodic("nightly", 60, COPY)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(add, range(6))).count(True) == 1
    clock.now = clock.after(61)
    assert not index.jobs.add_periodic("nightly", 60, COPY)  # the last one is not done
    index.jobs.complete(claim(index, "a"))
    assert not index.jobs.add_periodic("nightly", 60, COPY)  # its time was taken
    clock.now = clock.after(61)
    assert index.jobs.add_periodic("nightly", 60, COPY)


def test_strange_texts(index: Index) -> None:
    [number] = index.add_jobs([NewJob("copy", {"text": "a\0\ud800ü"}, "Ü 'x' \"; --", "Schlüssel\n")])
    [job] = claim(index, "a", Lane("copy", "Ü 'x' \"; --"))
    assert job.payload == {"text": "a\0\ud800ü"}
    index.jobs.fail(job, "no\0\ud800" * 2_000, None)
    assert index.jobs.get(number).last_error.startswith("no?no?")


def test_what_is_due_later_comes_in_pages_and_has_not_failed(index: Index, clock: Clock) -> None:
    due = [NewJob("copy", {}, "BACKUP", due_at=clock.after(60 + number % 3)) for number in range(1_201)]
    others = [NewJob("copy", {}, "OTHER", due_at=clock.after(99)), NewJob("copy", {}, "BACKUP", due_at=clock.after(9))]
    numbers = index.add_jobs([*due, *others, NewJob("copy", {}, "BACKUP", priority=HIGH, due_at=clock.after(70))])
    clock.advance(9)
    [failed] = claim(index, "a")
    index.jobs.fail(failed, "no", clock.after(600))
    pages = list(index.jobs.due_later(LANE, clock.after(21)))
    found = [job.id for page in pages for job in page]
    assert sorted(found) == [*numbers[:1_201], numbers[-1]]
    assert len(set(found)) == len(found)
    assert len(pages) > 3
    assert [job.id for page in index.jobs.due_later(LANE, clock.after(61)) for job in page] == [numbers[-1]]


REPORT, OTHER = Lane("report", "BACKUP"), Lane("copy", "OTHER")
TO_BACKUP = [LANE, REPORT]


def test_a_destination_that_is_down_is_left_alone_as_a_whole(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY, NewJob("copy", {}, "OTHER")])
    assert index.jobs.leave_alone(TO_BACKUP, "nobody answers", lambda failures: clock.after(10 * failures))
    assert index.jobs.leave_alone(TO_BACKUP, "still nobody", lambda failures: clock.after(99)) is None
    index.add_jobs([NewJob("report", {}, "BACKUP")])
    assert claim(index, "a") == claim(index, "b", REPORT) == []
    assert len(claim(index, "c", OTHER)) == 1
    states = {state.lane: state for state in index.jobs.lanes()}
    for lane in TO_BACKUP:
        assert (states[lane].due_at, states[lane].paused_until) == (clock.after(10), clock.after(10))
        assert (states[lane].pause_reason, states[lane].failures) == ("nobody answers", 1)
    clock.advance(11)
    [job] = claim(index, "d")
    assert job.attempts == 1


def test_one_lane_tries_for_all_of_its_destination(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY, NewJob("report", {}, "BACKUP"), NewJob("copy", {}, "OTHER")])
    index.jobs.leave_alone(TO_BACKUP, "nobody answers", lambda failures: clock.after(10))
    clock.advance(11)
    assert len(claim(index, "a")) == 1
    assert claim(index, "b", REPORT) == []
    assert len(claim(index, "c", OTHER)) == 1
    later = index.jobs.leave_alone(TO_BACKUP, "still nobody", lambda failures: clock.after(10 * failures))
    assert later == clock.after(20)
    clock.advance(21)
    assert len(claim(index, "d", REPORT)) == 1


def test_who_tries_and_tells_nothing_holds_up_the_others_for_a_minute(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY, NewJob("report", {}, "BACKUP")])
    index.jobs.leave_alone(TO_BACKUP, "nobody answers", lambda failures: clock.after(10))
    clock.advance(11)
    assert len(claim(index, "a")) == 1
    clock.advance(TRIED_WITHIN_S + 1)
    assert len(claim(index, "b", REPORT)) == 1


def test_who_did_not_try_lets_the_others(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY, NewJob("report", {}, "BACKUP")])
    index.jobs.let_others_try(LANE)  # it can be reached
    index.jobs.leave_alone(TO_BACKUP, "nobody answers", lambda failures: clock.after(10))
    index.jobs.let_others_try(LANE)
    assert claim(index, "a", REPORT) == []
    clock.advance(11)
    [job] = claim(index, "a")
    index.jobs.let_others_try(LANE)
    [report] = claim(index, "b", REPORT)
    index.jobs.fail(job, "x", clock.now)
    index.jobs.let_others_try(LANE)  # it is the other one that tries now
    assert claim(index, "c") == []
    index.jobs.leave_alone(TO_BACKUP, "still nobody", lambda failures: clock.after(10 * failures))
    index.jobs.let_others_try(REPORT)
    assert [state.paused_until for state in index.jobs.lanes()] == 2 * [clock.after(20)]
    assert report.attempts == 1


def test_a_destination_that_is_reached_is_as_it_was(index: Index, clock: Clock) -> None:
    index.add_jobs([COPY, NewJob("report", {}, "BACKUP")])
    index.jobs.leave_alone(TO_BACKUP, "nobody answers", lambda failures: clock.after(100))
    index.jobs.reached(TO_BACKUP)
    for state in index.jobs.lanes():
        assert (state.paused_until, state.pause_reason, state.failures, state.due_at) == (None, "", 0, clock.now)
    assert len(claim(index, "a")) == len(claim(index, "b", REPORT)) == 1
