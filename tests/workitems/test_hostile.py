"""What a peer sends that is not as it should be, or comes at another moment than it should."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from string import ascii_letters, digits

import pytest

from medserver import errors
from medserver.dicom.conditions import SingleValue
from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.index import JobFilter, WorkitemKeys
from medserver.index.workitems.records import NewWorkitem
from medserver.index.workitems.subscriptions import PAGE_LENGTH
from medserver.node import Node
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems.announcing import restarted
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import data_set, text_of
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload, begins_at
from medserver.workitems.outcomes import IN_PROGRESS, SCHEDULED, WELL_KNOWN
from medserver.workitems.searching import search
from medserver.workitems.states import change_state
from medserver.workitems.subscribing import subscribe
from medserver.workitems.updating import CONTENT_LENGTH_MAX, update
from tests.clock import Clock
from tests.peers.process import wait_until
from tests.peers.watcher import Watcher
from tests.workitems.samples import new_item, ours

UID, RIGHT = "2.25.8001", "2.25.8002"


TEXTS = ("A\0B", "A\ud800B", "".join(random.Random(1).choices(ascii_letters + digits, k=100_000)))
"""With a null, with half a character, and longer than an index takes."""


def test_values_that_a_database_does_not_take(node: Node) -> None:
    for number, text in enumerate(TEXTS):
        for keyword in ("PatientID", "ProcedureStepLabel", "WorklistLabel"):
            uid = f"2.25.81{number}{len(keyword)}"
            create(node, uid, new_item(**{keyword: text}), "REQUESTER")
            found = search(node, [SingleValue(keyword, text)])
            assert [row.sop_instance_uid for row in found if row is not None] == [uid]


def test_the_well_known_instances_are_no_items(node: Node) -> None:
    for uid in WELL_KNOWN:
        with pytest.raises(errors.InvalidObjectInstance):
            create(node, uid, new_item(), "REQUESTER")


def test_a_reason_that_is_too_long_for_an_event(node: Node) -> None:
    for number, keyword in enumerate(("ReasonForCancellation", "ContactURI", "ContactDisplayName")):
        for is_claimed in (True, False):
            uid = f"2.25.82{number}{int(is_claimed)}"
            create(node, uid, new_item(), "REQUESTER")
            subscribe(node, uid, "WATCHER", False)
            if is_claimed:
                change_state(node, uid, IN_PROGRESS, RIGHT, "AI1")
            request_cancel(node, uid, "REQUESTER", data_set(**{keyword: "x" * 100_000}))
            last = EventPayload.of(list(node.index.jobs.list(JobFilter(kind=UPS_EVENT)))[-1])
            assert last.event_type_id == (2 if is_claimed else 1)


def test_a_restart_is_told_as_warm_when_nobody_was_subscribed_at_the_first(node: Node) -> None:
    restarted(node)
    create(node, UID, new_item(), "REQUESTER")
    subscribe(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, "WATCHER", False)
    restarted(node)
    last = EventPayload.of(list(node.index.jobs.list(JobFilter(kind=UPS_EVENT)))[-1])
    assert last.information["00741244"]["Value"] == ["WARM START"]


def test_a_start_that_is_far_off_is_not_one_at_once(node: Node) -> None:
    for number, start in enumerate(("99991231235959", "99991231", "20991231235959-1200")):
        uid = f"2.25.83{number}"
        create(node, uid, ours(ScheduledProcedureStepStartDateTime=start), "REQUESTER")
        row = node.index.workitems.get(uid)
        assert row is not None
        assert begins_at(row.keys) > node.clock() + timedelta(days=365)


def test_large_items_are_read_a_few_at_a_time(node: Node) -> None:
    content = text_of(data_set(CommentsOnTheScheduledProcedureStep="x" * (PAGE_LENGTH // 3)))
    uids = [f"2.25.84{number}" for number in range(7)]
    for uid in uids:
        new = NewWorkitem(uid, SCHEDULED, content, "REQUESTER", WorkitemKeys())
        node.index.workitems.add(new, lambda item, subscribed: ())
    assert len(node.index.workitems.page()) == 2
    assert [row.sop_instance_uid for row in search(node) if row is not None] == uids
    subscribe(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, "WATCHER", True)
    assert [len(node.index.workitems.subscriptions.of(uid)) for uid in uids] == [1] * 7


def test_an_item_does_not_grow_without_end(node: Node) -> None:
    content = text_of(new_item(CommentsOnTheScheduledProcedureStep="x" * (CONTENT_LENGTH_MAX - 10_000)))
    node.index.workitems.add(
        NewWorkitem(UID, SCHEDULED, content, "REQUESTER", WorkitemKeys()), lambda item, subscribed: ()
    )
    with pytest.raises(errors.OutOfResources):
        update(node, UID, {"00111000": {"vr": "UT", "Value": ["x" * 20_000]}})
    update(node, UID, data_set(CommentsOnTheScheduledProcedureStep="short"))


def run_events(node: Node) -> None:
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name == UPS_EVENT], periodic=())
    while runner.run_due():
        pass


def test_events_keep_their_order_while_the_entry_of_the_receiver_is_gone(
    timed: Node, clock: Clock, tmp_path: Path
) -> None:
    config = tmp_path / "config.ini"
    text = config.read_text()
    with Watcher("WATCHER") as watcher:
        there = text.replace("127.0.0.1:10402", f"{watcher.address.host}:{watcher.address.port}")
        create(timed, UID, new_item(), "REQUESTER")
        subscribe(timed, UID, "WATCHER", False)
        config.write_text(text.replace("[ae WATCHER]", "[ae ANOTHER]"))
        wait_until(lambda: timed.config.current.remote_by_name("WATCHER") is None, what="the entry to be gone")
        for _ in range(3):
            run_events(timed)
            clock.advance(3600)
        config.write_text(there)
        wait_until(lambda: timed.config.current.destination("WATCHER") is not None, what="the entry to be back")
        change_state(timed, UID, IN_PROGRESS, RIGHT, "AI1")
        run_events(timed)
        assert watcher.of(UID) == [(1, SCHEDULED), (1, IN_PROGRESS)]
