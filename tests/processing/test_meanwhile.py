"""What happens to a work item of ours, its input and its surroundings between the request and the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from medserver.config import ConfigFile
from medserver.destinations import PAUSE_MAX_S
from medserver.dicom.conditions import SingleValue
from medserver.index import Job, JobFilter, Lane
from medserver.index.jobs.batch import Batch
from medserver.node import Node, open_node
from medserver.processing.informing import INFORM
from medserver.processing.performing import LOST_MAX, PROCESS_LARGE
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of
from medserver.processing.staging import FOLDER
from medserver.safekeeping.deletion import DELETE, order_deletion
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems import performing
from medserver.workitems.cancelling import request_cancel
from medserver.workitems.content import code, data_set, moment
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import PROCESS
from medserver.workitems.outcomes import IN_PROGRESS
from medserver.workitems.pruning import prune
from medserver.workitems.updating import update
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.peers.files import Sample
from tests.processing import phantoms

UID = "2.25.4713"
SLICES = 2
KINDS = (PROCESS, PROCESS_LARGE)
CONFIG = """[node]
[ae CT1]
address = 127.0.0.1:10401
inform = http://127.0.0.1:1/
[ae DEST]
address = 127.0.0.1:10402
[ae OTHER]
address = 127.0.0.1:1
"""
UIDS = [f"{phantoms.UID}.1.{number}" for number in range(1, SLICES + 1)]


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Node]:
    """Give a node with a series that CT1 has sent."""
    (tmp_path / "config.ini").write_text(CONFIG)
    (tmp_path / "data").mkdir()
    overrides = [f"node.data={tmp_path / 'data'}"]
    if request.param == "postgresql":
        overrides.append(f"index.url={request.getfixturevalue('new_database')()}")
    one = open_node(ConfigFile(tmp_path / "config.ini", tuple(overrides)), clock=clock)
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, 16, 16)).astype(np.uint16)
    paths = sorted(phantoms.write(tmp_path / "made", phantoms.ct_series(volume)).iterdir())
    for path, uid in zip(paths, UIDS, strict=True):
        receive(one, Sample(path, phantoms.CT, uid, phantoms.EXPLICIT), calling_ae_title="CT1")
    yield one
    one.close()


def request(**changes: object) -> ProcessingRequest:
    reference = Reference(f"{phantoms.UID}.0", f"{phantoms.UID}.1", tuple((phantoms.CT, uid) for uid in UIDS))
    return ProcessingRequest(**{"type_name": "copy", "inputs": (reference,), "informs": False} | changes)


def ask(node: Node, asked: ProcessingRequest | None = None, **changes: object) -> None:
    create(node, UID, attribute_list_of(asked or request(), node.clock()) | data_set(**changes), "REQUESTER")


def perform(node: Node) -> None:
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name in KINDS], periodic=())
    while runner.run_due():
        pass


def capped(node: Node) -> list[Lane]:
    """Do what a worker does now and then about moments that lie far off; return where there were some."""
    waits = {kind.name: kind.waits(node.config.current) for kind in JOB_KINDS if kind.name in KINDS}
    lanes = [state.lane for state in node.index.jobs.lanes() if state.lane.kind in waits]
    return node.index.jobs.cap_waits({lane: waits[lane.kind] for lane in lanes}, PAUSE_MAX_S)


def state(node: Node) -> str:
    row = node.index.workitems.get(UID)
    assert row is not None
    return row.state


def test_nobody_is_told_of_what_was_cancelled_before_it_began(node: Node) -> None:
    ask(node, request(informs=True))
    request_cancel(node, UID, "REQUESTER")
    perform(node)
    assert state(node) == "CANCELED"
    assert list(node.index.jobs.list(JobFilter(kind=INFORM))) == []
    assert list(node.index.jobs.list(JobFilter(kind=PROCESS))) == []


def test_what_is_put_off_begins_at_its_new_time(node: Node, clock: Clock) -> None:
    ask(node)
    update(node, UID, data_set(ScheduledProcedureStepStartDateTime=moment(node.clock() + timedelta(hours=1))))
    perform(node)
    assert state(node) == "SCHEDULED"
    clock.advance(3601)
    perform(node)
    assert state(node) == "COMPLETED"


def test_what_is_put_forward_begins_at_its_new_time(node: Node, clock: Clock) -> None:
    ask(node, ScheduledProcedureStepStartDateTime=moment(node.clock() + timedelta(hours=1)))
    update(node, UID, data_set(ScheduledProcedureStepStartDateTime=moment(node.clock())))
    perform(node)
    assert state(node) == "COMPLETED"


@pytest.mark.parametrize("readiness", ["INCOMPLETE", "UNAVAILABLE"])
def test_it_begins_when_its_input_is_ready(node: Node, readiness: str) -> None:
    ask(node, InputReadinessState=readiness)
    perform(node)
    assert state(node) == "SCHEDULED"
    update(node, UID, data_set(InputReadinessState="READY"))
    perform(node)
    assert state(node) == "COMPLETED"


def test_what_becomes_ours_is_performed(node: Node) -> None:
    ask(node, ScheduledWorkitemCodeSequence=[code("copy", "99OTHER", "x")])
    perform(node)
    assert state(node) == "SCHEDULED"
    update(node, UID, data_set(ScheduledWorkitemCodeSequence=[code("copy", "99MEDSERVER", "x")]))
    perform(node)
    assert state(node) == "COMPLETED"


def test_what_is_fetched_from_a_peer_that_is_away_is_not_cancelled_at_once(node: Node) -> None:
    far = Reference("1.2.3", "1.2.3.4", ((phantoms.CT, "1.2.3.4.5"),), "OTHER")
    ask(node, request(inputs=(far,)))
    Runner(node, [kind for kind in JOB_KINDS if kind.name in KINDS], periodic=()).run_due()
    row = node.index.workitems.get(UID)
    assert row.state == "SCHEDULED", row.content


def test_what_is_for_later_waits_though_nothing_else_does_for_so_long(node: Node, clock: Clock) -> None:
    ask(node, ScheduledProcedureStepStartDateTime=moment(node.clock() + timedelta(hours=1)))
    for _ in range(3):
        assert capped(node) == [], "the clock is said to have been wrong"
        clock.advance(301)
        perform(node)
        assert state(node) == "SCHEDULED"
    clock.advance(3600)
    perform(node)
    assert state(node) == "COMPLETED"


def test_what_is_for_now_begins_also_if_the_clock_is_set_back(node: Node, clock: Clock) -> None:
    ask(node)
    clock.advance(-3600)
    assert capped(node) != []
    clock.advance(301)
    perform(node)
    assert state(node) == "COMPLETED"


def test_what_was_changed_since_it_was_read_is_not_begun(node: Node) -> None:
    ask(node)
    row = node.index.workitems.get(UID)
    assert row is not None
    update(node, UID, data_set(ProcedureStepLabel="another"))
    assert performing.start(node, UID, "worker#1", row.revision) is None
    assert state(node) == "SCHEDULED"


def test_what_one_job_has_begun_another_does_not_take_over(node: Node) -> None:
    ask(node)
    assert performing.start(node, UID, "first#1") is not None
    assert performing.start(node, UID, "second#2") is None
    assert performing.start(node, UID, "third#1") is not None


def jobs_of(node: Node) -> list[Job]:
    return [job for kind in KINDS for job in node.index.jobs.list(JobFilter(kind=kind))]


def test_a_priority_that_is_raised_leaves_one_job(node: Node) -> None:
    ask(node, ScheduledProcedureStepPriority="LOW")
    [before] = jobs_of(node)
    for priority in ("HIGH", "LOW", "MEDIUM", "HIGH"):
        update(node, UID, data_set(ScheduledProcedureStepPriority=priority))
    [job] = jobs_of(node)
    assert (job.priority, before.priority) == (2, 0)
    perform(node)
    assert state(node) == "COMPLETED" and jobs_of(node) == []


def test_what_is_put_forward_again_and_again_leaves_one_job(node: Node, clock: Clock) -> None:
    ask(node, ScheduledProcedureStepStartDateTime=moment(node.clock() + timedelta(hours=9)))
    for hours in (3, 8, 2, 1):
        begin = moment(node.clock() + timedelta(hours=hours))
        update(node, UID, data_set(ScheduledProcedureStepStartDateTime=begin))
    assert len(jobs_of(node)) == 1
    clock.advance(3601)
    perform(node)
    assert state(node) == "COMPLETED"


def test_who_was_told_is_not_told_again_when_the_priority_is_raised(node: Node) -> None:
    ask(node, request(informs=True), ScheduledProcedureStepPriority="LOW")
    Runner(node, [kind for kind in JOB_KINDS if kind.name in KINDS], periodic=()).run_due()
    assert len(list(node.index.jobs.list(JobFilter(INFORM)))) == 1
    update(node, UID, data_set(ScheduledProcedureStepPriority="HIGH"))
    perform(node)
    assert len(list(node.index.jobs.list(JobFilter(INFORM)))) == 1


def test_where_no_folder_can_be_made_it_waits_for_as_long_as_it_takes(node: Node, clock: Clock) -> None:
    ask(node)
    folder = node.config.current.node.data / FOLDER
    folder.write_text("in the way")
    for _ in range(LOST_MAX + 2):
        perform(node)
        clock.advance(301)
    assert state(node) == IN_PROGRESS
    folder.unlink()
    perform(node)
    assert state(node) == "COMPLETED"


def outputs(node: Node) -> set[str]:
    found = node.index.select([SingleValue("StudyInstanceUID", f"{phantoms.UID}.0")])
    return {one.sop_instance_uid for one in found} - set(UIDS)


def delete(node: Node, uids: Iterable[str]) -> None:
    order_deletion(node, list(node.index.instances(list(uids)).values()), by="somebody", reason="")
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name == DELETE], periodic=())
    while runner.run_due():
        pass
    assert node.index.instances(list(uids)) == {}


def test_what_was_deleted_since_the_item_was_begun_is_missed(node: Node) -> None:
    ask(node)
    [job] = node.index.jobs.list(JobFilter(kind=PROCESS))
    assert performing.start(node, UID, f"lost#{job.id}") is not None
    delete(node, UIDS[:1])
    perform(node)
    row = node.index.workitems.get(UID)
    assert row is not None and row.state == "CANCELED" and "110523" in row.content


def test_what_was_made_and_deleted_is_made_again(node: Node) -> None:
    ask(node)
    perform(node)
    made = outputs(node)
    delete(node, made)
    create(node, "2.25.4714", attribute_list_of(request(), node.clock()), "REQUESTER")
    perform(node)
    assert len(outputs(node)) == len(made) == SLICES


def test_what_was_made_and_deleted_is_made_again_by_the_same_item_when_that_was_forgotten(
    node: Node, clock: Clock
) -> None:
    ask(node)
    perform(node)
    made = outputs(node)
    delete(node, made)
    clock.advance(8 * 86_400)
    prune(node, Batch(()))
    assert node.index.workitems.get(UID) is None
    ask(node)
    perform(node)
    assert state(node) == "COMPLETED"
    assert outputs(node) == made


@pytest.mark.parametrize(("study", "series"), [("1.2.3", f"{phantoms.UID}.1"), (f"{phantoms.UID}.0", "1.2.3")])
def test_what_is_named_with_another_study_or_series_is_not_taken(node: Node, study: str, series: str) -> None:
    ask(node, request(inputs=(Reference(study, series, ((phantoms.CT, UIDS[0]),)),)))
    perform(node)
    row = node.index.workitems.get(UID)
    assert row is not None and row.state == "CANCELED" and "110523" in row.content


def test_instances_that_are_named_without_their_study_are_found(node: Node) -> None:
    ask(node, request(inputs=(Reference("", "", tuple((phantoms.CT, uid) for uid in UIDS)),)))
    perform(node)
    assert state(node) == "COMPLETED"


def test_a_cancelled_item_that_a_lost_worker_had_is_ended_though_its_input_is_to_be_fetched(node: Node) -> None:
    far = Reference("1.2.3", "1.2.3.4", ((phantoms.CT, "1.2.3.4.5"),), "OTHER")
    ask(node, request(inputs=(far,)))
    [job] = node.index.jobs.list(JobFilter(kind=PROCESS))
    assert performing.start(node, UID, f"lost#{job.id}") is not None
    request_cancel(node, UID, "REQUESTER")
    perform(node)
    assert state(node) == "CANCELED"
