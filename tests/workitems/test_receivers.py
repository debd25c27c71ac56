"""Whose events are whose: entries are renamed or become those of others, and who unsubscribes is told no more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.index import Job, JobFilter, NewJob
from medserver.node import Node
from medserver.workitems.announcing import restarted
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload
from medserver.workitems.outcomes import IN_PROGRESS, SCHEDULED
from medserver.workitems.states import change_state
from medserver.workitems.subscribing import subscribe, unsubscribe
from tests.clock import Clock
from tests.peers.process import wait_until
from tests.peers.watcher import Watcher
from tests.workitems.conftest import opened
from tests.workitems.samples import new_item
from tests.workitems.test_hostile import run_events

UID, OTHER, MINE = "2.25.8101", "2.25.8102", "2.25.8103"


def waiting(node: Node, state: str | None = "waiting") -> list[Job]:
    return list(node.index.jobs.list(JobFilter(kind=UPS_EVENT, state=state)))


def of_items(node: Node) -> list[tuple[str, str]]:
    return [(job.destination, EventPayload.of(job).sop_instance_uid) for job in waiting(node)]


def replace(node: Node, folder: Path, old: str, new: str) -> None:
    """Change the configuration."""
    config = folder / "config.ini"
    before = node.config.current
    config.write_text(config.read_text().replace(old, new))
    wait_until(lambda: node.config.current is not before, what="the new configuration")


def test_events_follow_an_ae_whose_entry_is_renamed(timed: Node, tmp_path: Path) -> None:
    with Watcher("WATCHER") as watcher:
        create(timed, UID, new_item(), "REQUESTER")
        subscribe(timed, UID, "WATCHER", False)
        replace(timed, tmp_path, "[ae WATCHER]", "[ae Reading room]\nae_title = WATCHER")
        address = f"{watcher.address.host}:{watcher.address.port}"
        replace(timed, tmp_path, "127.0.0.1:10402", address)
        run_events(timed)
        assert watcher.of(UID) == [(1, SCHEDULED)]
        change_state(timed, UID, IN_PROGRESS, MINE, "AI1")
        run_events(timed)
        assert watcher.of(UID) == [(1, SCHEDULED), (1, IN_PROGRESS)] and waiting(timed, None) == []


def test_many_events_keep_their_order_when_they_follow(timed: Node, tmp_path: Path) -> None:
    with Watcher("WATCHER") as watcher:
        subscribe(timed, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, "WATCHER", False)
        uids = [f"2.25.81{number}" for number in range(100, 300)]
        for uid in uids:
            create(timed, uid, new_item(), "REQUESTER")
        replace(timed, tmp_path, "[ae WATCHER]", "[ae Reading room]\nae_title = WATCHER")
        replace(timed, tmp_path, "127.0.0.1:10402", f"{watcher.address.host}:{watcher.address.port}")
        run_events(timed)
        assert [one.sop_instance_uid for one in watcher.told] == uids


def test_events_do_not_go_to_another_ae_that_has_the_entry_now(timed: Node, tmp_path: Path) -> None:
    with Watcher("STRANGER") as stranger:
        create(timed, UID, new_item(), "REQUESTER")
        subscribe(timed, UID, "WATCHER", False)
        replace(timed, tmp_path, "[ae WATCHER]", "[ae WATCHER]\nae_title = STRANGER")
        replace(timed, tmp_path, "127.0.0.1:10402", f"{stranger.address.host}:{stranger.address.port}")
        run_events(timed)
        assert stranger.told == []
        [job] = waiting(timed, "dead")
        assert job.last_error == "the entry is that of STRANGER now, and WATCHER has none with an address"


def test_events_that_an_older_medserver_has_added_go_where_they_went(timed: Node, tmp_path: Path) -> None:
    with Watcher("WATCHER") as watcher:
        replace(timed, tmp_path, "127.0.0.1:10402", f"{watcher.address.host}:{watcher.address.port}")
        information = {"00741000": {"vr": "CS", "Value": [SCHEDULED]}}
        old = {"version": 1, "sop_instance_uid": UID, "event_type_id": 1, "information": information}
        timed.index.add_jobs([NewJob(UPS_EVENT, old, destination="WATCHER")])
        run_events(timed)
        assert watcher.of(UID) == [(1, SCHEDULED)]


def test_who_unsubscribes_from_an_item_is_told_no_more_of_it(node: Node) -> None:
    for uid in (UID, OTHER):
        create(node, uid, new_item(), "REQUESTER")
        for receiver in ("WATCHER", "AI1"):
            subscribe(node, uid, receiver, False)
    unsubscribe(node, UID, "WATCHER")
    assert sorted(of_items(node)) == [("AI1", UID), ("AI1", OTHER), ("WATCHER", OTHER)]
    change_state(node, UID, IN_PROGRESS, MINE, "AI1")
    assert of_items(node).count(("WATCHER", UID)) == 0


@pytest.mark.parametrize("is_configured", [False, True])
def test_who_unsubscribes_from_all_is_told_no_more_of_any(
    url: str | None, tmp_path: Path, clock: Clock, is_configured: bool
) -> None:
    with closing(opened(tmp_path, url, clock, *(["workitems.status_to=WATCHER"] if is_configured else []))) as node:
        for receiver in ("WATCHER", "AI1"):
            subscribe(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, receiver, False)
        restarted(node)
        create(node, UID, new_item(), "REQUESTER")
        unsubscribe(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, "WATCHER")
        kept = [("WATCHER", UPS_GLOBAL_SUBSCRIPTION_INSTANCE)] if is_configured else []
        expected = [("AI1", UPS_GLOBAL_SUBSCRIPTION_INSTANCE), ("AI1", UID), *kept]
        assert sorted(of_items(node)) == sorted(expected)


def test_what_is_taken_back_is_found_by_the_ae_title_also_where_its_entry_is_gone(node: Node, tmp_path: Path) -> None:
    create(node, UID, new_item(), "REQUESTER")
    subscribe(node, UID, "WATCHER", False)
    subscribe(node, UID, "AI1", False)
    replace(node, tmp_path, "[ae WATCHER]", "[ae Somebody]")
    unsubscribe(node, UID, "WATCHER")
    assert of_items(node) == [("AI1", UID)]
