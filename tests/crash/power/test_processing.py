"""After a power cut what is completed has its outputs, and what is noted of them; what is not is done again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medserver.node import Node
from medserver.processing.performing import following_uid
from medserver.processing.requests import ProcessingRequest, Reference, attribute_list_of
from medserver.workitems.content import content_of, first_item
from medserver.workitems.content import items as items_of
from medserver.workitems.creating import create
from tests.archive.conftest import receive
from tests.crash.power.archive import opened, read_object, started
from tests.crash.power.recording import Recording
from tests.peers import starts_programs
from tests.peers.files import Sample
from tests.processing import items, phantoms

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


CHAINED, OF_FRAMES = "2.25.4715", "2.25.4716"
XA = "1.2.840.10008.5.1.4.1.1.12.1"
RUN, FRAMES, WANTED = f"{phantoms.UID}.7.1", 4, (2, 3)
BOTH_CUTS = 5


def process_both(recorded: Recording) -> None:
    """Have an item of two types performed, and one of frames of an instance."""
    node = opened(recorded.folder, receives=True)
    series = Reference(f"{phantoms.UID}.0", f"{phantoms.UID}.1")
    frames = Reference(f"{phantoms.UID}.0", "", ((XA, RUN),), frames=((RUN, WANTED),))
    for uid, asked in (
        (CHAINED, ProcessingRequest("copy", {}, (series,), then=("denoise",))),
        (OF_FRAMES, ProcessingRequest("denoise", {}, (frames,))),
    ):
        create(node, uid, attribute_list_of(asked, node.clock()), "REQUESTER")
        recorded.acknowledge(uid)
    items.perform(node)
    recorded.acknowledge(COMPLETED)


def check_both(node: Node, what: str) -> None:
    """Each item that was asked for is completed, that which follows too, and what they name is all that was made."""
    made = set()
    for uid, count in ((CHAINED, SLICES), (following_uid(CHAINED), SLICES), (OF_FRAMES, 1)):
        row = node.index.workitems.get(uid)
        if row is None:
            continue
        assert row.state == "COMPLETED", f"{what}: {uid} is {row.state}"
        named = items.named_outputs(node, uid)
        assert len(named) == count and not named & made, f"{what}: {uid} names {len(named)}"
        made |= named
    assert items.outputs_of(node).keys() == made, what
    assert (node.index.workitems.get(CHAINED) is None) == (node.index.workitems.get(following_uid(CHAINED)) is None)
    for copy in node.index.instances(list(made)).values():
        assert read_object(node, copy), what


def test_chained_items_and_those_of_frames_are_completed_once(tmp_path: Path) -> None:
    """Slow: each cut is started, and processes what is left."""
    starts_programs()
    node = opened(tmp_path, receives=True)
    items.store_series(node, tmp_path / "made", SLICES)
    pixels = np.random.default_rng(3).integers(0, 1024, (FRAMES, 16, 16)).astype(np.uint16)
    changes = {"SOPInstanceUID": RUN, "SeriesInstanceUID": f"{phantoms.UID}.7"}
    run = phantoms.changed(phantoms.angiography(pixels), changes)
    [path] = phantoms.write(tmp_path / "run", [run]).iterdir()
    receive(node, Sample(path, XA, RUN, phantoms.EXPLICIT))
    node.primary_volume.place_all()
    node.close()
    for cut in Recording(tmp_path).run(process_both).cuts(BOTH_CUTS, SEED, at_the_end=1):
        with started(cut.folder) as (one, _):
            for uid in (CHAINED, OF_FRAMES):
                assert uid not in cut.acknowledged or one.index.workitems.get(uid) is not None, cut.what
            if COMPLETED in cut.acknowledged:
                check_both(one, cut.what)
            go_on(one)
            check_both(one, f"{cut.what}, in the end")
