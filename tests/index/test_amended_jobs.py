"""Jobs are counted by what their payload says, and changed while they wait."""

from __future__ import annotations

from medserver.index import Index, JobFilter, NewJob

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
    counts = index.jobs.counts_by(("route", "kind"), ["deliver", "hold"])
    assert {(one.kind, one.destination, one.values): one.count for one in counts} == {
        ("deliver", "X", ("a", None)): 2,
        ("deliver", "X", (None, None)): 1,
        ("deliver", "Y", (ODD, None)): 1,
        ("hold", "Y", (None, "notify")): 1,
    }


def test_a_job_that_waits_is_changed(index: Index) -> None:
    first, second = index.add_jobs([NewJob("deliver", {"route": "a", "n": n}, "X") for n in (1, 2)])
    assert [job.id for job in index.jobs.amend([first], {"route": None})] == [first]
    assert [job.payload for job in index.jobs.list(JobFilter())] == [{"route": None, "n": 1}, {"route": "a", "n": 2}]
    assert index.jobs.amend([second + 1], {"route": None}) == []
