"""What work items are and become: creation, changes, the end, and what is told of it, in one transaction."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from medserver import errors
from medserver.index import HIGH
from medserver.node import Node
from medserver.workitems import performing
from medserver.workitems.attributes import ATTRIBUTES, missing_for
from medserver.workitems.content import TRANSACTION_UID, code, data_set, items, tag_of, value
from medserver.workitems.creating import create
from medserver.workitems.events import ASSIGNED, PROGRESS_REPORT, STATE_REPORT
from medserver.workitems.follow_ups import PROCESS, UPS_EVENT, EventPayload, WorkitemPayload, begins_at
from medserver.workitems.outcomes import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED
from medserver.workitems.retrieving import retrieve
from medserver.workitems.states import change_state
from medserver.workitems.updating import update
from tests.workitems.samples import NOON, new_item, ours, performed

UID, MINE, OTHER = "1.2.3", "1.2.3.99", "1.2.3.98"
PROGRESS = "ProcedureStepProgressInformationSequence"
PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"


def told(node: Node, receiver: str = "WATCHER") -> list[tuple[int, str]]:
    """Return the events that wait for an AE, in their order: type, and state if it tells that."""
    jobs = [job for job in node.index.jobs.list() if (job.kind, job.destination) == (UPS_EVENT, receiver)]
    payloads = [EventPayload.of(job) for job in sorted(jobs, key=lambda job: job.id)]
    return [(one.event_type_id, value(one.information, "ProcedureStepState")) for one in payloads]


def watched(node: Node, *uids: str) -> None:
    for uid in uids:
        node.index.workitems.subscriptions.subscribe(uid, "WATCHER", False, lambda item: ())


def test_an_item_from_beginning_to_end(node: Node) -> None:
    node.index.workitems.subscriptions.subscribe_to_all("WATCHER", False, None)
    assert create(node, UID, new_item(), "REQUESTER").remark is None
    assert change_state(node, UID, IN_PROGRESS, MINE, "AI1") is None
    update(node, UID, data_set(**{PROGRESS: [data_set(ProcedureStepProgress=40)]}), MINE)
    update(node, UID, performed(), MINE)
    assert change_state(node, UID, COMPLETED, MINE, "AI1") is None
    assert told(node) == [
        (STATE_REPORT, SCHEDULED), (STATE_REPORT, IN_PROGRESS), (PROGRESS_REPORT, ""), (STATE_REPORT, COMPLETED),
    ]  # fmt: skip
    row = node.index.workitems.get(UID)
    assert (row.state, row.created_by, row.performer, row.revision) == (COMPLETED, "REQUESTER", "AI1", 4)
    assert row.keys.type_code == "nodules" and row.ended_at is not None


def test_a_transaction_uid_is_never_told(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    change_state(node, UID, IN_PROGRESS, MINE, "AI1")
    update(node, UID, data_set(TransactionUID=MINE) | performed())
    row = node.index.workitems.get(UID)
    assert MINE not in row.content and MINE != row.transaction_digest
    assert TRANSACTION_UID not in retrieve(node, UID)
    assert retrieve(node, UID, [int(TRANSACTION_UID, 16)]) == {}


def test_what_is_missing_of_type_2_is_there_without_a_value(node: Node) -> None:
    """ARC#2691: an item without Input Information Sequence."""
    attributes = new_item(InputInformationSequence=None, WorklistLabel=None, PatientName=None)
    assert create(node, UID, attributes, "REQUESTER").remark is None
    content = retrieve(node, UID)
    assert content[tag_of("InputInformationSequence")] == {"vr": "SQ"}
    assert content[tag_of("PatientName")] == {"vr": "PN"}
    assert value(content, "WorklistLabel") == "DEFAULT"
    assert value(content, "ScheduledProcedureStepModificationDateTime")


def test_what_cannot_have_been_performed_is_not_kept(node: Node) -> None:
    attributes = new_item() | performed()
    created = create(node, UID, attributes, "REQUESTER")
    assert (created.remark, created.modified) == ("created with modifications", (PERFORMED,))
    assert items(retrieve(node, UID), PERFORMED) == ()


REQUIRED = ("ScheduledProcedureStepPriority", "ProcedureStepLabel", "ScheduledProcedureStepStartDateTime",
            "InputReadinessState", "ProcedureStepState")  # fmt: skip


@pytest.mark.parametrize("keyword", REQUIRED)
def test_what_is_missing_of_type_1_is_refused(node: Node, keyword: str) -> None:
    with pytest.raises(errors.MissingAttribute, match=keyword):
        create(node, UID, new_item(**{keyword: None}), "REQUESTER")
    with pytest.raises(errors.MissingAttributeValue, match=keyword):
        create(node, UID, new_item(**{keyword: []}), "REQUESTER")
    assert node.index.workitems.get(UID) is None


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ProcedureStepState": IN_PROGRESS}, errors.NotScheduled),
        ({"TransactionUID": MINE}, errors.NotScheduled),
        ({"ScheduledProcedureStepPriority": "URGENT"}, errors.InvalidAttributeValue),
        ({"InputReadinessState": "SOON"}, errors.InvalidAttributeValue),
        ({"ScheduledProcedureStepStartDateTime": "tomorrow"}, errors.InvalidAttributeValue),
    ],
)
def test_what_is_not_created(node: Node, changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        create(node, UID, new_item(**changes), "REQUESTER")
    assert node.index.workitems.get(UID) is None


def test_a_uid_is_used_once(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    with pytest.raises(errors.DuplicateInstance):
        create(node, UID, new_item(), "OTHER")
    with pytest.raises(errors.InvalidObjectInstance):
        create(node, "abc", new_item(), "REQUESTER")
    assert create(node, "", new_item(), "REQUESTER").sop_instance_uid.startswith("2.25.")


def test_ours_is_performed_here_when_its_time_has_come(node: Node) -> None:
    create(node, UID, ours(ScheduledProcedureStepPriority="HIGH"), "REQUESTER")
    create(node, "1.2.4", new_item(), "REQUESTER")
    [job] = [job for job in node.index.jobs.list() if job.kind == PROCESS]
    assert WorkitemPayload.of(job).sop_instance_uid == UID
    assert job.priority == HIGH and f"{job.due_at:%Y%m%d%H%M%S}+0000" == NOON


def test_an_item_becomes_ours_or_of_others_and_is_put_off(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    update(node, UID, ours())
    update(node, UID, ours())
    [job] = [job for job in node.index.jobs.list() if job.kind == PROCESS]
    assert WorkitemPayload.of(job).sop_instance_uid == UID
    update(node, UID, data_set(ScheduledProcedureStepStartDateTime="29990101"))
    assert begins_at(node.index.workitems.get(UID).keys) > node.clock() + timedelta(days=9999)
    update(node, UID, data_set(ScheduledWorkitemCodeSequence=[code("nodules", "99OTHER", "Find nodules")]))
    assert performing.start(node, UID, "w1") is None
    assert node.index.workitems.get(UID).state == SCHEDULED


def test_an_update_is_all_or_nothing(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    before = node.index.workitems.get(UID)
    for wrong in ({"ScheduledProcedureStepPriority": "URGENT"}, {"ProcedureStepLabel": []},
                  {"ProcedureStepState": COMPLETED}):  # fmt: skip
        with pytest.raises(errors.RequestError):
            update(node, UID, data_set(WorklistLabel="other", **wrong))
    assert node.index.workitems.get(UID) == before
    assert update(node, UID, data_set(WorklistLabel="other", PatientID="P2")) == ("PatientID",)
    content = retrieve(node, UID)
    assert (value(content, "WorklistLabel"), value(content, "PatientID")) == ("other", "P1")
    assert node.index.workitems.get(UID).keys.worklist_label == "other"


def test_a_sequence_is_replaced_as_a_whole(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    two = [code("A", "99X", "A"), code("B", "99X", "B")]
    update(node, UID, data_set(ScheduledStationNameCodeSequence=two))
    update(node, UID, data_set(ScheduledStationNameCodeSequence=two[1:]))
    assert items(retrieve(node, UID), "ScheduledStationNameCodeSequence") == two[1:]


def test_who_is_assigned_is_told_with_all_that_is_populated(node: Node) -> None:
    """ARC#4365: not only what was just set."""
    station = [code("AI1", "99X", "AI 1")]
    create(node, UID, new_item(ScheduledStationNameCodeSequence=station), "REQUESTER")
    watched(node, UID)
    person = data_set(HumanPerformerCodeSequence=[code("1", "99X", "Jim")], HumanPerformerOrganization="Radiology")
    update(node, UID, data_set(ScheduledHumanPerformersSequence=[person]))
    update(node, UID, data_set(WorklistLabel="other"))
    update(node, UID, data_set(InputReadinessState="INCOMPLETE"))
    assert told(node) == [(ASSIGNED, ""), (STATE_REPORT, SCHEDULED)]
    [job, *_] = [job for job in node.index.jobs.list() if job.kind == UPS_EVENT]
    assert EventPayload.of(job).information.keys() == {
        tag_of("ScheduledStationNameCodeSequence"), tag_of("HumanPerformerCodeSequence"),
        tag_of("HumanPerformerOrganization"),
    }  # fmt: skip


NEEDED = [row.path[1] for row in ATTRIBUTES if row.final == "P" and len(row.path) == 2]


@pytest.mark.parametrize("keyword", NEEDED)
def test_nothing_is_completed_without_what_the_end_needs(node: Node, keyword: str) -> None:
    create(node, UID, new_item(), "REQUESTER")
    change_state(node, UID, IN_PROGRESS, MINE, "AI1")
    update(node, UID, performed(**{keyword: None}), MINE)
    with pytest.raises(errors.FinalStateUnmet, match=keyword):
        change_state(node, UID, COMPLETED, MINE, "AI1")
    update(node, UID, performed(), MINE)
    assert change_state(node, UID, COMPLETED, MINE, "AI1") is None


def test_a_human_performer_is_named_with_a_code() -> None:
    content = new_item(ScheduledProcedureStepModificationDateTime=NOON)
    person = data_set(HumanPerformerName=[{"Alphabetic": "Roe^Jim"}])
    assert missing_for(content | performed(ActualHumanPerformersSequence=[person]), COMPLETED) == [
        f"{PERFORMED}.ActualHumanPerformersSequence.HumanPerformerCodeSequence"
    ]
    person |= data_set(HumanPerformerCodeSequence=[code("1", "99X", "Jim")])
    assert missing_for(content | performed(ActualHumanPerformersSequence=[person]), COMPLETED) == []
    assert missing_for(content, CANCELED) == [
        PROGRESS, f"{PROGRESS}.ProcedureStepCancellationDateTime",
        f"{PROGRESS}.ProcedureStepDiscontinuationReasonCodeSequence",
    ]  # fmt: skip


def test_a_performer_cancels_with_its_reason_or_without(node: Node) -> None:
    """PN#532: the reason goes in by N-SET before the state."""
    for uid in (UID, "1.2.4"):
        create(node, uid, new_item(), "REQUESTER")
        watched(node, uid)
        change_state(node, uid, IN_PROGRESS, MINE, "AI1")
    reason = [code("110501", "DCM", "Equipment failure")]
    told_reason = data_set(ReasonForCancellation="no GPU", ProcedureStepDiscontinuationReasonCodeSequence=reason)
    update(node, UID, data_set(**{PROGRESS: [told_reason]}), MINE)
    for uid, expected in ((UID, "110501"), ("1.2.4", "110513")):
        assert change_state(node, uid, CANCELED, MINE, "AI1") is None
        [progress] = items(retrieve(node, uid), PROGRESS)
        [given] = items(progress, "ProcedureStepDiscontinuationReasonCodeSequence")
        assert value(given, "CodeValue") == expected and value(progress, "ProcedureStepCancellationDateTime")
    last = [EventPayload.of(job).information for job in node.index.jobs.list() if job.kind == UPS_EVENT][-2:]
    assert {value(one, "ReasonForCancellation") for one in last} <= {"no GPU", ""}


def test_one_of_two_claimants_gets_an_item(node: Node) -> None:
    """In each round two performers claim at the same moment, each with a Transaction UID of its own."""
    for number in range(20):
        uid, outcomes, barrier = f"1.2.5.{number}", [], threading.Barrier(2)
        create(node, uid, new_item(), "REQUESTER")

        def claim(transaction_uid: str) -> None:
            barrier.wait(30)  # noqa: B023 - both threads end within the round
            try:
                outcomes.append(change_state(node, uid, IN_PROGRESS, transaction_uid, transaction_uid))  # noqa: B023
            except errors.WorkitemRefused as error:
                outcomes.append(type(error))  # noqa: B023

        threads = [threading.Thread(target=claim, args=(one,)) for one in (MINE, OTHER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(map(str, outcomes)) == sorted(map(str, [None, errors.WrongTransactionUID]))
        row = node.index.workitems.get(uid)
        assert update(node, uid, performed(), row.performer) == ()  # its UID is that of who is named


def test_our_performer(node: Node) -> None:
    create(node, UID, ours(), "REQUESTER")
    watched(node, UID)
    assert performing.start(node, UID, "w1").state == SCHEDULED
    assert performing.start(node, UID, "w2").state == IN_PROGRESS  # w1 was lost
    performing.report(node, UID, 50, "slices")
    assert not performing.wants_cancel(node, UID)
    with pytest.raises(errors.FinalStateUnmet, match="OutputInformationSequence"):
        performing.finish(node, UID, {})
    performing.finish(node, UID, data_set(OutputInformationSequence=[data_set(TypeOfInstances="DICOM")]))
    assert performing.wants_cancel(node, UID)
    assert told(node) == [(STATE_REPORT, IN_PROGRESS), (PROGRESS_REPORT, ""), (STATE_REPORT, COMPLETED)]
    assert performing.start(node, UID, "w1") is None
    for late in (lambda: performing.report(node, UID, 60), lambda: performing.finish(node, UID, {}),
                 lambda: performing.discontinue(node, UID)):  # fmt: skip
        with pytest.raises(errors.WorkitemIsFinal):
            late()
    [done] = items(retrieve(node, UID), PERFORMED)
    assert value(items(done, "PerformedWorkitemCodeSequence")[0], "CodeValue") == "denoise"


def test_our_performer_leaves_what_others_have_claimed(node: Node) -> None:
    create(node, UID, ours(), "REQUESTER")
    change_state(node, UID, IN_PROGRESS, MINE, "AI1")
    assert performing.start(node, UID, "w1") is None
    with pytest.raises(errors.WorkitemNotInProgress):
        performing.finish(node, UID, {})
    with pytest.raises(errors.WrongTransactionUID):
        change_state(node, UID, CANCELED, OTHER, "AI2")


@pytest.mark.parametrize("is_started", [True, False])
def test_our_performer_gives_up(node: Node, is_started: bool) -> None:
    create(node, UID, ours(), "REQUESTER")
    watched(node, UID)
    if is_started:
        performing.start(node, UID, "w1")
    performing.discontinue(node, UID, ("110501", "DCM", "Equipment failure"), "no memory")
    assert [state for event, state in told(node) if event == STATE_REPORT] == [IN_PROGRESS, CANCELED]
    [progress] = items(retrieve(node, UID), PROGRESS)
    assert value(progress, "ReasonForCancellation") == "no memory"


def test_an_event_that_is_too_long_is_told_without_its_sequences(node: Node) -> None:
    """What it leaves out can be asked for."""
    create(node, UID, new_item(), "REQUESTER")
    watched(node, UID)
    change_state(node, UID, IN_PROGRESS, MINE, "AI1")
    long = data_set(ProcedureStepProgressDescription="x" * 70_000)
    update(node, UID, data_set(**{PROGRESS: [long]}), MINE)
    assert told(node)[-1] == (PROGRESS_REPORT, "")
    [*_, job] = [job for job in node.index.jobs.list() if job.kind == UPS_EVENT]
    assert EventPayload.of(job).information == {tag_of(PROGRESS): {"vr": "SQ"}}
    assert items(retrieve(node, UID), PROGRESS) == [long]


def test_nobody_is_told_who_has_no_address(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    node.index.workitems.subscriptions.subscribe(UID, "GONE", False, lambda item: ())
    watched(node, UID)
    change_state(node, UID, IN_PROGRESS, MINE, "AI1")
    assert {job.destination for job in node.index.jobs.list()} == {"WATCHER"}
