"""What was answered is there after a power cut, at whatever moment that comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from medserver import archive
from medserver.dicom.storage_commitment import Reference
from medserver.index import Change, NewCommitment, NewJob
from medserver.node import Node
from medserver.safekeeping.deletion import order_deletion
from medserver.safekeeping.drained import is_draining, set_draining
from tests.archive.conftest import receive
from tests.crash.power.archive import content_of, opened, started
from tests.crash.power.recording import Cut, Recording
from tests.peers.files import Sample, make_small

SEED = 20261129
CUTS = 30
COUNT = 30
UIDS = [f"1.2.3.{number}" for number in range(COUNT)]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return make_small(tmp_path_factory.mktemp("made"), COUNT)


def _work(recording: Recording, samples: list[Sample]) -> None:
    """Do and answer something of everything, the objects in between."""
    node = opened(recording.folder, receives=True)
    archive.reconcile(node)
    for number, sample in enumerate(samples):
        assert receive(node, sample) == "stored"
        recording.acknowledge(f"instance {sample.sop_instance_uid}")
        answers = _ANSWERS[number % len(_ANSWERS)]
        recording.acknowledge(answers(node, UIDS[number], samples[number // 2]))
        if number == 2 * len(samples) // 3:
            node.primary_volume.place_all()


def _create(node: Node, uid: str, sample: Sample) -> str:
    assert node.index.performed_steps.add(uid, "IN PROGRESS", "{}", "CT1", ["1.2"])
    return f"step {uid} IN PROGRESS"


def _set(node: Node, uid: str, sample: Sample) -> str:
    [*_, step] = node.index.performed_steps.all()
    assert node.index.performed_steps.change(step.sop_instance_uid, lambda step: Change("COMPLETED", "{}"))
    return f"step {step.sop_instance_uid} COMPLETED"


def _commit(node: Node, uid: str, sample: Sample) -> str:
    new = NewCommitment("scp", uid, "CT1", "CT1", (Reference(sample.sop_class_uid, sample.sop_instance_uid),))
    node.index.commitments.accept(new, lambda number: NewJob("check", {"number": number}), 100)
    return f"commitment {uid}"


def _delete(node: Node, uid: str, sample: Sample) -> str:
    order_deletion(node, list(node.index.instances([sample.sop_instance_uid]).values()), by="somebody", reason=uid)
    return f"deletion {uid}"


def _drain(node: Node, uid: str, sample: Sample) -> str:
    set_draining(node, uid, True)
    return f"draining {uid}"


def _pause(node: Node, uid: str, sample: Sample) -> str:
    node.index.jobs.pause("deliver", uid)
    return f"pause {uid}"


_ANSWERS = (_create, _set, _commit, _delete, _drain, _pause)


def test_all_of_it_is_there(tmp_path: Path, samples: list[Sample]) -> None:
    recording = Recording(tmp_path).run(lambda recorded: _work(recorded, samples))
    expected = {sample.sop_instance_uid: sample.data_set() for sample in samples}
    for cut in recording.cuts(CUTS, SEED, at_the_end=CUTS // 2):
        with started(cut.folder) as (node, _):
            instances = _acknowledged(cut, "instance")
            assert all(content_of(node, uid) == [expected[uid]] for uid in instances), cut.what
            assert set(instances) <= wanted_of(node), cut.what
            assert {text for text in cut.acknowledged if not text.startswith("instance")} <= set(_found(node)), cut.what


def _found(node: Node) -> Iterator[str]:
    """Yield what there is of requests and orders, as it was acknowledged."""
    for step in node.index.performed_steps.all():
        yield from (f"step {step.sop_instance_uid} {state}" for state in {step.state, "IN PROGRESS"})
    yield from (f"commitment {one.transaction_uid}" for one in node.index.commitments.list())
    yield from (f"deletion {job.payload['reason']}" for job in node.index.jobs.list() if job.kind == "delete")
    yield from (f"pause {lane.lane.destination}" for lane in node.index.jobs.lanes("deliver") if lane.paused)
    yield from (f"draining {uid}" for uid in UIDS if is_draining(node, uid))


@pytest.mark.parametrize("answer", _ANSWERS)
def test_one_answer_and_nothing_behind_it(tmp_path: Path, samples: list[Sample], answer: Callable) -> None:
    """What is done later may flush what was done before: here nothing is."""
    with closing(opened(tmp_path)) as node:
        receive(node, samples[0])
        _create(node, UIDS[0], samples[0])
    recording = Recording(tmp_path)

    def work(recorded: Recording) -> None:
        node = opened(recorded.folder)
        recorded.acknowledge(answer(node, UIDS[1], samples[0]))

    for cut in recording.run(work).cuts(0, SEED, at_the_end=5):
        with started(cut.folder) as (node, _):
            assert set(cut.acknowledged) <= set(_found(node)), cut.what


def test_a_new_archive_delivers_what_it_received(tmp_path: Path, samples: list[Sample]) -> None:
    """Nothing has been flushed yet that would keep any row."""

    def work(recorded: Recording) -> None:
        node = opened(recorded.folder, receives=True)
        for sample in samples[:3]:
            receive(node, sample)
            recorded.acknowledge(f"instance {sample.sop_instance_uid}")

    for cut in Recording(tmp_path).run(work).cuts(10, SEED, at_the_end=10):
        with started(cut.folder) as (node, _):
            assert set(_acknowledged(cut, "instance")) <= wanted_of(node), cut.what


def wanted_of(node: Node) -> set[str]:
    """Return the instances that will be sent, or of which will be decided whether they are."""
    return {job.payload["sop_instance_uid"] for job in node.index.jobs.list() if job.kind in ("deliver", "route")}


def _acknowledged(cut: Cut, kind: str) -> list[str]:
    return [text.removeprefix(f"{kind} ") for text in cut.acknowledged if text.startswith(f"{kind} ")]
