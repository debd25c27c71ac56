"""Work items of a foreign performer: wherever the power is cut, state and events are those of one moment.

Each pair of events happens in both orders to an item of its own, before and after it is claimed; what may not happen
there is refused, and changes nothing. After a cut each item is as it was after what was acknowledged last; one may be
as it was after what was under way. Then the rest happens, and the end is that which it would have been.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import permutations
from pathlib import Path

from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.errors import WorkitemRefused
from medserver.index import JobFilter
from medserver.node import Node
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import content_of, data_set, first_item, value
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload
from medserver.workitems.outcomes import CANCELED, COMPLETED, IN_PROGRESS
from medserver.workitems.states import PERFORMED, PROGRESS, change_state
from medserver.workitems.subscribing import subscribe
from medserver.workitems.updating import update
from tests.crash.power.archive import opened, started
from tests.crash.power.recording import Recording
from tests.workitems import samples

SEED, CUTS = 20261130, 20
WATCHER, CLAIM = "PACS", "2.25.4713"

EVENTS: Mapping[str, Callable[[Node, str], object]] = {
    "created": lambda node, uid: create(node, uid, samples.new_item(), "REQUESTER"),
    "raised": lambda node, uid: update(node, uid, data_set(ScheduledProcedureStepPriority="HIGH")),
    "claimed": lambda node, uid: change_state(node, uid, IN_PROGRESS, CLAIM, "AI1"),
    "cancel requested": lambda node, uid: request_cancel(node, uid, "REQUESTER"),
    "reported": lambda node, uid: update(
        node, uid, data_set(**{PROGRESS: [data_set(ProcedureStepProgress=50)]}), CLAIM
    ),
    "described": lambda node, uid: update(node, uid, samples.performed(), CLAIM),
    "completed": lambda node, uid: change_state(node, uid, COMPLETED, CLAIM, "AI1"),
    "given up": lambda node, uid: change_state(node, uid, CANCELED, CLAIM, "AI1"),
    "watched": lambda node, uid: subscribe(node, uid, WATCHER, True),
}
"""What happens to an item, and how."""

BEFORE = (("created",), ("created", "claimed", "described"))
"""What has happened to it before."""


def cases() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield items, each with all that happens to it."""
    pairs = list(permutations([name for name in EVENTS if name != "created"], 2))
    for number, (before, pair) in enumerate((before, pair) for before in BEFORE for pair in pairs):
        yield f"2.25.4714.{number}", (*before, *pair)


def happen(node: Node, uid: str, name: str) -> None:
    """Let something happen to an item, or be refused."""
    with suppress(WorkitemRefused):
        EVENTS[name](node, uid)


def observed(node: Node, uid: str) -> str:
    """Return what an item is, and what its watcher is told of it; empty if there is none."""
    row = node.index.workitems.get(uid)
    if row is None:
        return ""
    content = content_of(row.content)
    told = sorted(
        (payload.event_type_id, value(payload.information, "ProcedureStepState"))
        for payload in map(EventPayload.of, node.index.jobs.list(JobFilter(kind=UPS_EVENT)))
        if payload.sop_instance_uid == uid
    )
    progress = value(first_item(content, PROGRESS), "ProcedureStepProgress")
    is_described = bool(first_item(content, PERFORMED))
    return f"{row.state} {row.revision} {row.keys.priority} {progress} {is_described} {told}"


def let_all_happen(recorded: Recording) -> None:
    """Have it all happen, and each of it acknowledged with what came of it."""
    node = opened(recorded.folder)
    subscribe(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, WATCHER, False)
    for uid, names in cases():
        for name in names:
            happen(node, uid, name)
            recorded.acknowledge(f"{uid}: {observed(node, uid)}")


def by_item(acknowledged: tuple[str, ...]) -> dict[str, list[str]]:
    """Return what was observed of each item, beginning with that there was none."""
    found: dict[str, list[str]] = defaultdict(lambda: [""])
    for each in acknowledged:
        uid, _, what = each.partition(": ")
        found[uid].append(what)
    return found


def test_state_and_events_are_those_of_one_moment(tmp_path: Path) -> None:
    """Slow: hundreds of transactions, and each cut is started."""
    opened(tmp_path).close()
    recording = Recording(tmp_path).run(let_all_happen)
    *cuts, last = recording.cuts(CUTS, SEED, at_the_end=1)
    whole = by_item(last.acknowledged)
    assert all(len(whole[uid]) == 1 + len(names) for uid, names in cases())
    for cut in (*cuts, last):
        known = by_item(cut.acknowledged)
        with started(cut.folder) as (node, _):
            ahead = 0
            for uid, names in cases():
                done, now = len(known[uid]) - 1, observed(node, uid)
                if now != whole[uid][done]:
                    ahead += 1
                    assert now == whole[uid][done + 1], f"{cut.what}, {names} after {done} of them"
                    done += 1
                if 0 < done < len(names):
                    for name in names[done:]:
                        happen(node, uid, name)
                    assert observed(node, uid) == whole[uid][-1], f"{cut.what}, {names} in the end"
            assert ahead <= 1, cut.what
