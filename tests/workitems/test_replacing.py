"""A remote performer that is never heard of again: its item is cancelled, and issued again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from medserver import errors
from medserver.dicom.uids import UNIFIED_PROCEDURE_STEP_PUSH, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, uid_of
from medserver.index import JobFilter, NewJob, Workitem
from medserver.node import Node
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems import performing
from medserver.workitems.content import code, content_of, data_set, first_item, has, value
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import PROCESS, UPS_EVENT, EventPayload
from medserver.workitems.outcomes import CANCELED, COMPLETED, IN_PROGRESS, SCHEDULED
from medserver.workitems.replacing import AGAIN, LOST
from medserver.workitems.states import change_state
from medserver.workitems.subscribing import subscribe
from medserver.workitems.updating import update
from tests.clock import Clock
from tests.workitems.conftest import opened
from tests.workitems.samples import new_item, ours, performed

UID, MINE, OTHER = "1.2.3", "1.2.3.99", "1.2.3.98"
REPLACEMENT = uid_of("again", UID)
LOST_AFTER_S = 3600


@pytest.fixture
def node(url: str | None, tmp_path: Path, clock: Clock) -> Iterator[Node]:
    """Give a node with the option, and an item that is claimed, and of which everything is told."""
    with closing(opened(tmp_path, url, clock, f"workitems.lost_after={LOST_AFTER_S} s")) as one:
        subscribe(one, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, "WATCHER", False)
        create(one, UID, new_item(), "REQUESTER")
        change_state(one, UID, IN_PROGRESS, MINE, "AI1")
        yield one


def look(node: Node) -> None:
    """Do what a worker does, and nothing else."""
    node.index.add_jobs([NewJob(LOST)])
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name in (LOST, AGAIN)], periodic=())
    while runner.run_due():
        pass


def row_of(node: Node, uid: str = UID) -> Workitem:
    row = node.index.workitems.get(uid)
    assert row is not None
    return row


def told(node: Node) -> list[tuple[str, str]]:
    jobs = [EventPayload.of(job) for job in node.index.jobs.list(JobFilter(kind=UPS_EVENT))]
    return [(one.sop_instance_uid, value(one.information, "ProcedureStepState")) for one in jobs]


def test_a_silent_performer_is_replaced(node: Node, clock: Clock) -> None:
    clock.advance(LOST_AFTER_S + 1)
    look(node)
    lost, new = row_of(node), row_of(node, REPLACEMENT)
    assert (lost.state, new.state) == (CANCELED, SCHEDULED)
    progress = first_item(content_of(lost.content), "ProcedureStepProgressInformationSequence")
    reason = first_item(progress, "ProcedureStepDiscontinuationReasonCodeSequence")
    assert (value(reason, "CodeValue"), value(reason, "CodingSchemeDesignator")) == ("110528", "DCM")
    assert value(progress, "ReasonForCancellation") == f"AI1 has not reported for {LOST_AFTER_S} s"
    content = content_of(new.content)
    replaced = first_item(content, "ReplacedProcedureStepSequence")
    assert value(replaced, "ReferencedSOPInstanceUID") == UID
    assert value(replaced, "ReferencedSOPClassUID") == UNIFIED_PROCEDURE_STEP_PUSH
    assert value(content, "ProcedureStepLabel") == "Find nodules" and new.created_by == "REQUESTER"
    assert not first_item(content, "ProcedureStepProgressInformationSequence")
    assert not has(content, "TransactionUID") and not new.performer
    assert told(node)[-2:] == [(UID, CANCELED), (REPLACEMENT, SCHEDULED)]


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_what_loses_one_performer_after_the_other_is_given_up(
    url: str | None, tmp_path: Path, clock: Clock, limit: int
) -> None:
    options = (f"workitems.lost_after={LOST_AFTER_S} s", f"workitems.issued_again_max={limit}")
    with closing(opened(tmp_path, url, clock, *options)) as node:
        foreign = data_set(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.2.3.4")
        create(node, UID, new_item() | data_set(ReplacedProcedureStepSequence=[foreign]), "REQUESTER")
        chain = [UID]
        for _ in range(limit):
            chain.append(uid_of("again", chain[-1]))
        for number, uid in enumerate(chain):
            assert row_of(node, uid).state == SCHEDULED
            replaced = content_of(row_of(node, uid).content)["00741224"]["Value"]
            names = [value(each, "ReferencedSOPInstanceUID") for each in replaced]
            assert names == ["1.2.3.4", *chain[:number]]
            change_state(node, uid, IN_PROGRESS, MINE, f"AI{number}")
            clock.advance(LOST_AFTER_S + 1)
            look(node)
        assert node.index.workitems.counts() == {CANCELED: limit + 1}
        progress = first_item(content_of(row_of(node, chain[-1]).content), "ProcedureStepProgressInformationSequence")
        reason = first_item(progress, "ProcedureStepDiscontinuationReasonCodeSequence")
        assert (value(reason, "CodeValue"), value(reason, "CodingSchemeDesignator")) == ("110501", "DCM")
        assert value(progress, "ReasonForCancellation").startswith(f"AI{limit} has not reported")


def test_once_only(node: Node, clock: Clock) -> None:
    clock.advance(LOST_AFTER_S + 1)
    look(node)
    before = told(node)
    clock.advance(LOST_AFTER_S + 1)
    look(node)  # nobody has claimed the other one: it waits
    assert told(node) == before and node.index.workitems.counts() == {CANCELED: 1, SCHEDULED: 1}


def test_who_comes_back_finds_the_item_final(node: Node, clock: Clock) -> None:
    clock.advance(LOST_AFTER_S + 1)
    look(node)
    with pytest.raises(errors.WorkitemIsFinal):
        update(node, UID, performed(), MINE)
    with pytest.raises(errors.WorkitemIsFinal):
        change_state(node, UID, COMPLETED, MINE)
    change_state(node, REPLACEMENT, IN_PROGRESS, OTHER, "AI1")
    update(node, REPLACEMENT, performed(), OTHER)
    change_state(node, REPLACEMENT, COMPLETED, OTHER)
    assert row_of(node, REPLACEMENT).state == COMPLETED


def test_who_reports_keeps_its_item(node: Node, clock: Clock) -> None:
    clock.advance(LOST_AFTER_S - 1)
    progress = data_set(ProcedureStepProgressInformationSequence=[data_set(ProcedureStepProgress=30)])
    update(node, UID, progress, MINE)
    clock.advance(LOST_AFTER_S - 1)
    look(node)
    assert row_of(node).state == IN_PROGRESS


def test_our_own_workers_are_not_lost_by_that(node: Node, clock: Clock) -> None:
    create(node, "1.2.5", ours(), "REQUESTER")
    performing.start(node, "1.2.5", "w1")
    clock.advance(LOST_AFTER_S + 1)
    look(node)
    assert row_of(node, "1.2.5").state == IN_PROGRESS


def test_what_a_remote_performer_had_of_ours_is_performed_here(node: Node, clock: Clock) -> None:
    create(node, "1.2.5", ours(), "REQUESTER")
    change_state(node, "1.2.5", IN_PROGRESS, OTHER, "AI1")
    clock.advance(LOST_AFTER_S + 1)
    look(node)
    jobs = [job.payload["sop_instance_uid"] for job in node.index.jobs.list(JobFilter(kind=PROCESS))]
    assert uid_of("again", "1.2.5") in jobs


def test_without_the_option_it_is_waited_for(timed: Node, clock: Clock) -> None:
    create(timed, UID, new_item(ScheduledWorkitemCodeSequence=[code("a", "99OTHER", "A")]), "REQUESTER")
    change_state(timed, UID, IN_PROGRESS, MINE, "AI1")
    clock.advance(1000 * LOST_AFTER_S)
    look(timed)
    assert row_of(timed).state == IN_PROGRESS
