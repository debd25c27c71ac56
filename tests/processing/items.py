"""Work items that a node performs: with what they need, and what must be true of them in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from medserver import archive
from medserver.dicom.conditions import SingleValue
from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.index import JobFilter, Workitem
from medserver.node import Node
from medserver.processing.performing import PROCESS_LARGE
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of
from medserver.routing.deliveries import DELIVER
from medserver.safekeeping.deletion import DELETE
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from medserver.workitems.content import content_of, first_item, items, value
from medserver.workitems.creating import create
from medserver.workitems.follow_ups import PROCESS, UPS_EVENT, EventPayload
from medserver.workitems.subscribing import subscribe
from tests.archive.conftest import receive
from tests.peers.files import Sample
from tests.processing import phantoms

UID = "2.25.4712"
KINDS = (PROCESS, PROCESS_LARGE)
STATE = "00741000"


def store_series(node: Node, folder: Path, slices: int, size: int = 16) -> None:
    """Store a series of a phantom."""
    volume = np.random.default_rng(7).integers(0, 2000, (slices, size, size)).astype(np.uint16)
    paths = sorted(phantoms.write(folder, phantoms.ct_series(volume)).iterdir())
    for path, uid in zip(paths, instances(slices), strict=True):
        receive(node, Sample(path, phantoms.CT, uid, phantoms.EXPLICIT))


def instances(slices: int) -> list[str]:
    """Return the SOP Instance UIDs of that series."""
    return [f"{phantoms.UID}.1.{number}" for number in range(1, slices + 1)]


def request(
    node: Node,
    uids: Iterable[str],
    destinations: tuple[str, ...] = (),
    *,
    kind: str = "copy",
    uid: str = UID,
    priority: str = "MEDIUM",
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Create a work item for some instances of that series."""
    named = tuple((phantoms.CT, one) for one in uids)
    reference = Reference(f"{phantoms.UID}.0", f"{phantoms.UID}.1", named)
    asked = ProcessingRequest(kind, dict(parameters or {}), (reference,), destinations)
    create(node, uid, attribute_list_of(asked, node.clock(), priority=priority), "REQUESTER")


def watch(node: Node, receiver: str) -> None:
    """Have an AE told of all items."""
    subscribe(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, receiver, False)


def performer(node: Node) -> Runner:
    """Return a worker in this process that performs items, and nothing else."""
    return Runner(node, [kind for kind in JOB_KINDS if kind.name in KINDS], periodic=())


def perform(node: Node) -> None:
    """Perform in this process what is due."""
    runner = performer(node)
    while runner.run_due():
        pass


def carry_out_deletions(node: Node) -> None:
    """Delete what was ordered to be deleted."""
    runner = Runner(node, [kind for kind in JOB_KINDS if kind.name == DELETE], periodic=())
    while runner.run_due():
        pass


def row_of(node: Node, uid: str = UID) -> Workitem:
    """Return an item."""
    row = node.index.workitems.get(uid)
    assert row is not None
    return row


def reason_of(node: Node, uid: str = UID) -> str:
    """Return the code of the reason for which an item was cancelled."""
    row = row_of(node, uid)
    assert row.state == "CANCELED", row.state
    progress = first_item(content_of(row.content), "ProcedureStepProgressInformationSequence")
    return value(first_item(progress, "ProcedureStepDiscontinuationReasonCodeSequence"), "CodeValue")


def outputs_of(node: Node) -> dict[str, str]:
    """Return the digest of what is stored of the study besides what was received, by SOP Instance UID."""
    found = node.index.select([SingleValue("StudyInstanceUID", f"{phantoms.UID}.0")])
    return {one.sop_instance_uid: one.digest for one in found if not one.sop_instance_uid.startswith(phantoms.UID)}


def named_outputs(node: Node, uid: str = UID) -> set[str]:
    """Return the SOP Instance UIDs in the Output Information of an item."""
    performed = first_item(content_of(row_of(node, uid).content), "UnifiedProcedureStepPerformedProcedureSequence")
    [information] = items(performed, "OutputInformationSequence")
    return {value(each, "ReferencedSOPInstanceUID") for each in items(information, "ReferencedSOPSequence")}


def told(node: Node) -> Counter[str]:
    """Count the states that a watcher who cannot be reached is to be told."""
    jobs = node.index.jobs.list(JobFilter(kind=UPS_EVENT))
    states = [EventPayload.of(job).information.get(STATE) for job in jobs]
    return Counter(state["Value"][0] for state in states if state)


def check_completed(node: Node, slices: int) -> dict[str, str]:
    """Check that the item is completed once, with all that follows; return its outputs.

    It is watched by an AE that cannot be reached, and its outputs are to be sent there.
    """
    outputs, row = outputs_of(node), row_of(node)
    assert row.state == "COMPLETED" and len(outputs) == slices
    assert told(node) == {"SCHEDULED": 1, "IN PROGRESS": 1, "COMPLETED": 1}
    assert len(named_outputs(node)) == slices
    deliveries = Counter(job.payload["sop_instance_uid"] for job in node.index.jobs.list(JobFilter(kind=DELIVER)))
    assert deliveries == dict.fromkeys(outputs, 1)
    assert not [job for kind in KINDS for job in node.index.jobs.list(JobFilter(kind=kind))]
    for uid in outputs:  # before and after point at each other
        [derivation] = node.index.derivations.of(uid)
        assert {one.sop_instance_uid for one in derivation.outputs} == outputs.keys()
        assert node.index.derivations.of(derivation.inputs[0].sop_instance_uid) == [derivation]
    return outputs


def check_store(node: Node) -> None:
    """Check that index and volume agree, and nothing is there twice."""
    assert list(archive.check(node, digests=True)) == []
