"""After a power cut what is completed has its outputs, and what is noted of them; what is not is done again."""

from __future__ import annotations

from pathlib import Path

from medserver.node import Node
from medserver.workitems.content import content_of, first_item
from medserver.workitems.content import items as items_of
from tests.crash.power.archive import opened, read_object, started
from tests.crash.power.recording import Recording
from tests.peers import starts_programs
from tests.processing import items

SEED, CUTS, SLICES = 20261130, 30, 3
COMPLETED = "completed"


def process(recorded: Recording) -> None:
    """Have an item processed, which is there with its series."""
    node = opened(recorded.folder, receives=True)
    node.primary_volume.place_all()
    items.request(node, items.instances(SLICES))
    recorded.acknowledge("created")
    items.perform(node)
    recorded.acknowledge(COMPLETED)


def named_outputs(node: Node) -> set[str]:
    """Return the SOP Instance UIDs that a completed item names."""
    performed = first_item(
        content_of(items.row_of(node).content), "UnifiedProcedureStepPerformedProcedureSequence"
    )
    [information] = items_of(performed, "OutputInformationSequence")
    return {one["00081155"]["Value"][0] for one in items_of(information, "ReferencedSOPSequence")}


def check(node: Node, what: str) -> None:
    """What is completed was noted before, and what is noted was registered before."""
    stored = items.outputs_of(node)
    derivation = node.index.derivations.of_item(items.UID)
    if items.row_of(node).state == "COMPLETED":
        assert derivation is not None, what
        assert {one.sop_instance_uid for one in derivation.outputs} == named_outputs(node), what
    if derivation is not None:
        assert {one.sop_instance_uid for one in derivation.outputs} <= stored.keys(), what
        for copy in node.index.instances(list(stored)).values():
            assert read_object(node, copy), what


def go_on(node: Node) -> None:
    """Have a worker do what was being done when the power was cut."""
    for owner in node.index.jobs.owners():
        node.index.jobs.expire(owner)
    while node.index.jobs.sweep({}):
        pass
    items.perform(node)


def test_what_is_completed_was_noted_and_registered_before(tmp_path: Path) -> None:
    """Slow: each cut is started, and processes what is left."""
    starts_programs()
    node = opened(tmp_path, receives=True)
    items.store_series(node, tmp_path / "made", SLICES)
    node.primary_volume.place_all()
    node.close()
    recording = Recording(tmp_path).run(process)
    for cut in recording.cuts(CUTS, SEED, at_the_end=CUTS // 5):
        with started(cut.folder) as (one, _):
            if one.index.workitems.get(items.UID) is None:
                assert "created" not in cut.acknowledged, cut.what
                continue
            assert COMPLETED not in cut.acknowledged or items.row_of(one).state == "COMPLETED", cut.what
            check(one, cut.what)
            go_on(one)
            assert items.row_of(one).state == "COMPLETED", cut.what
            check(one, f"{cut.what}, in the end")
            assert len(items.outputs_of(one)) == SLICES == len(named_outputs(one)), cut.what
    assert cut.acknowledged[-1] == COMPLETED
