"""Work items over DIMSE, with pynetdicom as the SCU: every cell of the table, and requests as they come in the wild."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.conftest import MakeDirectory
from tests.peers.node import Node
from tests.workitems.peer import ALL, EVENT, PULL, PUSH, QUERY, WATCH, Peer, associated, dataset, done
from tests.workitems.samples import new_item
from tests.workitems.test_outcomes import CELLS, RIGHT, UIDS
from medserver.workitems.outcomes import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED, Given


@pytest.fixture(scope="module")
def node(make_directory: MakeDirectory) -> Iterator[Node]:
    one = Node(make_directory("node"), clients=("REQUESTER", "AI1"))
    one.add_remote("NOBODY", allow=("echo",))
    one.set_section("ae WATCHER", {"address": "127.0.0.1:1"})  # nobody listens there
    one.start()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def peer(node: Node) -> Iterator[Peer]:
    with associated(node, "AI1") as peer:
        yield peer


def brought_to(peer: Peer, state: str) -> str:
    uid = generate_uid()
    assert peer.create(uid).Status == 0x0000
    if state == SCHEDULED:
        return uid
    assert peer.change_state(uid, IN_PROGRESS, RIGHT) == 0x0000
    if state != IN_PROGRESS:
        modifications = done()
        modifications.TransactionUID = RIGHT
        assert peer.set(uid, modifications).Status == 0x0000
        assert peer.change_state(uid, state, RIGHT) == 0x0000
    return uid


@pytest.mark.parametrize(("wanted", "state", "given", "code"), CELLS)
def test_each_cell(peer: Peer, wanted: str, state: str, given: Given, code: int) -> None:
    uid = brought_to(peer, state)
    if wanted == "update":
        modifications = done()
        if UIDS[given]:
            modifications.TransactionUID = UIDS[given]
        status = peer.set(uid, modifications).Status
    elif wanted == "request cancel":
        assert peer.subscribe("WATCHER", uid) == 0x0000
        status = peer.request_cancel(uid)
    else:
        if (wanted, state) == (COMPLETED, IN_PROGRESS):
            modifications = done()
            modifications.TransactionUID = RIGHT
            peer.set(uid, modifications)
        status = peer.change_state(uid, wanted, UIDS[given])
    assert f"{status:04X}" == f"{code:04X}"
    after = peer.get(uid, 0x00741000)[1].ProcedureStepState
    if code or wanted == "update":
        assert after == state
    elif wanted == "request cancel":
        assert after == (CANCELED if state == SCHEDULED else state)
    else:
        assert after == wanted


def test_there_are_enough_cells() -> None:
    assert len(CELLS) >= 60


@pytest.mark.parametrize("operation", ["set", "get", "state", "cancel", "subscribe", "unsubscribe"])
def test_an_item_that_is_not_there(peer: Peer, operation: str) -> None:
    uid = generate_uid()
    status = {
        "set": lambda: peer.set(uid, done()).Status,
        "get": lambda: peer.get(uid)[0],
        "state": lambda: peer.change_state(uid, IN_PROGRESS, RIGHT),
        "cancel": lambda: peer.request_cancel(uid),
        "subscribe": lambda: peer.subscribe("WATCHER", uid),
        "unsubscribe": lambda: peer.unsubscribe("WATCHER", uid),
    }[operation]()
    assert f"{status:04X}" == "C307"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ProcedureStepState": IN_PROGRESS}, 0xC309),
        ({"TransactionUID": RIGHT}, 0xC309),
        ({"ProcedureStepLabel": None}, 0x0120),
        ({"ProcedureStepLabel": []}, 0x0121),
        ({"InputReadinessState": "SOON"}, 0x0106),
        ({"InputInformationSequence": None, "WorklistLabel": None}, 0x0000),
    ],
)
def test_what_is_created_and_what_is_not(peer: Peer, changes: dict, code: int) -> None:
    uid = generate_uid()
    assert f"{peer.create(uid, dataset(new_item(**changes))).Status:04X}" == f"{code:04X}"
    assert peer.get(uid)[0] == (0xC307 if code else 0x0000)


def test_what_was_given_and_is_not_kept_is_said(peer: Peer) -> None:
    uid = generate_uid()
    attributes = dataset(new_item())
    attributes.update(done())
    answer = peer.create(uid, attributes)
    assert (answer.Status, answer.ErrorComment[:8]) == (0xB300, "not kept")


def test_a_uid_is_used_once_and_made_where_there_is_none(peer: Peer) -> None:
    uid = generate_uid()
    assert peer.create(uid).Status == 0x0000
    assert peer.create(uid).Status == 0x0111
    assert peer.create(None, dataset(new_item(WorklistLabel="without UID"))).Status == 0x0000
    [match] = peer.find(WorklistLabel="without UID", SOPInstanceUID="")
    assert peer.get(match.SOPInstanceUID)[0] == 0x0000


@pytest.mark.parametrize("context", [PUSH, PULL, WATCH, QUERY], ids=["push", "pull", "watch", "query"])
def test_it_is_read_in_each_context_and_never_tells_the_transaction_uid(peer: Peer, context: str) -> None:
    uid = brought_to(peer, IN_PROGRESS)
    status, attributes = peer.get(uid, context=context)
    assert status == 0x0000
    assert (attributes.SOPClassUID, attributes.SOPInstanceUID) == (PUSH, uid)
    assert "TransactionUID" not in attributes and attributes.PatientName == "Doe^Jane"
    status, attributes = peer.get(uid, 0x00081195, 0x00741204, context=context)
    assert status == 0x0000 and [element.keyword for element in attributes if element.tag.group] == [
        "SpecificCharacterSet", "ProcedureStepLabel",
    ]  # fmt: skip


def test_who_names_the_class_of_the_context_is_understood(node: Node, peer: Peer) -> None:
    """PN#509, FO#1322."""
    uid = brought_to(peer, SCHEDULED)
    assert peer.change_state(uid, IN_PROGRESS, RIGHT, named=PULL) == 0x0000
    modifications = done()
    modifications.TransactionUID = RIGHT
    assert peer.set(uid, modifications, named=PULL).Status == 0x0000
    assert "SOP class understood" in node.output


def test_another_class_is_not(peer: Peer) -> None:
    uid = brought_to(peer, SCHEDULED)
    assert peer.change_state(uid, IN_PROGRESS, RIGHT, named="1.2.840.10008.1.20.1") == 0x0118


@pytest.mark.parametrize(
    ("action", "context", "code"),
    [(1, PUSH, 0x0123), (1, WATCH, 0x0123), (2, PULL, 0x0123), (3, PUSH, 0x0123), (3, PULL, 0x0123),
     (5, PULL, 0x0123), (6, WATCH, 0x0123), (2, WATCH, 0x0000), (1, QUERY, 0x0211), (3, EVENT, 0x0211)],
)  # fmt: skip
def test_an_action_has_its_contexts(peer: Peer, action: int, context: str, code: int) -> None:
    uid = brought_to(peer, SCHEDULED)
    status = peer.act(uid, action, context, ReceivingAE="WATCHER", ProcedureStepState=IN_PROGRESS, TransactionUID=RIGHT)
    assert f"{status:04X}" == f"{code:04X}"


@pytest.mark.parametrize("uid", [ALL, "1.2.840.10008.5.1.4.34.5.1"])
def test_actions_that_the_well_known_instance_has_not(peer: Peer, uid: str) -> None:
    assert peer.request_cancel(uid) == 0xC314
    assert peer.change_state(uid, IN_PROGRESS, RIGHT) == 0xC314


def test_subscriptions_that_are_refused(peer: Peer) -> None:
    uid = brought_to(peer, SCHEDULED)
    assert peer.subscribe("STRANGER", uid) == 0xC308  # ARC#2868: at once
    assert peer.subscribe("AI1", uid) == 0xC308  # it has no address
    assert peer.unsubscribe("STRANGER", uid) == 0xC308
    assert peer.suspend("WATCHER", uid) == 0xC314
    assert peer.subscribe("WATCHER", "1.2.840.10008.5.1.4.34.5.1") == 0xC307
    assert peer.act(uid, 3, WATCH, ReceivingAE="WATCHER", DeletionLock="PERHAPS") == 0x0115
    assert peer.act(uid, 3, WATCH, DeletionLock="TRUE") == 0x0115


def test_nobody_hears_of_a_cancel(peer: Peer) -> None:
    uid = brought_to(peer, IN_PROGRESS)
    assert peer.request_cancel(uid) == 0xC312
    assert peer.subscribe("WATCHER", uid) == 0x0000
    assert peer.request_cancel(uid, ReasonForCancellation="other patient") == 0x0000


def test_a_scheduled_item_is_cancelled_with_the_reason_of_who_asks(peer: Peer) -> None:
    uid = brought_to(peer, SCHEDULED)
    assert peer.request_cancel(uid, ReasonForCancellation="other patient") == 0x0000
    progress = peer.get(uid)[1].ProcedureStepProgressInformationSequence[0]
    assert progress.ReasonForCancellation == "other patient"
    assert progress.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"


def test_what_is_not_changed_is_said(peer: Peer) -> None:
    uid = brought_to(peer, SCHEDULED)
    modifications = Dataset()
    modifications.PatientID, modifications.WorklistLabel = "P2", "other"
    answer = peer.set(uid, modifications)
    assert (answer.Status, answer.ErrorComment) == (0x0001, "not changed: PatientID")
    modifications = Dataset()
    modifications.ProcedureStepState = COMPLETED
    assert peer.set(uid, modifications).Status == 0x0106
    assert peer.get(uid)[1].WorklistLabel == "other"


def test_characters(peer: Peer) -> None:
    uid = generate_uid()
    attributes = dataset(new_item())
    attributes.SpecificCharacterSet = "ISO_IR 100"
    attributes.ProcedureStepLabel = "Müller-Läsion"
    assert peer.create(uid, attributes).Status == 0x0000
    assert peer.get(uid)[1].ProcedureStepLabel == "Müller-Läsion"
    [match] = peer.find(SOPInstanceUID=uid, ProcedureStepLabel="")
    assert match.ProcedureStepLabel == "Müller-Läsion"


# Searching


@pytest.fixture(scope="module")
def worklist(peer: Peer) -> dict[str, str]:
    """Three items, by name."""
    uids = {name: generate_uid() for name in ("nodules", "bones", "heart")}
    for number, (name, uid) in enumerate(uids.items()):
        attributes = dataset(new_item(WorklistLabel="search", PatientID=f"S{number}"))
        attributes.ScheduledWorkitemCodeSequence[0].CodeValue = name
        attributes.ScheduledProcedureStepStartDateTime = f"2026020{number + 1}120000"
        attributes.ScheduledProcedureStepPriority = ("HIGH", "MEDIUM", "LOW")[number]
        assert peer.create(uid, attributes).Status == 0x0000
    assert peer.change_state(uids["heart"], IN_PROGRESS, RIGHT) == 0x0000
    return uids


def code_key(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = value, ""
    return [item]


@pytest.mark.parametrize("context", [PULL, WATCH, QUERY], ids=["pull", "watch", "query"])
@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, "nodules bones heart"),
        ({"ProcedureStepState": "SCHEDULED"}, "nodules bones"),
        ({"ProcedureStepState": "COMPLETED"}, ""),
        ({"ScheduledProcedureStepPriority": "HIGH"}, "nodules"),
        ({"PatientID": "S1"}, "bones"),
        ({"PatientID": "S*"}, "nodules bones heart"),
        ({"PatientName": "doe^*"}, "nodules bones heart"),
        ({"PatientName": "Roe*"}, ""),
        ({"ScheduledProcedureStepStartDateTime": "20260202-"}, "bones heart"),
        ({"ScheduledProcedureStepStartDateTime": "20260201120000-20260202110000"}, "nodules"),
        ({"ScheduledWorkitemCodeSequence": code_key("heart")}, "heart"),
        ({"ScheduledWorkitemCodeSequence": code_key("lungs")}, ""),
    ],
)
def test_what_is_found(peer: Peer, worklist: dict[str, str], context: str, keys: dict, names: str) -> None:
    found = peer.find(context, WorklistLabel="search", SOPInstanceUID="", **keys)
    assert {match.SOPInstanceUID for match in found} == {worklist[name] for name in names.split()}


def test_many_items_are_found_by_a_list_of_uids(peer: Peer, worklist: dict[str, str]) -> None:
    uids = [*worklist.values(), *(f"1.2.3.4.5.{number}" for number in range(2000))]
    found = peer.find(SOPInstanceUID=uids, ProcedureStepLabel="")
    assert len(found) == 3


def test_answers_have_what_was_asked_for(peer: Peer, worklist: dict[str, str]) -> None:
    [match] = peer.find(SOPInstanceUID=worklist["heart"], TransactionUID="", ScheduledWorkitemCodeSequence=code_key(""),
                        ProcedureStepState="", SOPClassUID="", CommentsOnTheScheduledProcedureStep="")  # fmt: skip
    assert match.SOPClassUID == PUSH and match.ProcedureStepState == IN_PROGRESS
    assert [element.keyword for element in match.ScheduledWorkitemCodeSequence[0]] == [
        "CodeValue", "CodingSchemeDesignator",
    ]  # fmt: skip
    assert "TransactionUID" not in match and match["CommentsOnTheScheduledProcedureStep"].is_empty


def test_who_has_not_the_right_is_refused(node: Node) -> None:
    from pynetdicom import AE

    ae = AE("NOBODY")
    ae.add_requested_context(PUSH)
    ae.add_requested_context(EVENT)
    association = ae.associate(node.address.host, node.address.port, ae_title=node.address.ae_title)
    accepted = [context.abstract_syntax for context in association.accepted_contexts]
    if association.is_established:
        association.release()
    assert accepted == []
