"""Jobs are counted by what their payload says, and changed while they wait."""

from __future__ import annotations

from datetime import timedelta

from medserver.index import Index, JobFilter, Lane, NewJob

HOUR = timedelta(hours=1)

ODD = 'a "rule" \\ ü'


def test_jobs_are_counted_by_their_payload(index: Index) -> None:
    index.add_jobs([
        NewJob("deliver", {"route": "a"}, "X"),
        NewJob("deliver", {"route": "a"}, "X"),
        NewJob("deliver", {"route": None}, "X"),
        NewJob("deliver", {"route": ODD}, "Y"),
        NewJob("hold", {"kind": "notify"}, "Y"),
        NewJob("copy", {"route": "a"}, "X"),
    ])
    counts = index.jobs.counts_by(("route", "kind"), ["deliver", "hold"], "waiting")
    assert {(one.kind, one.destination, one.values): one.count for one in counts} == {
        ("deliver", "X", ("a", None)): 2,
        ("deliver", "X", (None, None)): 1,
        ("deliver", "Y", (ODD, None)): 1,
        ("hold", "Y", (None, "notify")): 1,
    }
    assert index.jobs.counts_by(("route",), ["deliver", "hold"], "undecided") == []


def test_a_job_that_waits_is_changed(index: Index) -> None:
    first, second = index.add_jobs([NewJob("deliver", {"route": "a", "n": n}, "X") for n in (1, 2)])
    assert [job.id for job in index.jobs.amend([first], {"route": None})] == [first]
    assert [job.payload for job in index.jobs.list(JobFilter())] == [{"route": None, "n": 1}, {"route": "a", "n": 2}]
    assert index.jobs.amend([second + 1], {"route": None}) == []


def test_only_jobs_of_the_kinds_that_are_meant_are_changed(index: Index) -> None:
    ids = index.add_jobs([NewJob(kind, {"route": "a"}, "X") for kind in ("deliver", "confirm", "hold")])
    assert [job.id for job in index.jobs.amend(ids, {"route": "b"}, ["deliver", "hold"])] == [ids[0], ids[2]]
    assert [job.payload["route"] for job in index.jobs.list(JobFilter())] == ["b", "a", "b"]


def test_jobs_that_are_alike_are_counted_with_their_ends(index: Index) -> None:
    now = index.clock()
    later, past = now + timedelta(hours=1), now - timedelta(hours=1)
    jobs = [NewJob("deliver", {"route": ODD}, "X", due_at=due_at) for due_at in (past, later, later, past)]
    index.add_jobs([*jobs, NewJob("deliver", {"route": None}, "X"), NewJob("copy", {}, "X")])
    [claimed] = index.jobs.claim(Lane("deliver", "X"), owner="a", lease_until=later)
    index.jobs.fail(claimed, "refused", None)
    groups = index.jobs.groups(["route"], ["deliver", "hold"])
    assert {(one.state, one.values, one.due_at <= index.clock(), one.last_error): one.count for one in groups} == {
        ("dead", (ODD,), True, "refused"): 1,
        ("waiting", (ODD,), True, None): 1,
        ("waiting", (ODD,), False, None): 2,
        ("waiting", (None,), True, None): 1,
    }
    created = {job.created_at for job in index.jobs.list(JobFilter("deliver"))}
    assert {one.oldest_at for one in groups} <= created
    assert {one.due_at for one in groups} >= {past, later}
    assert index.jobs.groups(["route"], ["hold"]) == []


def test_a_destination_is_paused_and_resumed_in_one_step(index: Index) -> None:
    kinds = ["deliver", "confirm"]
    index.add_jobs([NewJob(kind, {}, name) for kind in kinds for name in "XY"])
    index.jobs.leave_alone([Lane(kind, "X") for kind in kinds], "down", lambda failures: index.clock() + HOUR)
    index.jobs.pause_destination(kinds, "X")
    index.jobs.pause("confirm")
    states = {state.lane: (state.is_kind_paused, state.is_lane_paused) for state in index.jobs.lanes()}
    assert states == {
        Lane("deliver", "X"): (False, True), Lane("deliver", "Y"): (False, False),
        Lane("confirm", "X"): (True, True), Lane("confirm", "Y"): (True, False),
    }  # fmt: skip
    until = index.clock() + HOUR
    assert index.jobs.claim(Lane("deliver", "X"), owner="a", lease_until=until) == []
    told = []
    index.jobs.listener = told.extend
    index.jobs.resume_destination(kinds, "X")
    assert sorted(told) == [Lane("confirm", "X"), Lane("deliver", "X")]
    assert len(index.jobs.claim(Lane("deliver", "X"), owner="a", lease_until=until)) == 1
    assert [state.lane for state in index.jobs.lanes() if state.is_kind_paused] == [
        Lane("confirm", "X"), Lane("confirm", "Y"),
    ]  # fmt: skip
