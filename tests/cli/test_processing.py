"""``medserver processing run|derivations``: at a node that runs, with a real series."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MakeDirectory
from tests.peers.command_line import Invoked
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.processing import phantoms

SLICES = 4
STUDY, SERIES = f"{phantoms.UID}.0", f"{phantoms.UID}.1"
INSTANCE = f"{SERIES}.1"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def dcmtk(make_directory: MakeDirectory) -> Iterator[Dcmtk]:
    one = Dcmtk(make_directory("dcmtk"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def series(make_directory: MakeDirectory) -> Path:
    volume = np.random.default_rng(7).integers(0, 2000, (SLICES, 16, 16)).astype(np.uint16)
    return phantoms.write(make_directory("made") / "ct", phantoms.ct_series(volume))


@pytest.fixture(scope="module")
def node(make_directory: MakeDirectory, dcmtk: Dcmtk, series: Path) -> Iterator[Node]:
    """Give a node that has a series and knows a workstation."""
    one = Node(make_directory("node"))
    one.add_remote(dcmtk.start_storescp("WS1").address, name="reading room")
    one.start()
    dcmtk.store(one.address, *sorted(series.iterdir())).check()
    yield one
    one.kill()


def run(node: Node, *arguments: str) -> Invoked:
    return node.cli("processing", "run", *arguments)


def waited(node: Node, *arguments: str) -> dict:
    """Have something processed, wait for it, and return what is told of the only work item."""
    [told] = json.loads(run(node, *arguments, "--wait", "--json").check().output)
    return told


def instances(told: dict) -> list[str]:
    return [uid for series in told["outputs"] for uid in series["instances"]]


def derivations(node: Node, uid: str) -> list[dict]:
    return json.loads(node.cli("processing", "derivations", uid, "--json").check().output)


def test_the_uid_of_the_item_is_written(node: Node) -> None:
    uid = run(node, "copy", STUDY, "--priority", "high").check().output.strip()
    shown = json.loads(node.cli("workitem", "show", uid).check().output)
    assert shown["00741200"]["Value"] == ["HIGH"]
    assert shown["00404018"]["Value"][0]["00080100"]["Value"] == ["copy"]
    assert shown["00100020"]["Value"] == ["P1"]
    [reference] = shown["00404021"]["Value"]
    assert reference["0020000E"]["Value"] == [SERIES] and len(reference["00081199"]["Value"]) == SLICES
    wait_until(
        lambda: "COMPLETED" in node.cli("workitem", "show", uid).output, deadline_s=PATIENCE_S, what="the end of it"
    )


@pytest.mark.parametrize(("uid", "count"), [(STUDY, SLICES), (SERIES, SLICES), (INSTANCE, 1)])
def test_a_study_a_series_an_instance(node: Node, uid: str, count: int) -> None:
    told = waited(node, "denoise", uid, "--set", "sigma=1.5", "--set", "method=gaussian")
    assert (told["state"], told["reason"], len(instances(told))) == ("COMPLETED", None, count)


def test_the_end_is_told(node: Node) -> None:
    item, made = run(node, "copy", SERIES, "--wait").check().output.splitlines()
    assert item.startswith("2.25.") and made.startswith("series 2.25.") and made.endswith(f": {SLICES} instances")


def test_a_part_alone(node: Node) -> None:
    assert len(instances(waited(node, "copy", SERIES, "--outputs", "2-3"))) == 2


def test_a_chain_is_waited_for(node: Node) -> None:
    told = waited(node, "denoise, reformat", SERIES, "--set", "orientation=sagittal", "--set", "denoise.sigma=3")
    assert told["last_workitem"] != told["workitem"]
    first, second = derivations(node, told["workitem"])
    assert (first["type"], second["type"]) == ("denoise", "reformat")
    assert [one["sop_instance_uid"] for one in second["after"][0]["instances"]] == sorted(instances(told))


def test_results_are_sent_and_made_once(node: Node, dcmtk: Dcmtk) -> None:
    """Who asks for the same of the same gets what was made, and it is sent again."""
    storescp = dcmtk.start_storescp("WS2")
    node.add_remote(storescp.address)
    arguments = ("denoise", SERIES, "--set", "sigma=2.5")
    made = instances(waited(node, *arguments))
    assert storescp.files() == []
    for destination in ("WS2", "WS1"):  # an entry, and an AE title
        assert sorted(instances(waited(node, *arguments, "--to", destination))) == sorted(made)
    wait_until(lambda: len(storescp.files()) == SLICES, deadline_s=PATIENCE_S, what="the results")
    assert {str(one.SOPInstanceUID) for one in storescp.datasets().values()} == set(made)
    [step] = [one for one in derivations(node, SERIES) if one["after"][0]["instances"][0]["sop_instance_uid"] in made]
    assert len(step["after"][0]["instances"]) == SLICES
    assert node.output.count(f"outputs={SLICES} known=True") >= 2


REFUSALS = {
    "unknown type": (("denoize", STUDY), 2, "did you mean 'denoise'?"),
    "no type": (("de-noise", STUDY), 2, "not the name of a type"),
    "unknown later type": (("copy,denoize", STUDY), 2, "did you mean 'denoise'?"),
    "unknown parameter": (("denoise", STUDY, "--set", "sigmma=2"), 2, "did you mean 'sigma'?"),
    "of another type": (("denoise", STUDY, "--set", "reformat.orientation=axial"), 2, "reformat"),
    "out of bounds": (("denoise", STUDY, "--set", "sigma=200"), 2, "sigma is 200, and not 0.1 to 20"),
    "no value": (("denoise", STUDY, "--set", "sigma"), 2, "NAME=VALUE"),
    "outputs": (("denoise", STUDY, "--outputs", "3-1"), 2, "outputs"),
    "a part of one": (("multiframe", STUDY, "--outputs", "1"), 2, "multiframe makes all of its outputs, or none"),
    "unknown AE": (("copy", STUDY, "--to", "NOBODY"), 69, "NOBODY"),
    "nothing stored": (("copy", "1.2.3.4"), 66, "1.2.3.4"),
    "no UID": (("copy", "1.2.x"), 2, "is not a UID"),
    "timeout": (("copy", STUDY, "--wait", "--timeout", "soon"), 2, "--timeout"),
    "irregular stack": (("reformat", f"{SERIES}.1", f"{SERIES}.2", f"{SERIES}.4", "--wait"), 65, "IRREGULAR_STACK"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(node: Node, name: str) -> None:
    arguments, exit_code, text = REFUSALS[name]
    refused = run(node, *arguments)
    lines = [line for line in refused.output.splitlines() if not line.startswith("2.25.")]
    assert (refused.exit_code, len(lines)) == (exit_code, 1), refused.output
    assert text in lines[0]


def test_before_and_after(node: Node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    volume = np.random.default_rng(8).integers(0, 2000, (SLICES, 16, 16)).astype(np.uint16)
    other = phantoms.write(tmp_path / "other", phantoms.ct_series(volume, series=8))
    dcmtk.store(node.address, *sorted(other.iterdir())).check()
    source = f"{phantoms.UID}.8"
    chain = waited(node, "denoise,reformat", source)
    copied = waited(node, "copy", f"{source}.2")
    between = derivations(node, source)[0]["after"][0]["series_instance_uid"]
    last = chain["outputs"][0]["series_instance_uid"]
    alone = copied["outputs"][0]["series_instance_uid"]
    tree = node.cli("processing", "derivations", source).check().output.splitlines()
    assert [line.split(",")[0].split("  stored")[0].strip().split("  ")[0] for line in tree] == [
        f"series {source}", "denoise", f"-> series {between}", "reformat", f"-> series {last}", "copy",
        f"-> series {alone}",
    ]  # fmt: skip
    for uid in (last, instances(chain)[0], chain["last_workitem"]):
        assert [step["type"] for step in derivations(node, uid)] == ["denoise", "reformat"]
    assert [step["type"] for step in derivations(node, f"{source}.2")] == ["denoise", "reformat", "copy"]
    assert [step["type"] for step in derivations(node, f"{source}.1")] == ["denoise", "reformat"]
    node.cli("store", "delete", between, "--force").check()
    gone = f"series {between}  {SLICES} instances, none of them stored"
    wait_until(lambda: gone in node.cli("processing", "derivations", last).output, deadline_s=PATIENCE_S, what="that")


def test_what_was_not_processed_has_no_derivations(node: Node) -> None:
    for uid, exit_code in (("1.2.3.4", 66), ("x", 2)):
        refused = node.cli("processing", "derivations", uid)
        assert (refused.exit_code, len(refused.output.splitlines())) == (exit_code, 1)


def test_results_are_found_and_retrieved_like_others(node: Node, dcmtk: Dcmtk) -> None:
    told = waited(node, "sharpen", SERIES)
    [made] = told["outputs"]
    keys = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": made["series_instance_uid"], "SeriesDescription": ""}
    [found] = dcmtk.find(node.address, "SERIES", keys).identifiers
    assert "sharp" in str(found.SeriesDescription)


def test_nobody_performs_it(series: Path, make_node, dcmtk: Dcmtk) -> None:
    node = make_node(options={"jobs.workers": 0})
    node.start()
    dcmtk.store(node.address, *sorted(series.iterdir())).check()
    left = run(node, "copy", SERIES, "--wait", "--timeout", "0.5 s")
    assert left.exit_code == 75 and "has not ended yet" in left.output
