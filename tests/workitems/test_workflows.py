"""The workflows of IHE AI Workflow for Imaging (AIW-I), with pynetdicom as Task Requester, Task Performer and Watcher.

The node is the Task Manager. The transactions: RAD-80 create, RAD-81 query, RAD-82 claim, RAD-83 get content, RAD-84
update, RAD-85 complete, RAD-86 manage subscription, RAD-87 send notification, RAD-88 request cancellation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.peers.watcher import Told, Watcher
from tests.workitems.peer import Peer, associated, dataset, done
from tests.workitems.samples import new_item

SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"
STATE_REPORT, CANCEL_REQUESTED, PROGRESS_REPORT, ASSIGNED = 1, 2, 3, 5


@pytest.fixture
def performer() -> Iterator[Watcher]:
    """The Task Performer as receiver of notifications (RAD-87)."""
    with Watcher("AI1") as one:
        yield one


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    """The Watcher."""
    with Watcher("WATCHER") as one:
        yield one


@pytest.fixture
def manager(make_node: Callable[..., Node], performer: Watcher, watcher: Watcher) -> Node:
    """The Task Manager, which knows all of them."""
    node = make_node(clients=("REQUESTER", "AI2"))
    for one in (performer, watcher):
        node.add_remote(one.address)
    return node.start()


def task(station: str = "") -> Dataset:
    """Return what a Task Requester asks for: a code for the algorithm, a study as input."""
    attributes = dataset(new_item())
    study = Dataset()
    study.TypeOfInstances, study.StudyInstanceUID, study.SeriesInstanceUID = "DICOM", "1.2.3", "1.2.3.1"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.1.1"
    retrieval = Dataset()
    retrieval.RetrieveAETitle = "MEDSERVER"
    study.ReferencedSOPSequence, study.DICOMRetrievalSequence = [reference], [retrieval]
    attributes.InputInformationSequence = [study]
    if station:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = station, "99X", station
        attributes.ScheduledStationNameCodeSequence = [code]
    return attributes


def perform(peer: Peer, uid: str) -> None:
    """Do what a performer that has claimed a task does until it is complete (RAD-83 to RAD-85)."""
    status, content = peer.get(uid)
    assert status == 0x0000
    assert content.InputInformationSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.1.1"
    progress = Dataset()
    progress.ProcedureStepProgress = "50"
    changes = Dataset()
    changes.ProcedureStepProgressInformationSequence, changes.TransactionUID = [progress], f"{uid}.1"
    assert peer.set(uid, changes).Status == 0x0000
    result = done()
    result.TransactionUID = f"{uid}.1"
    assert peer.set(uid, result).Status == 0x0000
    assert peer.change_state(uid, COMPLETED, f"{uid}.1") == 0x0000


def new_uid() -> str:
    return f"1.2.826.0.1.3680043.10.1.{int(generate_uid().rpartition('.')[2]) % 10**12}"


def test_pull_workflow(manager: Node, watcher: Watcher) -> None:
    """A performer asks now and then what there is for its algorithm, and claims it before another one does."""
    uid = new_uid()
    with associated(manager, "REQUESTER") as requester:
        assert requester.create(uid, task()).Status == 0x0000  # RAD-80
        assert requester.subscribe("WATCHER", uid, lock=True) == 0x0000  # RAD-86
        with associated(manager, "AI1") as performer, associated(manager, "AI2") as other:
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator = "nodules", "99OTHER"
            keys = {"ProcedureStepState": SCHEDULED, "InputReadinessState": "READY", "SOPInstanceUID": ""}
            [found] = performer.find(ScheduledWorkitemCodeSequence=[code], **keys)  # RAD-81
            assert found.SOPInstanceUID == uid
            assert performer.change_state(uid, IN_PROGRESS, f"{uid}.1") == 0x0000  # RAD-82
            assert other.change_state(uid, IN_PROGRESS, f"{uid}.2") == 0xC301
            assert other.find(ScheduledWorkitemCodeSequence=[code], **keys) == []
            perform(performer, uid)
        wait_until(lambda: len(watcher.of(uid)) == 4, what="all notifications")  # RAD-87
        status, content = requester.get(uid)  # RAD-83
    assert watcher.of(uid) == [
        (STATE_REPORT, SCHEDULED), (STATE_REPORT, IN_PROGRESS), (PROGRESS_REPORT, ""), (STATE_REPORT, COMPLETED),
    ]  # fmt: skip
    [result] = content.UnifiedProcedureStepPerformedProcedureSequence
    assert status == 0x0000 and result.OutputInformationSequence[0].StudyInstanceUID == "1.2.3"


def test_triggered_pull_workflow(manager: Node, performer: Watcher, watcher: Watcher) -> None:
    """A performer is subscribed to all tasks, and claims one when it is told of it."""
    with associated(manager, "AI1") as peer, associated(manager, "REQUESTER") as requester:
        assert peer.subscribe("AI1") == 0x0000  # RAD-86, to all
        assert requester.subscribe("WATCHER") == 0x0000
        uids = [new_uid() for _ in range(3)]
        for uid in uids:
            assert requester.create(uid, task()).Status == 0x0000  # RAD-80
        for uid in uids:
            wait_until(lambda: performer.of(uid), what="the notification")  # noqa: B023 - RAD-87
            assert performer.of(uid) == [(STATE_REPORT, SCHEDULED)]
            assert peer.change_state(uid, IN_PROGRESS, f"{uid}.1") == 0x0000  # RAD-82
            perform(peer, uid)
    wait_until(lambda: all(watcher.of(uid)[-1:] == [(STATE_REPORT, COMPLETED)] for uid in uids), what="the ends")


def test_push_workflow(manager: Node, performer: Watcher, watcher: Watcher) -> None:
    """A task is assigned to one performer, which is subscribed by who assigns it; it may refuse by not claiming it."""
    uid = new_uid()
    with associated(manager, "REQUESTER") as requester:
        assert requester.subscribe("AI1") == 0x0000  # RAD-86: who assigns subscribes the performer
        assert requester.create(uid, task("AI1")).Status == 0x0000  # RAD-80
        wait_until(lambda: len(performer.of(uid)) == 2, what="the notifications")  # RAD-87
        assert performer.of(uid) == [(STATE_REPORT, SCHEDULED), (ASSIGNED, "")]
        assigned: Told = performer.told[-1]
        assert assigned.information.ScheduledStationNameCodeSequence[0].CodeValue == "AI1"
        assert requester.subscribe("WATCHER", uid) == 0x0000
        with associated(manager, "AI1") as peer:
            assert peer.change_state(uid, IN_PROGRESS, f"{uid}.1") == 0x0000  # RAD-82
            perform(peer, uid)
    wait_until(lambda: watcher.of(uid)[-1:] == [(STATE_REPORT, COMPLETED)], what="the end")


def test_a_task_is_cancelled_at_the_wish_of_its_requester(manager: Node, performer: Watcher) -> None:
    """RAD-88: before it is claimed at once, afterwards by its performer, which is told."""
    with associated(manager, "REQUESTER") as requester, associated(manager, "AI1") as peer:
        assert peer.subscribe("AI1") == 0x0000
        scheduled, begun = new_uid(), new_uid()
        for uid in (scheduled, begun):
            assert requester.create(uid, task()).Status == 0x0000
        assert requester.request_cancel(scheduled) == 0x0000
        assert peer.change_state(begun, IN_PROGRESS, f"{begun}.1") == 0x0000
        assert requester.request_cancel(begun, ReasonForCancellation="other patient") == 0x0000
        wait_until(lambda: (CANCEL_REQUESTED, "") in performer.of(begun), what="the request")
        assert peer.change_state(begun, CANCELED, f"{begun}.1") == 0x0000
        assert {requester.get(uid)[1].ProcedureStepState for uid in (scheduled, begun)} == {CANCELED}
    wait_until(lambda: performer.of(scheduled)[-1:] == [(STATE_REPORT, CANCELED)], what="the end")
    assert performer.of(scheduled) == [(STATE_REPORT, SCHEDULED), (STATE_REPORT, IN_PROGRESS), (STATE_REPORT, CANCELED)]
