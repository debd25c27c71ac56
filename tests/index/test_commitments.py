"""Storage commitment in the index, on both databases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from medserver.dicom.storage_commitment import Reference
from medserver.errors import OutOfResources
from medserver.index import Index, Lane, NewCommitment, NewJob, open_index
from tests.clock import Clock
from tests.index.samples import CT, MR, record

REFERENCES = tuple(Reference(CT, f"1.2.{number}") for number in range(1_100))


def request(**changes: object) -> NewCommitment:
    fields = {
        "role": "scp", "transaction_uid": "2.25.1", "ae_title": "CT1", "remote": "ct", "references": REFERENCES,
        "held": True,
    }  # fmt: skip
    return NewCommitment(**(fields | changes))


def job(number: int) -> NewJob:
    return NewJob("check", {"commitment": number})


def jobs(index: Index) -> list[int]:
    return [one.payload["commitment"] for one in index.jobs.list()]


def test_request_and_job_are_added_together(index: Index) -> None:
    told: list[Lane] = []
    index.jobs.listener = told.extend
    accepted = index.commitments.accept(request(), job, 10)
    assert accepted.is_new and jobs(index) == [accepted.number] and told == [Lane("check")]
    stored = index.commitments.get(accepted.number)
    assert (stored.role, stored.transaction_uid, stored.ae_title, stored.remote) == ("scp", "2.25.1", "CT1", "ct")
    assert (stored.state, stored.held, stored.count, stored.safe, stored.failed) == ("pending", True, 1_100, 0, 0)
    assert list(index.commitments.instances(accepted.number)) == [(one, False) for one in REFERENCES]


def test_failing_job_takes_the_request_back(index: Index) -> None:
    def fail(number: int) -> NewJob:
        raise ValueError(number)

    with pytest.raises(ValueError):
        index.commitments.accept(request(), fail, 10)
    assert list(index.commitments.list()) == jobs(index) == []


def test_same_request_is_added_once(index: Index) -> None:
    first = index.commitments.accept(request(), job, 10)
    again = index.commitments.accept(request(references=REFERENCES[::-1], held=False), job, 10)
    assert again == (first.number, False)
    assert jobs(index) == [first.number]
    other = index.commitments.accept(request(ae_title="CT2"), job, 10)
    assert other.is_new


@pytest.mark.parametrize("end", ["reported", "given up"])
def test_same_request_begins_anew_after_its_report(index_url: str, tmp_path: Path, end: str) -> None:
    clock = Clock()
    with open_index(index_url, base=tmp_path, clock=clock) as index:
        commitments = index.commitments
        number = commitments.accept(request(), job, 10).number
        commitments.decide(number, {position: 0x0112 for position in range(len(REFERENCES))})
        commitments.finish_check(number)
        commitments.let_go(number)
        assert commitments.accept(request(), job, 10) == (number, False)
        clock.advance(3600)
        if end == "reported":
            commitments.finish(number)
        else:
            commitments.give_up(clock())
        assert commitments.accept(request(), job, 10) == (number, True)
        assert jobs(index) == [number, number]
        stored = commitments.get(number)
        assert (stored.state, stored.held, stored.requested_at) == ("pending", True, clock())
        assert (stored.safe, stored.failed, stored.is_given_up) == (0, 0, False)
        assert commitments.accept(request(), job, 10) == (number, False)
        commitments.finish_check(number)
        assert commitments.claim(number, clock())


def test_a_request_that_begins_anew_counts_as_unfinished(index: Index) -> None:
    index.commitments.finish(index.commitments.accept(request(), job, 1).number)
    index.commitments.accept(request(transaction_uid="2.25.2"), job, 1)
    with pytest.raises(OutOfResources):
        index.commitments.accept(request(), job, 1)


def test_who_was_second_under_a_uid_stays_so(index: Index) -> None:
    first = index.commitments.accept(request(), job, 10).number
    for _ in range(2):
        second = index.commitments.accept(request(references=REFERENCES[:3]), job, 10)
        assert second.is_new
        assert [one.reason for one, _ in index.commitments.instances(second.number)] == [0x0131] * 3
        index.commitments.finish(second.number)
    index.commitments.finish(first)
    assert index.commitments.undecided(index.commitments.accept(request(), job, 10).number)


def test_another_request_under_the_same_uid_is_known_to_fail(index: Index) -> None:
    index.commitments.accept(request(), job, 10)
    second = index.commitments.accept(request(references=REFERENCES[:3]), job, 10)
    assert second.is_new
    assert index.commitments.undecided(second.number) == {}
    assert [one.reason for one, _ in index.commitments.instances(second.number)] == [0x0131] * 3


def test_unfinished_requests_are_limited(index: Index) -> None:
    numbers = [
        index.commitments.accept(request(transaction_uid=f"2.25.{n}"), job, 2).number for n in (1, 2)
    ]
    with pytest.raises(OutOfResources):
        index.commitments.accept(request(transaction_uid="2.25.3"), job, 2)
    assert index.commitments.accept(request(transaction_uid="2.25.2"), job, 2).number == numbers[1]
    assert index.commitments.accept(request(transaction_uid="2.25.3", ae_title="CT2"), job, 2).is_new
    index.commitments.finish(numbers[0])
    assert index.commitments.accept(request(transaction_uid="2.25.3"), job, 2).is_new


def test_decisions(index: Index) -> None:
    number = index.commitments.accept(request(), job, 10).number
    first = index.commitments.undecided(number)
    assert list(first) == list(range(500)) and first[7] == REFERENCES[7]
    index.commitments.decide(number, {position: 0x0112 if position % 100 == 0 else 0 for position in first})
    assert list(index.commitments.undecided(number)) == list(range(500, 1_000))
    assert list(index.commitments.undecided(number, 999)) == list(range(1_000, 1_100))
    stored = index.commitments.get(number)
    assert (stored.safe, stored.failed) == (495, 5)


def test_only_one_has_the_report(index: Index) -> None:
    commitments = index.commitments
    number = commitments.accept(request(), job, 10).number
    now = index._clock()
    later = now + timedelta(seconds=60)
    assert not commitments.claim(number, later) and not commitments.take_over(number)  # not ready
    commitments.finish_check(number)
    assert commitments.claim(number, later)
    assert not commitments.take_over(number)  # being reported
    assert commitments.claim(number, now - timedelta(seconds=1))  # who reports there is gone
    assert commitments.take_over(number)
    assert not commitments.claim(number, later)  # never again
    assert commitments.finish(number) and not commitments.finish(number)
    assert not commitments.take_over(number)
    assert commitments.state(number) == "reported"
    stored = commitments.get(number)
    assert stored.requested_at <= now < stored.finished_at


def test_association_that_ends_gives_the_report_back(index: Index) -> None:
    number = index.commitments.accept(request(), job, 10).number
    index.commitments.finish_check(number)
    assert index.commitments.claim(number, index._clock() + timedelta(seconds=60))
    index.commitments.let_go(number)
    assert not index.commitments.get(number).held
    assert index.commitments.take_over(number)


def test_what_cannot_be_reported_gives_way_to_new_requests(index_url: str, tmp_path: Path, caplog) -> None:
    clock = Clock()
    with open_index(index_url, base=tmp_path, clock=clock) as index:
        commitments = index.commitments
        first = commitments.accept(request(), job, 1).number
        commitments.finish_check(first)
        clock.advance(23 * 3600)
        with pytest.raises(OutOfResources):
            commitments.accept(request(transaction_uid="2.25.2"), job, 1)
        clock.advance(2 * 3600)
        commitments.accept(request(transaction_uid="2.25.2"), job, 1)
        assert commitments.get(first).is_given_up and "commitments given up" in caplog.text
        with pytest.raises(OutOfResources):
            commitments.accept(request(transaction_uid="2.25.3"), job, 1)
        assert commitments.take_over(first) and commitments.finish(first)  # the peer takes reports again
        assert commitments.get(first).state == "reported" and not commitments.get(first).is_given_up


def test_what_is_given_up_is_forgotten_in_the_end(index_url: str, tmp_path: Path) -> None:
    clock = Clock()
    with open_index(index_url, base=tmp_path, clock=clock) as index:
        asked = index.commitments.ask(request(role="scu"))
        accepted = index.commitments.accept(request(), job, 1).number
        index.commitments.give_up(clock())
        assert index.commitments.get(accepted).finished_at is None
        clock.advance(60)
        index.commitments.give_up(clock())
        assert index.commitments.get(accepted).is_given_up and not index.commitments.get(asked).is_given_up
        clock.advance(60)
        assert index.commitments.prune(clock()) == 1


def test_report_on_what_we_asked(index: Index) -> None:
    commitments = index.commitments
    number = commitments.ask(request(role="scu", references=REFERENCES[:3]))
    assert jobs(index) == []
    reported = [REFERENCES[0], REFERENCES[1]._replace(reason=0x0110), Reference(CT, "9.9")]
    assert commitments.record_report("OTHER", "2.25.1", reported) is None
    assert commitments.record_report("CT1", "2.25.2", reported) is None
    assert commitments.record_report("CT1", "2.25.1", reported) == number
    assert commitments.record_report("CT1", "2.25.1", [REFERENCES[2]]) == number  # changes nothing
    assert commitments.get(number).state == "reported"
    known = [(one.reason, is_known) for one, is_known in commitments.instances(number)]
    assert known == [(0, True), (0x0110, True), (0, False)]


def test_request_of_a_peer_cannot_be_reported_on_by_it(index: Index) -> None:
    number = index.commitments.accept(request(), job, 10).number
    assert index.commitments.record_report("CT1", "2.25.1", REFERENCES) is None
    assert index.commitments.get(number).state == "pending"


def test_finished_ones_are_forgotten_after_a_time(index: Index) -> None:
    finished, open_ = (
        index.commitments.accept(request(transaction_uid=f"2.25.{n}"), job, 10).number for n in (1, 2)
    )
    index.commitments.finish(finished)
    now = index._clock()
    assert index.commitments.prune(now - timedelta(days=1)) == 0
    assert index.commitments.prune(now + timedelta(days=1)) == 1
    assert [one.id for one in index.commitments.list()] == [open_]
    assert index.commitments.get(finished) is None and list(index.commitments.instances(finished)) == []


def test_instances_by_uid(index: Index) -> None:
    for number in (1, 2, 3):
        index.add(record(number=number, sop_class_uid=MR))
    found = index.instances(["1.2.1.1.1", "1.2.1.1.3", "9.9"])
    assert set(found) == {"1.2.1.1.1", "1.2.1.1.3"}
    one = found["1.2.1.1.3"]
    assert (one.sop_class_uid, one.study_instance_uid, one.size_bytes) == (MR, "1.2.1", 1000)
    assert index.instances([]) == {}
    assert index.series_of(["1.2.1.1.1", "1.2.1.1.3", "9.9"]) == dict.fromkeys(found, ("1.2.1.1", "CT"))
    assert index.series_of([]) == {}
