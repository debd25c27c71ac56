"""What is held study by study, and what is known of its deliveries, which goes with its instances."""

from __future__ import annotations

from datetime import timedelta

from medserver.dicom.storage_commitment import Reference
from medserver.index import Index, Lane, NewCommitment, NewJob, Verdict
from medserver.index.jobs.records import Delivered
from tests.index.samples import CT, NOON, compressed, forget, record


def end_delivery(index: Index, *delivered: Delivered) -> None:
    """Let jobs end by which something has arrived."""
    index.jobs.add([NewJob("deliver", {"sop_instance_uid": one.sop_instance_uid}) for one in delivered])
    lease = index.clock() + timedelta(minutes=1)
    jobs = index.jobs.claim(Lane("deliver"), owner="test", lease_until=lease, limit=len(delivered))
    index.jobs.settle([Verdict(job, "done", delivered=one) for job, one in zip(jobs, delivered, strict=True)])


def test_studies_come_in_the_order_of_receipt(index: Index) -> None:
    """That is the order of their rows, whatever the clock has done."""
    for number in range(120):
        index.add(record(study=number, received_at=NOON - timedelta(days=number)))
    index.add(record(study=3, number=2, received_at=NOON))
    found, page = [], index.holdings.page()
    while page:
        found += page
        page = index.holdings.page(page[-1].number)
    assert [one.study_instance_uid for one in found] == [f"1.2.{number}" for number in range(120)]
    assert (found[3].instances, found[3].first_received_at) == (2, NOON - timedelta(days=3))
    assert found[3].last_received_at == NOON
    assert index.holdings.studies(["1.2.3", "9"]) == [found[3]]


def test_what_is_received_again_is_received_last(index: Index) -> None:
    item = record()
    index.add(item, is_receipt=True)
    [study] = index.holdings.page()
    assert study.last_received_at == NOON
    assert index.receive_again(item.key)
    [study] = index.holdings.page()
    assert (study.first_received_at, study.last_received_at > NOON) == (NOON, True)


def test_a_form_has_the_origin_of_what_it_was_made_from(index: Index) -> None:
    item = record()
    index.add(item)
    index.add(compressed(item))
    index.add(record(content="other"))
    [study] = index.holdings.page()
    current, original, other = sorted(index.holdings.objects(study), key=lambda one: (not one.is_current, one.number))
    assert current.origin == original.origin == original.number != other.origin
    assert (study.instances, [len(one.copies) for one in (current, original, other)]) == (1, [1, 1, 1])


def test_what_was_delivered_goes_with_its_instance(index: Index) -> None:
    one, two = record(number=1), record(number=2)
    for each in (one, two):
        index.add(each)
    known = [Delivered(each.sop_instance_uid, each.digest, "ARCHIVE", "", True) for each in (one, two)]
    end_delivery(index, *known)
    [study] = index.holdings.page()
    arrived = {(each.sop_instance_uid, each.digest, each.is_committed) for each in index.holdings.arrived(study)}
    assert arrived == {(each.sop_instance_uid, each.digest, True) for each in (one, two)}
    forget(index, "main", one.path)
    assert index.delivered.of(one.sop_instance_uid) == []
    assert index.delivered.of(two.sop_instance_uid) == [known[1]]


def test_nothing_is_known_of_what_was_deleted_while_it_was_sent(index: Index) -> None:
    end_delivery(index, Delivered("1.2.3", "a" * 64, "ARCHIVE", "", False))
    assert index.delivered.of("1.2.3") == []


def test_who_waits_for_an_instance(index: Index) -> None:
    index.jobs.add([NewJob("deliver", {"sop_instance_uid": "1.2"}), NewJob("verify", {"sop_instance_uid": "1.3"})])
    index.jobs.add([NewJob("hold", {"sop_instance_uid": "1.4"}), NewJob("seek")])
    kinds = ["deliver", "hold"]
    assert index.holdings.awaited(["1.2", "1.3", "1.4", "1.5"], kinds) == {"1.2", "1.4"}
    assert index.holdings.awaited(["1.5"], kinds) == set()


def test_what_is_asked_for(index: Index) -> None:
    for role, uid in (("scu", "1.2"), ("scp", "1.3")):
        new = NewCommitment(role, f"{uid}.9", "CT1", "", (Reference(CT, uid),))
        if role == "scu":
            number = index.commitments.ask(new)
        else:
            index.commitments.accept(new, lambda number: NewJob("check"), 10)
    uids = ["1.2", "1.3", "1.4"]
    assert index.holdings.asked_for(uids) == {"1.2", "1.3"}
    index.commitments.finish(number, "refused")
    assert index.holdings.asked_for(uids) == {"1.3"}


def test_conflicts_of_a_study_and_of_its_instances(index: Index) -> None:
    index.add(record())
    index.add(record(number=2, patient_id="OTHER"))
    [conflict] = [one for one in index.conflicts() if one.kind == "study"]
    assert conflict.subject == "1.2.1"
    assert index.holdings.has_conflict([], ["1.2.1"])
    assert index.holdings.has_conflict([conflict.sop_instance_uid], [])
    assert not index.holdings.has_conflict(["9"], ["9"])
    for one in list(index.conflicts()):
        index.resolve_conflict(one.number, "test", "seen")
    assert not index.holdings.has_conflict([conflict.sop_instance_uid], ["1.2.1"])
