"""A node whose types of processing are external programs: what they make comes in, or is refused with a reason."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from tests.failures import Failures
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.node import Node
from tests.peers.proc import is_alive
from tests.peers.process import wait_until
from tests.processing import phantoms
from tests.processing.commands import programs
from tests.processing.conftest import complaints
from tests.processing.test_whole_way import numbers, request, state_of
from tests.workitems.peer import Peer, associated

SLICES, ROWS, COLUMNS = 3, 24, 16
SIZE_BYTES = 2 * ROWS * COLUMNS
PATIENCE_S = 60.0
MIB = 2**20

BAD: dict[str, tuple[str, dict[str, object], str, str]] = {
    "crashes": (programs.CRASH, {}, "COMMAND_FAILED", "crashes was ended by signal 11 (Segmentation fault)"),
    "eats": (programs.MEMORY, {"memory_max_bytes": 256 * MIB}, "COMMAND_FAILED", "eats ended with code 1: MemoryError"),
    "hangs": (programs.FORK, {"time_max_s": 2}, "110527", "hangs took more than 2 s"),
    "message": (programs.MESSAGE, {}, "COMMAND_FAILED", "message ended with code 3: no lung in these images"),
    "locked": (programs.LOCKED, {}, "COMMAND_FAILED", "locked ended with code 4"),
    "nothing": (programs.NOTHING, {}, "110513", "nothing has made nothing"),
    "nonsense": (programs.NONSENSE, {}, "110521", "output b.dcm: "),
    "nonsense_new": (programs.NONSENSE, {"new_uids": "yes"}, "110521", "output b.dcm: "),
    "link": (programs.LINK, {}, "110521", "output b.dcm is not a file of its own"),
    "hard_link": (programs.HARD_LINK, {}, "110521", "output b.dcm is not a file of its own"),
    "pipe": (programs.PIPE, {}, "110521", "output b.dcm is not a file of its own"),
    "patient": (programs.OTHER_PATIENT, {}, "110521", "is of another patient than the inputs"),
    "study": (programs.OTHER_STUDY, {}, "110521", "is of another study than the inputs"),
    "twice": (programs.SAME_TWICE, {}, "110521", "two outputs have the UID"),
    "twice_new": (programs.SAME_TWICE, {"new_uids": "yes"}, "110521", "two outputs have the UID"),
    "dangling": (programs.DANGLING, {}, "110521", "an output refers to instance 1.2.3.4.5, which nobody knows"),
    "huge": (programs.HUGE, {"output_max_bytes": MIB}, "COMMAND_FAILED", "huge ended with code 1: OSError"),
    "many": (programs.MANY_FILES, {"files_max": 50}, "110527", "many wrote more than 50 files"),
    "copies": (programs.CHANGE, {}, "110521", "has the UID of an input, or of its series"),
    "modality": (programs.CHANGE, {"modalities": "MR, PT"}, "110522", "modality takes objects of MR, PT"),
    "container": (None, {"image": "nobody/none", "engine": "podman"}, "COMMAND_FAILED", "no podman is installed"),
}
"""Name -> program, options, the code of the reason why the item is cancelled, and a part of its text."""


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Give the folder of a series."""
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, ROWS, COLUMNS)).astype(np.uint16)
    return phantoms.write(tmp_path / "made", phantoms.ct_series(volume))


def add_type(node: Node, name: str, program: Path | None, options: dict[str, object]) -> None:
    command = {} if program is None else {"command": f"{program} {{in}} {{out}}"}
    node.set_section(f"type {name}", command | options)


def stored(dcmtk: Dcmtk, node: Node, folder: Path) -> list[Dataset]:
    assert dcmtk.store(node.address, *sorted(folder.iterdir())).exit_code == 0
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def ended(peer: Peer, type_name: str, sources: list[Dataset], *parameters: Dataset) -> Dataset:
    """Have something processed; return the work item when it is final."""
    wanted = request(sources, "WS1", *parameters)
    wanted.ScheduledWorkitemCodeSequence[0].CodeValue = type_name
    uid = generate_uid()
    assert peer.create(uid, wanted).Status == 0x0000
    final: list[Dataset] = []

    def is_final() -> bool:
        item = peer.get(uid)[1]
        if item.ProcedureStepState in ("COMPLETED", "CANCELED"):
            final.append(item)
        return bool(final)

    wait_until(is_final, deadline_s=PATIENCE_S, what=f"the end of {type_name}")
    return final[0]


def reason(item: Dataset) -> tuple[str, str]:
    """Return why an item was cancelled: the code, and the text."""
    [progress] = item.ProcedureStepProgressInformationSequence
    [code] = progress.ProcedureStepDiscontinuationReasonCodeSequence
    return code.CodeValue, str(progress.get("ReasonForCancellation", ""))


def results(receiver: StoreSCP, item: Dataset) -> list[Dataset]:
    """Return what an item says was made, as its destination gets it."""
    assert item.ProcedureStepState == "COMPLETED", reason(item)
    [performed] = item.UnifiedProcedureStepPerformedProcedureSequence
    uids = [
        one.ReferencedSOPInstanceUID
        for output in performed.OutputInformationSequence
        for one in output.ReferencedSOPSequence
    ]
    got: dict[str, Dataset] = {}

    def are_there() -> bool:
        with suppress(InvalidDicomError, EOFError):  # one is being written
            got.update((one.SOPInstanceUID, one) for one in receiver.datasets().values())
        return all(len(got[uid].get("PixelData", b"")) == SIZE_BYTES if uid in got else False for uid in uids)

    wait_until(are_there, deadline_s=PATIENCE_S, what="the results")
    return [got[uid] for uid in uids]


def test_what_is_refused(make_node: Callable[..., Node], dcmtk: Dcmtk, series: Path, tmp_path: Path) -> None:
    """Slow: there are twenty ways to do it wrong."""
    node = make_node(clients=("REQUESTER", "STORESCU"))
    node.add_remote(dcmtk.start_storescp("WS1").address)
    pids = tmp_path / "pids"
    pids.mkdir()
    for name, (text, options, *_) in BAD.items():
        program = programs.write(tmp_path / "programs", name, text) if text else None
        add_type(node, name, program, options | {"environment": f"PIDS = {pids}"})
    node.start()
    sources = stored(dcmtk, node, series)
    with Failures() as failures, associated(node, "REQUESTER") as peer:
        for name, (_, _, code, text) in BAD.items():
            with failures.of(name):
                item = ended(peer, name, sources)
                assert item.ProcedureStepState == "CANCELED"
                found = reason(item)
                assert found[0] == code and text in found[1], found
    assert list((node.data / "processing").iterdir()) == []
    assert len(list(pids.iterdir())) == 4 and not any(is_alive(int(path.name)) for path in pids.iterdir())
    with sqlite3.connect(node.data / "index.db") as index:
        assert index.execute("SELECT count(*) FROM instances").fetchone() == (SLICES,)
    assert node.stop() == 0


def test_modules_run_unchanged(make_node: Callable[..., Node], dcmtk: Dcmtk, series: Path, tmp_path: Path) -> None:
    """Slow: four items are processed, each by a program that imports pydicom."""
    receiver = dcmtk.start_storescp("WS1")
    node = make_node(clients=("REQUESTER", "STORESCU"), options={"log.level": "debug"})
    node.add_remote(receiver.address)
    folder = tmp_path / "programs"
    node.set_section("type offset", {
        "command": programs.write(folder, "offset", programs.MERCURE),
        "parameters": '{"offset": {"kind": "integer", "default": 5, "minimum": 0, "maximum": 100, "meaning": "Added"}}',
    })  # fmt: skip
    node.set_section("type find", {
        "command": f"{programs.write(folder, 'find', programs.MONAI)} -i {{in}} -o {{out}}", "parameters": "level = 3",
    })  # fmt: skip
    node.set_section("type half", {
        "command": programs.write(folder, "half", programs.CHANGE), "new_uids": "yes", "meaning": "Half of it",
        "modalities": "CT",
    })  # fmt: skip
    node.start()
    sources = stored(dcmtk, node, series)
    by_uid = {one.SOPInstanceUID: one for one in sources}
    with associated(node, "REQUESTER") as peer:
        item = ended(peer, "offset", sources, numbers("offset", 7))
        made = results(receiver, item)
        assert {one.SeriesDescription for one in made} == {"offset by 7"}
        assert sorted(one.pixel_array.sum() for one in made) == sorted((one.pixel_array + 7).sum() for one in sources)
        [progress] = item.ProcedureStepProgressInformationSequence
        assert progress.ProcedureStepProgressDescription == "all is well"

        refused = ended(peer, "offset", sources, numbers("offset", 101))
        assert reason(refused)[0] == "BAD_PARAMETERS" and "0 to 100" in reason(refused)[1]

        [one] = results(receiver, ended(peer, "find", sources))
        assert one.SeriesDescription == f"found in {SLICES}"

        item = ended(peer, "half", sources)
        made = results(receiver, item)
        assert len({one.SOPInstanceUID for one in made}) == SLICES and len({one.SeriesInstanceUID for one in made}) == 1
        for one in made:
            [reference] = one.SourceImageSequence
            source = by_uid[reference.ReferencedSOPInstanceUID]
            assert np.array_equal(one.pixel_array, source.pixel_array // 2)
            assert (one.ImageType[0], one.DerivationDescription) == ("DERIVED", "Half of it")
            assert one.SeriesDescription.endswith(" half") and one.SeriesInstanceUID != source.SeriesInstanceUID
            assert one.FrameOfReferenceUID == source.FrameOfReferenceUID
            assert "half 1" in one.ContributingEquipmentSequence[-1].SoftwareVersions
            assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID not in by_uid
            path = tmp_path / "checked.dcm"
            one.save_as(path)
            assert complaints(path) == []
        again = results(receiver, ended(peer, "half", sources))
        assert {one.SOPInstanceUID for one in again} == {one.SOPInstanceUID for one in made}
    asked = node.cli("processing", "run", "offset", sources[0].SeriesInstanceUID, "--set", "offset=9", "--wait")
    assert asked.exit_code == 0, asked.output
    shown = node.cli("processing", "show", "offset").stdout
    assert "Added" in shown and "whole number 0 to 100" in shown and str(folder / "offset") in shown
    listed = node.cli("processing", "types").stdout.splitlines()
    assert {"find", "half", "offset", "copy"} <= {line.split()[0] for line in listed}
    assert node.stop() == 0


def test_a_rule_has_a_program(make_node: Callable[..., Node], dcmtk: Dcmtk, series: Path, tmp_path: Path) -> None:
    """Slow: two types, one after the other. What a program makes is processed further by a type of ours."""
    receiver = dcmtk.start_storescp("WS1")
    node = make_node(clients=("STORESCU",))
    node.add_remote(receiver.address)
    add_type(node, "half", programs.write(tmp_path, "half", programs.CHANGE), {"new_uids": "yes"})
    node.set_section("processing all", {"type": "half, copy", "to": "WS1", "quiet": "0.2 s", "inform": "no"})
    node.start()
    sources = stored(dcmtk, node, series)
    wait_until(lambda: len(receiver.files()) == SLICES, deadline_s=PATIENCE_S, what="the results")
    got = sorted(one.pixel_array.sum() for one in receiver.datasets().values())
    assert got == sorted((one.pixel_array // 2).sum() for one in sources)
    assert node.stop() == 0


@pytest.mark.parametrize("end", ["cancel", "kill"])
def test_a_program_that_nobody_wants_any_longer(
    make_node: Callable[..., Node], dcmtk: Dcmtk, series: Path, tmp_path: Path, end: str
) -> None:
    """Whether the item is cancelled or the whole node is killed: all processes of the program end with it."""
    node = make_node(clients=("REQUESTER", "STORESCU"))
    node.add_remote(dcmtk.start_storescp("WS1").address)
    pids = tmp_path / "pids"
    pids.mkdir()
    add_type(node, "hangs", programs.write(tmp_path, "hangs", programs.FORK), {"environment": f"PIDS = {pids}"})
    node.start()
    wanted = request(stored(dcmtk, node, series), "WS1")
    wanted.ScheduledWorkitemCodeSequence[0].CodeValue = "hangs"
    uid = generate_uid()
    with associated(node, "REQUESTER") as peer:
        assert peer.create(uid, wanted).Status == 0x0000
        wait_until(lambda: len(list(pids.iterdir())) == 4, deadline_s=PATIENCE_S, what="the program and its children")
        if end == "cancel":
            assert peer.request_cancel(uid) == 0x0000
            wait_until(lambda: state_of(peer, uid) == "CANCELED", deadline_s=PATIENCE_S, what="the end")
    if end == "kill":
        node.kill()
    started = [int(path.name) for path in pids.iterdir()]
    wait_until(lambda: not any(map(is_alive, started)), deadline_s=PATIENCE_S, what="the ends of all processes")
