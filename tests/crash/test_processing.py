"""Who processes images is killed at each step: the item is completed once, its outputs are there and sent once."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from medserver import archive
from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.dicom.conditions import SingleValue
from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.index import JobFilter
from medserver.node import Node as OpenedNode
from medserver.node import open_node, utc_now
from medserver.processing.performing import PROCESS_LARGE
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of
from medserver.routing.deliveries import DELIVER
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems.content import content_of, first_item, items
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import PROCESS, UPS_EVENT, EventPayload
from medserver.workitems.subscribing import subscribe
from tests.archive.conftest import receive
from tests.peers import Address
from tests.peers.files import Sample
from tests.peers.node import Node
from tests.peers.ports import free_port
from tests.processing import phantoms

POINTS = (
    "item started", "inputs staged", "outputs computed", "output registered", "derivation noted", "item completed",
)  # fmt: skip
"""The crash points of this file."""

UID = "2.25.4712"
SLICES = 2
KINDS = (PROCESS, PROCESS_LARGE)


@pytest.fixture(params=["sqlite", "postgresql"])
def node(request: pytest.FixtureRequest, make_node: Callable[..., Node], tmp_path: Path) -> Node:
    """Give a node, not started, with a series, a work item that is due, and one who is told and gets the results."""
    options = {} if request.param == "sqlite" else {"index.url": request.getfixturevalue("new_database")()}
    made = make_node(options=options)
    made.add_remote(Address("DEST", free_port()))
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, 16, 16)).astype(np.uint16)
    paths = sorted(phantoms.write(tmp_path / "made", phantoms.ct_series(volume)).iterdir())
    with closing(open_node(ConfigFile(made.config))) as opened:
        uids = [f"{phantoms.UID}.1.{number}" for number in range(1, SLICES + 1)]
        for path, uid in zip(paths, uids, strict=True):
            receive(opened, Sample(path, phantoms.CT, uid, phantoms.EXPLICIT))
        subscribe(opened, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, "DEST", False)
        reference = Reference(f"{phantoms.UID}.0", f"{phantoms.UID}.1", tuple((phantoms.CT, uid) for uid in uids))
        asked = ProcessingRequest("copy", {}, (reference,), ("DEST",))
        create(opened, UID, attribute_list_of(asked, opened.clock()), "REQUESTER")
    return made


def a_minute_later() -> datetime:
    """Return when the jobs of who was killed are taken back."""
    return utc_now() + timedelta(minutes=1)


def perform(node: OpenedNode) -> None:
    """Perform the item in this process, if it is not done."""
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name in KINDS], periodic=())
    while runner.run_due():
        pass


def outputs_of(node: OpenedNode) -> dict[str, str]:
    """Return the digest of what is stored of the study besides what was received, by SOP Instance UID."""
    found = node.index.select([SingleValue("StudyInstanceUID", f"{phantoms.UID}.0")])
    return {one.sop_instance_uid: one.digest for one in found if not one.sop_instance_uid.startswith(phantoms.UID)}


def told(node: OpenedNode) -> Counter[str]:
    """Count the states of the item that its watcher is told."""
    jobs = node.index.jobs.list(JobFilter(kind=UPS_EVENT))
    states = [EventPayload.of(job).information.get("00741000") for job in jobs]
    return Counter(state["Value"][0] for state in states if state)


def check(node: OpenedNode) -> dict[str, str]:
    """Check that the item is completed once, with all that follows; return its outputs."""
    row = node.index.workitems.get(UID)
    outputs = outputs_of(node)
    assert row is not None and row.state == "COMPLETED" and len(outputs) == SLICES
    assert told(node) == {"SCHEDULED": 1, "IN PROGRESS": 1, "COMPLETED": 1}
    performed = first_item(content_of(row.content), "UnifiedProcedureStepPerformedProcedureSequence")
    [information] = items(performed, "OutputInformationSequence")
    assert len(items(information, "ReferencedSOPSequence")) == SLICES
    deliveries = Counter(job.payload["sop_instance_uid"] for job in node.index.jobs.list(JobFilter(kind=DELIVER)))
    assert deliveries == dict.fromkeys(outputs, 1)
    assert not list(node.index.jobs.list(JobFilter(kind=PROCESS)))
    for uid in outputs:  # before and after point at each other
        [derivation] = node.index.derivations.of(uid)
        assert {one.sop_instance_uid for one in derivation.outputs} == outputs.keys()
        assert node.index.derivations.of(derivation.inputs[0].sop_instance_uid) == [derivation]
    assert list(archive.check(node, digests=True)) == [], "index and volume agree, and nothing is there twice"
    assert not list((node.config.current.node.data / "processing").iterdir())
    return outputs


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_step(node: Node, point: str) -> None:
    completed = node.forked("worker", "--kinds", ",".join(KINDS), environment={VARIABLE: point})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    with closing(open_node(ConfigFile(node.config), clock=a_minute_later)) as opened:
        before, row = outputs_of(opened), opened.index.workitems.get(UID)
        assert len(before) == {"output registered": 1, "derivation noted": 2, "item completed": 2}.get(point, 0)
        assert row is not None and row.state == ("COMPLETED" if point == "item completed" else "IN PROGRESS")
        perform(opened)
        after = check(opened)
        assert before.items() <= after.items(), "what was registered is found, with the same bytes"
        perform(opened)
        assert check(opened) == after
