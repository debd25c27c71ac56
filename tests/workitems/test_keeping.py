"""Subscriptions of an AE to one item and to all, locks, and how long items are kept."""

from __future__ import annotations

import threading
from itertools import product

import pytest

from medserver import errors
from medserver.dicom.uids import UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE, UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.index import JobFilter, NewWorkitem, WorkitemChange, WorkitemKeys
from medserver.index.jobs.batch import Batch
from medserver.index.workitems.subscriptions import PAGE_ROWS
from medserver.node import Node
from medserver.workitems import performing
from medserver.workitems.announcing import receivers, restarted
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import data_set, value
from medserver.workitems.creating import create
from medserver.workitems.events import CANCEL_REQUESTED
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload
from medserver.workitems.outcomes import CANCELED, IN_PROGRESS, SCHEDULED
from medserver.workitems.pruning import prune
from medserver.workitems.searching import search
from medserver.workitems.states import change_state
from medserver.workitems.subscribing import subscribe, suspend, unsubscribe
from tests.clock import Clock
from tests.workitems.samples import new_item, ours

ALL = UPS_GLOBAL_SUBSCRIPTION_INSTANCE
UID, NEW, MINE = "1.2.3", "1.2.4", "1.2.3.99"
DAY_S = 86_400.0

# PS3.4 table CC.2.3-2: the state of an AE and an item that exists -> what each action makes of it: n(ot subscribed),
# w(ithout lock), l(ock). Upper case: the AE is told of the item.
NOT, WITHOUT, LOCK = "n", "w", "l"
TRANSITIONS = {
    "subscribe": {NOT: "W", WITHOUT: "W", LOCK: "W"},
    "subscribe with lock": {NOT: "L", WITHOUT: "L", LOCK: "L"},
    "unsubscribe": {NOT: "n", WITHOUT: "n", LOCK: "n"},
    "subscribe to all": {NOT: "w", WITHOUT: "w", LOCK: "l"},
    "subscribe to all with lock": {NOT: "L", WITHOUT: "W", LOCK: "L"},
    "unsubscribe from all": {NOT: "n", WITHOUT: "n", LOCK: "n"},
    "suspend": {NOT: "n", WITHOUT: "w", LOCK: "l"},
}
OF_NEW = {"subscribe to all": "w", "subscribe to all with lock": "l", "unsubscribe from all": "n", "suspend": "n"}
"""In which state a new item is afterwards."""

ACTIONS = {
    "subscribe": lambda node: subscribe(node, UID, "WATCHER", False),
    "subscribe with lock": lambda node: subscribe(node, UID, "WATCHER", True),
    "unsubscribe": lambda node: unsubscribe(node, UID, "WATCHER"),
    "subscribe to all": lambda node: subscribe(node, ALL, "WATCHER", False),
    "subscribe to all with lock": lambda node: subscribe(node, ALL, "WATCHER", True),
    "unsubscribe from all": lambda node: unsubscribe(node, ALL, "WATCHER"),
    "suspend": lambda node: suspend(node, ALL, "WATCHER"),
}


def state_of(node: Node, uid: str) -> str:
    found = {one.receiver: one.has_lock for one in node.index.workitems.subscriptions.of(uid)}
    return NOT if "WATCHER" not in found else LOCK if found["WATCHER"] else WITHOUT


def told(node: Node, uid: str) -> int:
    jobs = node.index.jobs.list(JobFilter(kind=UPS_EVENT, destination="WATCHER"))
    return sum(EventPayload.of(job).sop_instance_uid == uid for job in jobs)


@pytest.mark.parametrize(("action", "state"), list(product(TRANSITIONS, [NOT, WITHOUT, LOCK])))
def test_each_action_in_each_state(node: Node, action: str, state: str) -> None:
    create(node, UID, new_item(), "REQUESTER")
    if state != NOT:
        ACTIONS["subscribe" if state == WITHOUT else "subscribe with lock"](node)
    before = told(node, UID)
    ACTIONS[action](node)
    expected = TRANSITIONS[action][state]
    assert state_of(node, UID) == expected.lower()
    if action.startswith("unsubscribe"):
        assert told(node, UID) == 0, "what it was not told yet is taken back"
    else:
        assert told(node, UID) - before == expected.isupper()
    if action in OF_NEW:
        create(node, NEW, new_item(), "REQUESTER")
        assert state_of(node, NEW) == OF_NEW[action]
        assert told(node, NEW) == (OF_NEW[action] != NOT)


def test_some_items_by_matching_keys_are_not_subscribed_to(node: Node) -> None:
    for action in (lambda uid: subscribe(node, uid, "WATCHER", False), lambda uid: unsubscribe(node, uid, "WATCHER"),
                   lambda uid: suspend(node, uid, "WATCHER")):  # fmt: skip
        with pytest.raises(errors.NoSuchWorkitem):
            action(UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE)


def test_who_has_no_entry_any_more_can_be_unsubscribed(node: Node) -> None:
    create(node, UID, new_item(), "REQUESTER")
    node.index.workitems.subscriptions.subscribe(UID, "GONE", True, lambda item: ())
    unsubscribe(node, UID, "GONE")
    assert node.index.workitems.subscriptions.of(UID) == []
    with pytest.raises(errors.UnknownReceiver):
        unsubscribe(node, UID, "GONE")


def test_many_items_are_subscribed_to_in_pages_while_others_are_created(node: Node) -> None:
    count = 2 * PAGE_ROWS + 7
    keys = WorkitemKeys()
    for number in range(count):
        node.index.workitems.add(NewWorkitem(f"1.9.{number}", SCHEDULED, "{}", "X", keys), lambda item, known: ())
    stop, made = threading.Event(), []

    def add() -> None:
        while not stop.is_set():
            uid = f"1.8.{len(made)}"
            create(node, uid, new_item(), "REQUESTER")
            made.append(uid)

    thread = threading.Thread(target=add)
    thread.start()
    subscribe(node, ALL, "WATCHER", True)
    stop.set()
    thread.join(30)
    assert made
    uids = [*made, *(f"1.9.{number}" for number in range(count))]
    assert [uid for uid in uids if state_of(node, uid) != LOCK] == []
    jobs = node.index.jobs.list(JobFilter(kind=UPS_EVENT, destination="WATCHER"))
    assert {EventPayload.of(job).sop_instance_uid for job in jobs} == set(uids)
    unsubscribe(node, ALL, "WATCHER")
    assert node.index.workitems.subscriptions.receivers() == []


def ended(node: Node, *uids: str) -> None:
    for uid in uids:
        create(node, uid, new_item(), "REQUESTER")
        request_cancel(node, uid, "REQUESTER")


def kept(node: Node) -> list[str]:
    return [row.sop_instance_uid for row in node.index.workitems.page()]


def test_final_items_are_kept_while_locked_then_for_their_time(timed: Node, clock: Clock) -> None:
    ended(timed, "1.1", "1.2")
    create(timed, "1.3", new_item(), "REQUESTER")
    subscribe(timed, "1.2", "WATCHER", True)
    subscribe(timed, "1.1", "WATCHER", False)
    clock.advance(6.9 * DAY_S)
    prune(timed, Batch(()))
    assert kept(timed) == ["1.1", "1.2", "1.3"]
    clock.advance(0.2 * DAY_S)
    prune(timed, Batch(()))
    assert kept(timed) == ["1.2", "1.3"]
    assert timed.index.workitems.subscriptions.of("1.1") == []
    unsubscribe(timed, "1.2", "WATCHER")
    prune(timed, Batch(()))
    assert kept(timed) == ["1.3"]


def test_a_lock_that_is_forgotten_is_taken_away(timed: Node, clock: Clock) -> None:
    ended(timed, "1.1")
    subscribe(timed, "1.1", "WATCHER", True)
    clock.advance(89 * DAY_S)
    prune(timed, Batch(()))
    assert kept(timed) == ["1.1"]
    clock.advance(2 * DAY_S)
    prune(timed, Batch(()))
    assert kept(timed) == []


def test_more_than_a_page_is_forgotten(timed: Node, clock: Clock) -> None:
    for number in range(620):
        uid = f"1.9.{number}"
        timed.index.workitems.add(
            NewWorkitem(uid, SCHEDULED, "{}", "X", WorkitemKeys()), lambda item, known: ()
        )
        if number >= 5:
            request_cancel_quickly(timed, uid)
    clock.advance(8 * DAY_S)
    prune(timed, Batch(()))
    assert len(kept(timed)) == 5


def request_cancel_quickly(node: Node, uid: str) -> None:
    node.index.workitems.change(
        uid, lambda row, known: WorkitemChange(CANCELED, "", "{}", "", False, True, WorkitemKeys())
    )


def test_a_cancel_of_ours_reaches_the_worker(node: Node) -> None:
    create(node, UID, ours(), "REQUESTER")
    subscribe(node, UID, "WATCHER", False)
    performing.start(node, UID, "w1")
    assert not performing.wants_cancel(node, UID)
    assert request_cancel(node, UID, "REQUESTER", data_set(ReasonForCancellation="other patient")) is None
    assert performing.wants_cancel(node, UID)
    assert node.index.workitems.get(UID).state == IN_PROGRESS
    [*_, last] = node.index.jobs.list(JobFilter(kind=UPS_EVENT))
    payload = EventPayload.of(last)
    assert payload.event_type_id == CANCEL_REQUESTED
    assert value(payload.information, "RequestingAE") == "REQUESTER"


def test_ours_is_cancelled_also_where_nobody_watches(node: Node) -> None:
    create(node, UID, ours(), "REQUESTER")
    performing.start(node, UID, "w1")
    assert request_cancel(node, UID, "REQUESTER") is None
    create(node, NEW, new_item(), "REQUESTER")
    change_state(node, NEW, IN_PROGRESS, MINE, "AI1")
    with pytest.raises(errors.PerformerUnreachable):
        request_cancel(node, NEW, "REQUESTER")


def test_who_watches_is_told_that_the_node_begins(node: Node) -> None:
    restarted(node)
    assert list(node.index.jobs.list()) == []  # nobody watches
    create(node, UID, new_item(), "REQUESTER")
    subscribe(node, UID, "WATCHER", False)
    subscribe(node, ALL, "AI1", False)
    assert sorted(receivers(node)) == ["AI1", "WATCHER"]
    restarted(node)
    started = [EventPayload.of(job) for job in node.index.jobs.list() if EventPayload.of(job).event_type_id == 4]
    assert {one.sop_instance_uid for one in started} == {ALL} and len(started) == 2


def test_a_search_goes_in_pages(node: Node) -> None:
    for number in range(450):
        node.index.workitems.add(
            NewWorkitem(f"1.9.{number}", SCHEDULED, "{}", "X", WorkitemKeys()), lambda item, known: ()
        )
    assert len([row for row in search(node) if row is not None]) == 450
